"""Reading an environment repository, hand-edited nonsense included."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from env_world import World, version

from gitops.environment_repo import parse_environments, read
from gitops.hold import freeze, hold
from gitops.seed import default_folder, seed
from slipway.environments import Freeze, Hold
from slipway.errors import Misconfigured


def test_a_snapshot_has_releases_holds_and_freezes(anywhere: World):
    anywhere.bump(1)
    anywhere.bump(2, "other")
    held = Hold(
        environment="production",
        model="digits",
        number=9,
        digest=version(9).digest,
        reason="x",
        since=datetime.now(UTC),
    )
    hold(anywhere.url, held)
    stop = Freeze(reason="audit")
    freeze(anywhere.url, "production", stop)
    seen = anywhere.read()
    assert dict(seen.releases) == {("staging", "digits"): version(1), ("staging", "other"): version(2, "other")}
    assert seen.held("production", version(9)) == held
    assert seen.held("staging", version(9)) is None
    assert seen.frozen("production", datetime.now(UTC)) == stop
    assert seen.frozen("staging", datetime.now(UTC)) is None
    assert seen.commit == anywhere.main()


def test_an_older_commit_can_be_read(anywhere: World):
    first = anywhere.bump(1).commit
    anywhere.bump(2)
    assert read(anywhere.url, ref=first).release("staging", "digits") == version(1)


NONSENSE = {
    "envs/staging/digits/release.env": "MODEL=digits\nVERSION=99999999999999999999\nDIGEST=x\n",
    "envs/staging/other/release.env": "\x00\xff",
    "envs/staging/third/release.env": "MODEL=fourth\nVERSION=1\nDIGEST=sha256:" + "0" * 64 + "\n",
    "envs/staging/digits/holds/3.json": "{}",
    "envs/staging/digits/holds/x.json": "{}",
    "envs/staging/digits/holds/4.json": """
        {"environment": "staging", "model": "digits", "number": 4, "digest": "sha256:", "reason": "slow",
         "since": "2026-01-01T00:00:00Z"}""",
    "envs/production/freeze.json": "[]",
    "envs/staging/UPPER/release.env": "MODEL=UPPER\n",
}


@pytest.mark.parametrize("path", NONSENSE)
def test_nonsense_is_reported_with_its_path_and_the_rest_is_read(world: World, path: str):
    world.bump(1, "fine")
    world.edit_by_hand({path: NONSENSE[path]})
    seen = world.read()
    assert list(seen.broken) == [path]
    assert seen.release("staging", "fine") == version(1, "fine")


def test_a_release_that_is_a_symbolic_link_is_reported(anywhere: World):
    work = anywhere.clone()
    (work / "envs/staging/digits").mkdir(parents=True)
    (work / "envs/staging/digits/release.env").symlink_to("/etc/passwd")
    anywhere.person("add", "--all", work=work)
    anywhere.person("commit", "--quiet", "--message", "link", work=work)
    anywhere.person("push", "--quiet", "origin", "HEAD:main", work=work)
    broken = anywhere.read().broken
    assert broken == {"envs/staging/digits/release.env": "it is a symbolic link; replace it by a plain file"}


def test_an_empty_repository_says_how_to_set_it_up(empty: World):
    for url in (empty.url, f"file://{empty.repo}"):
        with pytest.raises(Misconfigured, match="has no main; run `slipway env init`"):
            read(url)


def test_a_repository_without_environments_says_how_to_set_it_up(empty: World):
    work = empty.clone()
    empty.person("commit", "--quiet", "--allow-empty", "--message", "empty", work=work)
    empty.person("push", "--quiet", "origin", "HEAD:main", work=work)
    with pytest.raises(
        Misconfigured, match=r"envs/environments.yaml at [0-9a-f]{12} is missing; run `slipway env init`"
    ):
        read(empty.url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("environments:\n  - name: staging\n  - name: Prod\n    after: staging\n", r"e\.yaml:3: .*name"),
        ("environments:\n  - name: staging\n    acepts: direct\n", r"e\.yaml:3: environments\.0\.acepts: Extra"),
        ("environments:\n  - {name: a\n", r"e\.yaml:3:1: "),
        (
            "environments:\n  - name: a\n    freezes:\n    - until: 2026-13-01T00:00:00Z\n",
            r"e\.yaml:4:14: '2026-13-01T00:00:00Z' is no timestamp; correct it",
        ),
        ("environments: " + "1:" * 200 + "1.5\n", r"e\.yaml:1:15: '1:1:.*' is no float"),
        ("environments: !!bool maybe\n", r"e\.yaml:1:15: 'maybe' is no bool"),
        ("environments:\n  - name: a\n  - name: b\n    after: c\n", "b comes after c, which is not listed above it"),
        ("", r"e\.yaml:1: "),
        ("environments: " + "[" * 5000, r"e\.yaml: nested too deep"),
        ("environments: &a [*a]", r"e\.yaml"),
        ("!!python/object/apply:os.system [id]", r"e\.yaml:1"),
    ],
)
def test_environments_with_an_error_are_refused_with_its_line(text: str, message: str):
    with pytest.raises(Misconfigured, match=message):
        parse_environments(text.encode(), "e.yaml")


def test_seeding_twice_changes_nothing(anywhere: World):
    assert not seed(anywhere.url, default_folder()).created
    assert anywhere.commits() == 1


def test_seeding_leaves_what_people_changed(world: World):
    world.edit_by_hand({"envs/base/service.yaml": "mine\n"})
    seed(world.url, default_folder())
    assert world.show("envs/base/service.yaml") == "mine\n"


def test_seeding_brings_back_what_is_missing(world: World):
    world.edit_by_hand({"envs/base/service.yaml": None})
    # The folder is the same, so this is the same operation; a folder with one more file is another.
    folder = world.tmp / "envs"
    import shutil

    shutil.copytree(default_folder(), folder)
    (folder / "base" / "extra.yaml").write_text("x\n")
    assert seed(world.url, folder).created
    assert "envs/base/extra.yaml" in world.paths()
    assert "envs/base/service.yaml" in world.paths()


def test_an_empty_repository_is_seeded_through_a_url_too(empty: World):
    assert seed(f"file://{empty.repo}", default_folder()).created
    assert "envs/environments.yaml" in empty.paths()
