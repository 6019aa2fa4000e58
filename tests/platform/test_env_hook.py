"""What env.git refuses, and what the pusher reads then."""

from __future__ import annotations

import subprocess

import pytest

GOOD = "environments:\n- {name: staging, accepts: direct}\n- {name: production, after: staging}\n"


def pushed(shop, environments: str | None, to: str = "main") -> subprocess.CompletedProcess[str]:
    """A person's push of another environments.yaml; None removes it."""
    clone = shop.scratch / "clone"
    git = ["git", "-C", str(clone), "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    subprocess.run(["git", "clone", "-q", str(shop.platform.env_repo), str(clone)], check=True)
    file = clone / "envs" / "environments.yaml"
    file.unlink() if environments is None else file.write_text(environments)
    subprocess.run([*git, "commit", "-qam", "By hand", "--allow-empty"], check=True)
    return subprocess.run([*git, "push", "-q", "origin", f"HEAD:{to}"], check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("environments:\n- {name: staging\n", "envs/environments.yaml:"),
        ("environments:\n- {name: staging, accepts: nobody}\n", "accepts"),
        (None, "envs/environments.yaml is missing"),
    ],
)
def test_an_environments_yaml_that_nobody_could_read_is_refused_with_the_reason(shop, content, reason):
    done = pushed(shop, content)
    said = done.stderr.replace("remote: ", "")
    assert (done.returncode, reason in said, "what is there now stays" in said) == (1, True, True)


def test_another_environments_yaml_is_taken(shop):
    assert pushed(shop, f"# A remark.\n{GOOD}").returncode == 0


def test_a_branch_that_git_would_take_for_another_is_refused(shop):
    done = pushed(shop, GOOD, to="refs/heads/refs/heads/main")
    assert "a branch named refs/heads/main is taken for another one by git" in done.stderr
    assert done.returncode == 1
