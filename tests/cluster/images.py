"""Which images does the cluster itself need, and does its registry have them?"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import registry
from tests.cluster.build import cache_folder
from tests.cluster.buildah import buildah, has, push, run
from tests.cluster.registry import URL, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.cluster.build import Built
    from tests.cluster.place import Place

__all__ = [
    "BASE",
    "Image",
    "all_tags",
    "build_base",
    "publish",
    "publish_all",
    "reference",
    "references",
    "root_folder",
]

BASE = "localhost/slipway/base:latest"  # as buildah has it here

_SUITE = "bookworm"
# Python and git for slipway's own steps, libpython for Triton's stub, the rest for Argo CD.
_PACKAGES = ("ca-certificates", "git", "gnupg", "libpython3.11", "python-is-python3", "redis-server", "tini")
_USERS = {"slipway": 1000, "argocd": 999, "argo": 8737, "events": 9731}
_ARGOCD_ROLES = ("server", "repo-server", "application-controller", "applicationset-controller", "cmp-server")


@dataclass(frozen=True, slots=True)
class Image:
    """Files or folders by target path, and links by target, laid over the base image (over nothing if it is "")."""

    name: str
    files: Mapping[str, Path]
    links: Mapping[str, str] = field(default_factory=dict)
    base: str = "base"
    user: str = "1000:1000"
    entrypoint: Sequence[str] = ()

    @property
    def tag(self) -> str:
        """Of what is asked for, so that a changed image is another one."""
        recipe = repr((sorted(self.files.items()), sorted(self.links.items()), self.base, self.user, self.entrypoint))
        return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _images(built: Mapping[str, Built]) -> list[Image]:
    workflows, cd = built["argo-workflows"], built["argo-cd"]
    programs = "/usr/local/bin"
    tools = {
        **{f"{programs}/{name}": cd.share(f"hack/{name}") for name in ("git-verify-wrapper.sh", "gpg-wrapper.sh")},
        f"{programs}/argocd": cd.program("argocd"),
        f"{programs}/kustomize": built["kustomize"].program("kustomize"),
    }
    images = [
        Image("pause", {"/pause": built["pause"].program("pause")}, base="", user="65535:65535", entrypoint=["/pause"]),
        Image("base", {"/": root_folder()}, base=""),
        Image(
            "argo-workflows",
            {f"/bin/{name}": workflows.program(name) for name in workflows.product.programs},
            user="8737",
        ),
        Image(
            "argo-events",
            {"/bin/argo-events": built["argo-events"].program("argo-events")},
            user="9731",
            entrypoint=["/bin/argo-events"],
        ),
        Image(
            "argo-cd",
            tools,
            links={f"{programs}/argocd-{role}": "argocd" for role in _ARGOCD_ROLES},
            user="999",
            entrypoint=["/usr/bin/tini", "--"],
        ),
    ]
    if keda := built.get("keda"):
        images.append(Image("keda", {f"/{name}": keda.program(name) for name in keda.product.programs}))
    return images


def all_tags(place: Place) -> dict[str, set[str]]:
    """By repository of the registry, the tags that are of use."""
    return {image.name: {image.tag} for image in _images(place.built)}


def root_folder() -> Path:
    """The base image's file system, named by what it is made of."""
    recipe = hashlib.sha256(repr((_SUITE, _PACKAGES, _USERS)).encode()).hexdigest()[:12]
    return cache_folder() / f"debian-{recipe}"


def build_base(place: Place, say: Callable[[str], None]) -> None:
    """Make the base image on this machine, if it is not there; may need the Debian mirror. Raises TryAgain."""
    if has(place, BASE):
        return
    if not root_folder().is_dir():
        say(f"install a Debian {_SUITE} for the base image")
        _debootstrap(root_folder())
    container = buildah(place, "from", "scratch").strip()
    buildah(place, "copy", "--quiet", container, str(root_folder()), "/")
    buildah(place, "config", "--user=1000:1000", "--cmd=", container)
    buildah(place, "commit", "--quiet", "--rm", "--disable-compression", container, BASE)


def _debootstrap(folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    run(["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(draft)], seconds=900)
    for unused in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "dev"):
        shutil.rmtree(draft / unused, ignore_errors=True)
        (draft / unused).mkdir()
    with (draft / "etc/passwd").open("a") as users, (draft / "etc/group").open("a") as groups:
        for name, number in _USERS.items():
            users.write(f"{name}:x:{number}:{number}::/tmp:/usr/sbin/nologin\n")
            groups.write(f"{name}:x:{number}:\n")
    draft.rename(folder)


def build(place: Place, say: Callable[[str], None]) -> None:
    """Make what publishing needs and the network forbids: the base image, if some image is missing."""
    if any(not registry.holds(image.name, image.tag) for image in _images(place.built)):
        build_base(place, say)


def publish_all(place: Place, say: Callable[[str], None]) -> None:
    """Build and push the images that the registry lacks."""
    for image in _images(place.built):
        if digest_of(image.name, image.tag) is None:
            say(f"image {image.name}")
            publish(place, image)


def publish(place: Place, image: Image) -> str:
    """Build one image over one of the cluster's own and push it; its reference by digest."""
    if image.name == "base":
        push(place, BASE, image.name, image.tag)
        return registry.reference(image.name, image.tag)
    bases = {one.name: f"{URL}/{one.name}:{one.tag}" for one in _images(place.built)} | {"base": BASE, "": "scratch"}
    container = buildah(
        place, "from", "--pull-never" if image.base == "base" else "--pull", "--tls-verify=false", bases[image.base]
    ).strip()
    name = f"{URL}/{image.name}:{image.tag}"
    try:
        stage = place.path("stage")
        shutil.rmtree(stage, ignore_errors=True)
        for target, path in image.files.items():
            if path.is_dir():
                buildah(place, "copy", "--quiet", container, str(path), target)
            else:
                inside = stage / target.lstrip("/")
                inside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, inside)
                inside.chmod(0o755)
        for target, original in image.links.items():
            inside = stage / target.lstrip("/")
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.symlink_to(original)
        if stage.is_dir():
            buildah(place, "copy", "--quiet", container, str(stage), "/")
            shutil.rmtree(stage)
        settings = [f"--user={image.user}", f"--entrypoint={json.dumps(list(image.entrypoint))}", "--cmd="]
        buildah(place, "config", *settings, container)
        buildah(place, "commit", "--quiet", "--disable-compression", container, name)
    finally:
        buildah(place, "rm", container)
    push(place, name, image.name, image.tag)
    return registry.reference(image.name, image.tag)


def references(place: Place) -> dict[str, str]:
    """Each of the cluster's own images by digest, by name. Raises TryAgain if the registry lacks one."""
    return {image.name: registry.reference(image.name, image.tag) for image in _images(place.built)}


def reference(place: Place, name: str) -> str:
    """One of the cluster's own images by digest, as a pod names it. Raises TryAgain if the registry lacks it."""
    return registry.reference(name, next(image for image in _images(place.built) if image.name == name).tag)
