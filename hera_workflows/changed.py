"""Which models does a push change, and which paths may no push have?

- A file in `models/NAME/` changes that model; a `model.yaml` that went away deletes it.
- A file anywhere else is shared code and changes every model; documentation changes none.
- When the commit before is not known (a first push, a forced one) every model counts as changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitops.layout import kubernetes_name
from slipway.errors import Rejected
from slipway.names import check_model

__all__ = ["Tree", "changed_models", "check_paths", "touched_paths"]

_LINKS = 40  # that Linux follows on one way
_MODEL_FILE = re.compile(r"models/([^/]+)/model\.yaml")
_DOCUMENTATION = re.compile(
    r"(.*/)?([^/]*\.(md|rst)|LICEN[CS]E[^/]*|\.gitignore|\.gitattributes|\.editorconfig)|docs/.*|\.github/.*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of the source repository at one commit."""

    files: Mapping[str, str]  # path -> object id
    links: Mapping[str, str]  # path of a symbolic link -> its target
    submodules: Mapping[str, str]  # path -> commit

    @property
    def models(self) -> dict[str, str]:
        """Folder name -> object id of its model.yaml."""
        return {match[1]: oid for path, oid in self.files.items() if (match := _MODEL_FILE.fullmatch(path))}


def touched_paths(old: Tree, new: Tree) -> list[str]:
    """The paths that differ, in no order."""
    before = {**old.files, **old.links, **old.submodules}
    after = {**new.files, **new.links, **new.submodules}
    return [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]


def changed_models(old: Tree | None, new: Tree, touched: Sequence[str] | None) -> dict[str, str]:
    """Model -> why it counts as changed (deleted, if `new` lacks it); `touched` are the paths that differ."""
    if old is None or touched is None:
        return dict.fromkeys(sorted(new.models), "the commit before this push is not known")
    whys: dict[str, str] = {}
    shared = None
    for path in sorted(touched):
        if _DOCUMENTATION.fullmatch(path):
            continue
        parts = path.split("/")
        name = parts[1] if len(parts) > 2 and parts[0] == "models" else None
        if name in new.models:
            whys.setdefault(str(name), path)
        elif name in old.models:
            whys[str(name)] = f"models/{name}/model.yaml was removed"
        else:
            shared = shared or path
    if shared is not None:
        for name in new.models:
            whys.setdefault(name, f"shared code {shared}")
    # A path need not be text; what is said of it must be.
    return {name: whys[name].encode(errors="backslashreplace").decode()[:500] for name in sorted(whys)}


def check_paths(tree: Tree) -> None:
    """Raise Rejected for folders that cannot be models, a link that leaves the repository, a submodule in models/."""
    called: dict[str, str] = {}
    for name in sorted(tree.models):
        try:
            check_model(name)
        except Rejected as error:
            raise Rejected(f"models/{name[:80]!r}/: {error}") from None
        other = called.setdefault(kubernetes_name(name), name)
        if other != name:
            raise Rejected(f"models/{name}/ and models/{other}/ would have one name on Kubernetes; rename one of them")
    for path, target in tree.links.items():
        if _leaves(path, tree.links):
            raise Rejected(f"{path!r} links to {target[:80]!r}, outside the repository; commit the file itself")
        if _MODEL_FILE.fullmatch(path):
            raise Rejected(f"{path!r} is a symbolic link; commit the file itself")
    for path in tree.submodules:
        if path.startswith("models/"):
            raise Rejected(f"{path!r} is a submodule, which training does not fetch; commit its files instead")


def _leaves(path: str, links: Mapping[str, str]) -> bool:
    """Whether a link ends outside of the tree, or passes there, when every link on its way is followed."""
    here: list[str] = []
    left, followed = path.split("/")[::-1], 0
    while left and followed <= _LINKS:
        part = left.pop()
        if part == "..":
            if not here:
                return True
            here.pop()
        elif (target := links.get("/".join([*here, part]))) is not None:
            if target.startswith("/"):
                return True
            left += target.split("/")[::-1]
            followed += 1
        elif part not in ("", "."):
            here.append(part)
    return False
