"""Does the way carry whatever people bring? Pictures, sentences and numbers go to production by one push.

`make demo-all`, or `python -m hera_workflows.platform.demo_all`. The examples learn from small data that is made here,
so what their reports say of the models is not what they reach on the full sets.
"""

from __future__ import annotations

import shutil
import sys

import click

from hera_workflows.packaged import packaged
from hera_workflows.platform.story import Story, perform, run_story

__all__ = ["main"]


def models() -> list[str]:
    """The examples that come with slipway."""
    return sorted(path.parent.name for path in (packaged("examples") / "models").glob("*/model.yaml"))


def tell(story: Story) -> None:
    """The story; raises Rejected as soon as something is not as it should be."""
    names = models()
    with story.step(f"a project of {len(names)} models, in git: {', '.join(names)}"):
        for name in names:
            folder = story.project / "models" / name
            shutil.copytree(packaged("examples") / "models" / name, folder)
            if (folder / "make_data.py").is_file():
                story.run(sys.executable, str(folder / "make_data.py"))
        story.run("git", "init", "-q", "--initial-branch=main")
    with story.step("slipway up: repositories, a Triton for staging and one for production, Prometheus"):
        story.slipway("up")
        story.run("git", "remote", "add", "slipway", str(story.home / "source.git"))
    with story.step("git push: each is trained, validated, published and served in staging") as found:
        story.push("Bring pictures, sentences and numbers")
        found += [story.serves("staging", name, 1) for name in names]
    with story.step("slipway promote --wait: golden requests are replayed in staging, and they pass"):
        story.slipway("promote", "--wait", "5m")
    with story.step("slipway approve: the judged commits are merged, production serves them") as found:
        for name in names:
            story.slipway("approve", "production", name, "--by", "Grace", "--yes")
        found += [story.serves("production", name, 1) for name in names]


def ending(story: Story) -> str:
    """What production serves, and a report for each."""
    reports = [f"  {story.platform.store / name / '1' / 'report.html'}" for name in models()]
    return "\n".join(["", story.slipway("status").rstrip(), "", "reports", *reports, ""])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step.")
def main(as_json: bool) -> None:
    """Take every example to production by one push, then stop everything unless KEEP=1."""
    perform(tell, ending, as_json)


if __name__ == "__main__":
    run_story(main)
