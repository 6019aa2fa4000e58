"""What an environment repository says at one commit: environments, releases, holds and freezes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import yaml
from pydantic import ValidationError

from gitops.git import Git
from gitops.layout import ENVIRONMENTS, FREEZE_FILE, HOLD_FILE, OURS, RELEASE_FILE, hold_path
from gitops.remote import opened
from gitops.tree import list_files, read_blobs
from gitops.yaml_text import load_yaml
from slipway.environments import Environment, Environments, Freeze, Hold
from slipway.errors import Misconfigured, Rejected, first_problem
from slipway.version import ModelVersion, parse_release_env

__all__ = ["Snapshot", "parse_environments", "parse_files", "read"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The environment repository at one commit."""

    commit: str
    environments: Environments
    releases: Mapping[tuple[str, str], ModelVersion]  # by (environment, model)
    broken: Mapping[str, str]  # path -> what is wrong with it and what to do
    holds: list[Hold]
    freezes: Mapping[str, list[Freeze]]  # by environment: its windows, and the one that `slipway freeze` set

    def environment(self, name: str, url: str) -> Environment:
        """An environment by its name; raises Misconfigured, with the names that there are, when there is none."""
        found = self.environments.get(name)
        if found is None:
            names = ", ".join(each.name for each in self.environments.environments)
            raise Misconfigured(f"{url} has no environment {name}; use one of {names}, or add it to {ENVIRONMENTS}")
        return found

    def release(self, environment: str, model: str) -> ModelVersion | None:
        """What an environment serves of a model; None when nothing."""
        return self.releases.get((environment, model))

    def held(self, environment: str, version: ModelVersion) -> Hold | None:
        """The hold that keeps a version out of an environment."""
        return next(
            (
                hold
                for hold in self.holds
                if (hold.environment, hold.model, hold.number) == (environment, version.name, version.number)
            ),
            None,
        )

    def frozen(self, environment: str, now: datetime) -> Freeze | None:
        """The freeze that keeps promotions out of an environment now."""
        return next((freeze for freeze in self.freezes.get(environment, []) if freeze.covers(now)), None)


def read(url: str, *, ref: str = "main") -> Snapshot:
    """Read a branch or a commit; two git processes whatever the number of models.

    Files edited by hand into nonsense are listed in `broken`; the rest stays usable. Raises TryAgain when the
    repository cannot be reached, Misconfigured when it is empty or its environments.yaml is wrong.
    """
    full = ref if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", ref) else f"refs/heads/{ref}"
    with opened(url) as remote:
        if remote.local is not None:
            git = Git(remote.local)
            found = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{full}^{{commit}}")
            commit = found.out.decode().strip()
        else:
            git = remote.git
            commit = full if ref == full else remote.branches(full, depth=1).get(full, "")
            if commit:
                remote.fetch_commits([commit])
                remote.fetch_trees(commit)
        if not commit:
            raise Misconfigured(f"{url} has no {ref}; run `slipway env init` to set it up")
        files, odd = {}, {}
        for entry in list_files(git, commit, ["envs"]):
            if entry.path == ENVIRONMENTS or OURS.fullmatch(entry.path):
                if entry.oddity:
                    odd[entry.path] = f"it is {entry.oddity}; replace it by a plain file"
                else:
                    files[entry.path] = entry.oid
        remote.fetch_objects(list(files.values()))
        blobs = read_blobs(git, files.values())
    return parse_files(commit, {path: blobs[oid] for path, oid in files.items()}, odd)


def parse_files(commit: str, files: Mapping[str, bytes], broken: Mapping[str, str] | None = None) -> Snapshot:
    """A Snapshot from files (those of one folder are enough); raises Misconfigured for environments.yaml."""
    environments = parse_environments(files.get(ENVIRONMENTS), f"{ENVIRONMENTS} at {commit[:12]}")
    releases: dict[tuple[str, str], ModelVersion] = {}
    holds: list[Hold] = []
    wrong = dict(broken or {})
    freezes = {e.name: list(e.freezes) for e in environments.environments}
    for path, content in files.items():
        try:
            if match := RELEASE_FILE.fullmatch(path):
                releases[match["environment"], match["model"]] = _release(path, content, match["model"])
            elif match := HOLD_FILE.fullmatch(path):
                holds.append(_hold(path, content))
            elif match := FREEZE_FILE.fullmatch(path):
                freezes.setdefault(match["environment"], []).append(Freeze.model_validate_json(content))
            elif OURS.fullmatch(path):
                raise Rejected("no environment, model or version has such a name; rename it or remove it")
        except ValidationError as error:
            wrong[path] = f"{error.errors()[0]['msg']}; revert the commit that edited it by hand"
        except Rejected as error:
            wrong[path] = str(error)
    return Snapshot(commit, environments, releases, wrong, holds, freezes)


def parse_environments(content: bytes | None, where: str) -> Environments:
    """Read environments.yaml; raises Misconfigured with the line of the first error."""
    if content is None:
        raise Misconfigured(f"{where} is missing; run `slipway env init` to set it up")
    try:
        return Environments.model_validate(load_yaml(content))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise Misconfigured(f"{where}{place}: {problem}; correct it and commit that") from None
    except ValidationError as error:
        line = _line(yaml.compose(content, Loader=yaml.SafeLoader), error.errors()[0]["loc"])
        raise Misconfigured(f"{where}:{line}: {first_problem(error)}; correct it and commit that") from None


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    for part in location:
        if isinstance(node, yaml.MappingNode):
            # For a key that should not be there pydantic names the key.
            node = next((value for key, value in node.value if key.value == part), node)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
    return node.start_mark.line + 1 if node is not None else 1


def _release(path: str, content: bytes, model: str) -> ModelVersion:
    try:
        version = parse_release_env(content.decode(), path)
    except UnicodeDecodeError:
        raise Rejected(f"{path}: not text; revert the commit that edited it by hand") from None
    if version.name != model:
        raise Rejected(f"{path}: names {version.name}, its folder {model}; revert the commit that edited it by hand")
    return version


def _hold(path: str, content: bytes) -> Hold:
    hold = Hold.model_validate_json(content)
    if hold_path(hold.environment, hold.model, hold.number) != path:
        raise Rejected(f"{path}: is a hold of {hold.environment} {hold.model}@{hold.number}; move or remove it")
    return hold
