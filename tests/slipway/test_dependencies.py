"""What the packages import is what pyproject.toml declares, and not what some other library happens to bring."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("slipway", "gitops", "triton_repo", "hera_workflows")
TRITONS = {"triton_python_backend_utils"}  # lies in the server, beside no distribution
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements: list[str]) -> set[str]:
    """The distributions of requirements such as `httpx>=0.28`."""
    return {re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


def imports(package: str) -> Iterator[str]:
    """The top names of everything that a package's modules import, wherever in them."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


@pytest.mark.parametrize("package", OURS)
def test_every_import_is_declared(package: str):
    declared = names(PROJECT["dependencies"]).union(*map(names, EXTRAS.values()))
    distributions = packages_distributions()
    foreign = set(imports(package)) - set(OURS) - TRITONS - sys.stdlib_module_names
    missing = [
        name
        for name in sorted(foreign)
        if not declared & {each.lower().replace("_", "-") for each in distributions.get(name, [])}
    ]
    assert missing == []


def test_all_is_every_extra():
    (everything,) = EXTRAS["all"]
    assert set(everything.removeprefix("slipway[").removesuffix("]").split(",")) == set(EXTRAS) - {"all"}
