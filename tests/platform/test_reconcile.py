"""The servers follow the environment repository: at once, one bad version at a time, whoever is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from gitops.approvals import open_request, reject, requests
from gitops.environment_repo import read
from hera_workflows.cli.platform import reconcile as reconcile_command
from hera_workflows.platform.reconcile import reconcile
from hera_workflows.platform.servers import running
from hera_workflows.platform.status import load_wish
from hera_workflows.platform.up import down, up
from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.operation import Operation
from slipway.version import ModelVersion, render_release_env
from triton_repo.serving import POINTS
from triton_repo.signing import sign

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from pathlib import Path
from hera_workflows.platform.reconcile import reconcile
from hera_workflows.settings import read_platform
kill = lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == sys.argv[2] else None
reconcile(read_platform(Path(sys.argv[1])), "staging", at=kill)
"""


def test_a_release_is_served_when_its_push_returns(shop):
    shop.release(shop.publish())
    assert shop.served("staging") == {"toy": [1]}
    assert shop.served("production") == {}


def test_a_newer_release_takes_the_older_one_s_place(shop):
    shop.release(shop.publish(2.0))
    shop.release(shop.publish(3.0))
    assert shop.served() == {"toy": [2]}


def test_git_revert_brings_the_older_version_back(shop):
    shop.release(shop.publish(2.0))
    shop.release(shop.publish(3.0))
    shop.commit(lambda clone: subprocess.run(["git", "-C", str(clone), "revert", "--no-commit", "HEAD"], check=True))
    assert shop.served() == {"toy": [1]}


def test_a_version_that_does_not_load_leaves_the_old_one_and_the_pusher_reads_why(shop):
    shop.release(shop.publish(2.0))
    bad = shop.publish(3.0, model=b"no graph at all")
    said = shop.edit(render_release_env(bad))
    assert f"staging: {bad.name} is not served as asked" in said
    assert shop.served() == {"toy": [1]}


def test_a_version_that_did_not_load_is_not_tried_again_by_the_release_of_another_model(shop):
    bad = shop.publish(3.0, "bad", model=b"no graph at all")
    shop.release(bad)
    said = shop.commit(lambda clone: None, "Nothing that concerns a server")
    assert "did not load" not in said
    good = shop.publish(2.0, "good")
    said = shop.commit(lambda clone: write_release(clone / shop.folder("good"), good))
    assert f"{bad} did not load before (" in said
    assert f"staging: {good.name} ready" in said


def test_a_person_has_it_tried_again(shop):
    bad = shop.publish(3.0, model=b"no graph at all")
    shop.release(bad)
    (done,) = reconcile(shop.platform, "staging")
    assert [r.reason.startswith(f"{bad} does not load: ") for r in done.results if r.model == bad.name] == [True]


def test_a_version_that_did_not_load_is_forgotten_once_another_is_released(shop):
    bad = shop.publish(3.0, model=b"no graph at all")
    shop.release(bad)
    shop.release(shop.publish(2.0))
    said = shop.edit(render_release_env(bad))
    assert f"{bad} does not load: " in said
    assert shop.served() == {"toy": [2]}


def write_release(folder: Path, version: ModelVersion) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "release.env").write_text(render_release_env(version))


def test_a_version_that_the_store_does_not_have_is_refused_and_the_old_one_stays(shop):
    version = shop.publish()
    shop.release(version)
    shop.edit(render_release_env(ModelVersion(version.name, 9, version.digest)))
    assert shop.served() == {"toy": [1]}


def test_a_release_edited_into_nonsense_leaves_what_is_served(shop):
    shop.release(shop.publish())
    said = shop.edit("VERSION=../../etc")
    assert f"{shop.folder()}/release.env is not followed" in said
    assert shop.served() == {"toy": [1]}


def test_a_version_that_an_older_slipway_published_is_what_is_served_beside_nonsense(shop):
    version = shop.publish()
    folder = shop.store.local_path(version.name, version.number)
    content = json.loads((folder / "manifest.json").read_bytes())
    del content["spec"]["train"]["tolerations"]  # as before model.yaml had it
    older = json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(older)
    (folder / "manifest.sig").write_bytes(sign(older, shop.platform.signing_key))
    shop.release(shop.store.version(version.name, version.number))
    shop.edit("?")
    (done,) = reconcile(shop.platform, "staging")
    assert [result.state for result in done.results if result.model == version.name] == ["unchanged"]


def test_the_place_of_nonsense_is_said_once(shop):
    shop.release(shop.publish())
    place = f"{shop.folder()}/release.env"
    said = shop.edit("VERSION=../../etc")
    (note,) = [note.text for note in load_wish(str(shop.platform.env_repo), None).notes if place in note.text]
    assert (said.count(place), note.count(place)) == (1, 1)


def test_nonsense_of_one_model_does_not_stop_another(shop):
    shop.release(shop.publish(name="first"))
    shop.edit("?", "first")
    shop.release(shop.publish(name="second"))
    assert shop.served() == {"first": [1], "second": [1]}


def test_a_model_whose_folder_is_removed_is_served_no_more(shop):
    shop.release(shop.publish())
    shop.commit(lambda clone: shutil.rmtree(clone / shop.folder()))
    assert shop.served() == {}


def test_releases_that_are_pushed_at_once_are_all_served(shop):
    versions = [shop.publish(name=f"toy{n}") for n in range(4)]
    threads = [threading.Thread(target=shop.release, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.served() == {f"toy{n}": [1] for n in range(4)}


def test_a_release_pushed_while_the_platform_is_down_is_served_by_the_next_up(shop):
    down(shop.platform.home)
    try:
        shop.release(shop.publish())
        assert shop.served() == {}
        with pytest.raises(Misconfigured, match="is stopped; `slipway up` starts it"):
            reconcile(shop.platform)
    finally:
        up(shop.platform.home.parent)
    assert shop.served() == {"toy": [1]}


@pytest.mark.parametrize("point", ["server lives", *POINTS])
def test_reconcile_that_was_killed_is_finished_by_the_next_one(shop, point):
    shop.release(shop.publish(2.0, "old"))
    shop.release(shop.publish(2.0, "kept"))
    wanted = shop.publish(3.0, "kept")
    # Without the hook, so that the killed process is the first to see it: old goes, kept moves on.
    hook = shop.platform.env_repo / "hooks" / "post-receive"
    hook.rename(hook.with_suffix(".off"))
    shop.release(wanted)
    shop.commit(lambda clone: shutil.rmtree(clone / shop.folder("old")))
    hook.with_suffix(".off").rename(hook)
    done = subprocess.run([sys.executable, "-c", KILLED, str(shop.platform.home), point], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    reconcile(shop.platform, "staging")
    assert shop.served() == {"kept": [2]}


def test_an_environment_without_a_server_is_named(shop):
    with pytest.raises(Misconfigured, match="environment canary has no server here; use one of staging, "):
        reconcile(shop.platform, "canary")


def test_the_command_ends_with_65_when_something_is_not_served(shop):
    shop.release(shop.publish())
    shop.edit("?")
    with pytest.raises(Rejected, match="staging: not everything is served"):
        CliRunner().invoke(reconcile_command, obj=shop.platform.home, standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize("point", ["fetched", "placed", "configured", "loaded"])
def test_a_triton_that_is_killed_while_it_loads_is_healed_by_the_next_reconcile(shop, point):
    version = shop.publish()
    hook = shop.platform.env_repo / "hooks" / "post-receive"
    hook.rename(hook.with_suffix(".off"))
    shop.release(version)
    hook.with_suffix(".off").rename(hook)

    def kill(reached: str) -> None:
        if reached == point:
            triton = running(shop.platform.home, "staging")
            assert triton is not None
            os.kill(triton.pid, signal.SIGKILL)

    with pytest.raises(TryAgain, match="Triton"):
        reconcile(shop.platform, "staging", at=kill)
    reconcile(shop.platform, "staging")
    assert shop.served() == {"toy": [1]}


def test_history_that_was_rewritten_is_refused_by_the_env_repo(shop):
    shop.release(shop.publish())
    clone = shop.scratch / "clone"
    subprocess.run(["git", "clone", "-q", str(shop.platform.env_repo), str(clone)], check=True)
    pushed = subprocess.run(
        ["git", "-C", str(clone), "push", "--force", "origin", "HEAD~1:main"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "main is the record of every decision and is not rewritten" in pushed.stderr
    assert shop.served() == {"toy": [1]}


def test_a_request_that_somebody_pushed_onto_is_replaced_when_it_is_judged_again(shop):
    version, url = shop.publish(), str(shop.platform.env_repo)
    base = read(url).commit
    operation = Operation(f"promote/{version.name}", "promote", "production", version, verdict="PASS")
    request = open_request(url, version, operation, evidence=b"{}", base=base)
    branch = f"HEAD:{request.branch}"
    shop.commit(
        lambda clone: subprocess.run(["git", "-C", str(clone), "checkout", "-q", request.head], check=True), to=branch
    )
    assert [r.changed for r in requests(url) if r.version == version] == [True]
    again = Operation(f"promote/{version.name}/2", "promote", "production", version, verdict="PASS")
    assert not open_request(url, version, again, evidence=b"{}", base=base).changed
    reject(url, "production", version.name, by="Ada", reason="the end of the test")
