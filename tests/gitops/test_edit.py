"""Writing to main while others write, the server misbehaves, or something stands in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from env_world import World, version

from gitops.bump import bump
from gitops.edit import Done, Edit, Tip, edit
from gitops.environment_repo import read
from gitops.git import Git
from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.operation import Operation, render_message

# The server moves main and dies before it can say so.
LOST = 'test -e "$GIT_DIR/lost" && exit 0; touch "$GIT_DIR/lost"; kill -9 $PPID'


def test_a_lost_acknowledgement_is_found_again(anywhere: World):
    anywhere.hook("post-receive", LOST)
    done = anywhere.bump(1)
    assert (anywhere.repo / "lost").exists()
    assert (done.created, done.commit, anywhere.commits()) == (True, anywhere.main(), 2)


def test_a_lost_acknowledgement_is_found_below_a_later_commit(anywhere: World, tmp_path: Path):
    other = tmp_path / "other.py"
    other.write_text(
        "from env_world import World, version\nfrom pathlib import Path\n"
        f"World(Path({str(anywhere.repo)!r}), {str(anywhere.repo)!r}, Path({str(tmp_path)!r})).bump(7, 'other')\n"
    )
    hooks = Path(__file__).parent
    # Before it dies, somebody else pushes on top.
    anywhere.hook(
        "post-receive",
        'test -e "$GIT_DIR/lost" && exit 0; touch "$GIT_DIR/lost"; rm -f "$GIT_DIR/slipway.lock"; '
        f"env -u GIT_DIR PYTHONPATH={hooks}:{Path.cwd()} {sys.executable} {other}; kill -9 $PPID",
    )
    done = anywhere.bump(1)
    assert anywhere.subjects()[:2] == ["Release other@7 to staging", "Release digits@1 to staging"]
    assert (done.created, done.commit) == (True, anywhere.git("rev-parse", "main~1"))


def test_the_same_operation_in_another_process_finds_the_commit_of_the_first(anywhere: World):
    done = anywhere.bump(1)
    anywhere.bump(1, "other")
    anywhere.person("revert", "--no-edit", done.commit, work=(work := anywhere.clone()))
    anywhere.person("push", "--quiet", "origin", "HEAD:main", work=work)
    again = anywhere.bump(1)
    assert (again.created, again.commit) == (False, done.commit)
    assert anywhere.read().release("staging", "digits") is None


@pytest.mark.parametrize("writers", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_concurrent_writers_of_different_models_all_land(world: World, writers: int):
    with ThreadPoolExecutor(writers) as pool:
        done = list(pool.map(lambda n: world.bump(1, f"model-{n}"), range(writers)))
    assert all(d.created for d in done)
    assert world.commits() == writers + 1
    assert len(world.read().releases) == writers


def test_concurrent_writers_through_a_url_all_land(world: World):
    remote = World(world.repo, f"file://{world.repo}", world.tmp)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda n: remote.bump(1, f"model-{n}"), range(6)))
    assert len({d.commit for d in done}) == 6
    assert len(world.read().releases) == 6


def test_concurrent_versions_of_one_model_end_at_the_newest(world: World):
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(world.bump, [3, 1, 5, 2, 4]))
    assert world.read().release("staging", "digits") == version(5)


def test_one_operation_in_two_processes_at_once_is_one_commit(world: World):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: world.bump(1), range(4)))
    assert world.commits() == 2
    assert {d.commit for d in done} == {world.main()}


def test_a_forced_push_while_editing_leads_to_a_decision_on_what_is_there_now(anywhere: World):
    anywhere.bump(1)
    first = anywhere.git("rev-parse", "main~1")
    forced = []

    def at(point: str) -> None:
        if point == "decided" and not forced:
            forced.append(anywhere.git("update-ref", "refs/heads/main", first))

    anywhere.bump(2, at=at)
    assert anywhere.subjects() == ["Release digits@2 to staging", "Set up the environment repository"]


def test_a_server_that_refuses_is_a_setting_to_change(anywhere: World):
    anywhere.hook("pre-receive", "exit 1")
    before = anywhere.main()
    with pytest.raises(Misconfigured, match="refuses the push"):
        anywhere.bump(1)
    assert anywhere.main() == before


def test_an_unreachable_server_is_worth_another_try():
    with pytest.raises(TryAgain, match="does not answer"):
        bump("http://127.0.0.1:9/env.git", version(1), Operation("x", "bump", "staging", version(1)))


def test_a_folder_that_is_no_repository_is_a_setting_to_change(tmp_path: Path):
    with pytest.raises(Misconfigured, match="is not a git repository"):
        read(str(tmp_path))


def test_a_transport_that_runs_commands_is_refused(tmp_path: Path):
    with pytest.raises(Misconfigured, match="ext is not a transport for git here; use https or ssh"):
        read(f"ext::touch {tmp_path}/pwned")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("url", ["--upload-pack=touch /tmp/x", "", "a\nb", "a\0b"])
def test_a_url_that_could_be_an_option_or_a_line_is_refused(url: str):
    with pytest.raises(Rejected, match="is not a repository"):
        read(url)


@pytest.mark.parametrize("link", ["envs/staging", "envs/staging/digits", "envs/staging/digits/release.env"])
def test_a_symbolic_link_in_the_way_is_refused(world: World, link: str):
    work = world.clone()
    (work / link).parent.mkdir(parents=True, exist_ok=True)
    (work / link).symlink_to("/tmp")
    world.person("add", "--all", work=work)
    world.person("commit", "--quiet", "--message", "link", work=work)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)
    before = world.main()
    with pytest.raises(Rejected, match=link):
        world.bump(1)
    assert world.main() == before


def test_a_submodule_in_the_way_is_refused(world: World):
    work = world.clone()
    world.person("update-index", "--add", "--cacheinfo", f"160000,{world.main()},envs/staging/digits", work=work)
    world.person("commit", "--quiet", "--message", "submodule", work=work)
    world.person("push", "--quiet", "origin", "HEAD:main", work=work)
    with pytest.raises(Rejected, match="envs/staging/digits is a submodule"):
        world.bump(1)


def test_the_git_variables_of_a_hook_do_not_mislead(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "objects"))
    assert bump(world.url, version(1), Operation("x", "bump", "staging", version(1))).created


def test_a_server_without_filters_works_too(world: World):
    world.git("config", "uploadpack.allowFilter", "false")
    assert World(world.repo, f"file://{world.repo}", world.tmp).bump(1).created


def test_a_command_that_hangs_is_killed(tmp_path: Path):
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "r.git"], check=True)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(TryAgain, match=r"took more than 0\.3 s"):
        Git(tmp_path / "r.git", timeout=0.3).run("hash-object", str(fifo))


def test_paths_with_odd_characters_are_written_as_they_are(world: World):
    path = 'envs/base/odd "name"\\ with\nline ü.txt'

    def change(tip: Tip) -> Edit | Done:
        return Edit({path: b"x"}, render_message("Odd", Operation("odd", "seed", "staging")))

    edit(world.url, change, operation_id="odd", reads=[path])
    assert path in world.git("ls-tree", "-r", "-z", "--name-only", "main").split("\0")


def test_a_branch_that_is_named_like_mains_ref_stops_no_bump(world: World):
    world.git("branch", "refs/heads/main", "main")
    assert world.bump(1).created


def test_a_push_that_git_itself_refuses_says_why(world: World):
    world.git("branch", "refs/heads/main", "main")
    with pytest.raises(Misconfigured, match="matches more than one"):
        World(world.repo, f"file://{world.repo}", world.tmp).bump(1)
