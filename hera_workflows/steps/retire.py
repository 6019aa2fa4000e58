"""Stop serving a model whose folder was removed from the source repository.

Only where versions enter directly: an environment behind an approval is not emptied by a push. There a person runs
`slipway retire`.
"""

from __future__ import annotations

import click

from hera_workflows.steps import run_step
from slipway.names import check_commit, check_model

__all__ = ["retire"]


@click.command()
@click.option("--model", required=True, help="The model's name.")
@click.option("--commit", required=True, help="The commit that removed it, in full.")
@click.option("--run", "run_name", required=True, help="The workflow's name.")
@click.option("--env-repo", required=True, help="The environment repository: a folder or a URL.")
def retire(model: str, commit: str, run_name: str, env_repo: str) -> None:
    """Retire a deleted model from every environment that accepts direct releases.

    \b
    Example:
      python -m hera_workflows.steps.retire --model digits --commit "$(git rev-parse HEAD)" --run push-1 \\
        --env-repo .slipway/env.git
    """
    from gitops.environment_repo import read
    from gitops.retire import retire as remove

    check_model(model)
    check_commit(commit)
    snapshot = read(env_repo)
    for environment in snapshot.environments.environments:
        name = environment.name
        if snapshot.release(name, model) is None:
            continue
        if environment.accepts != "direct":
            click.echo(f"{name} goes on serving {model}; `slipway retire {name} {model}` stops it")
            continue
        done = remove(
            env_repo, name, model, operation_id=f"retire/{run_name}/{name}/{model}", source_commit=commit, run=run_name
        )
        click.echo(f"{name}: retired {model} ({done.commit[:12]})" if done.created else done.reason)


if __name__ == "__main__":
    run_step(retire)
