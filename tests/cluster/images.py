"""Which images does the cluster itself need, and does its registry have them?"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain
from tests.cluster.build import cache_folder
from tests.cluster.place import RUN
from tests.cluster.registry import HOST, URL, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.cluster.build import Built
    from tests.cluster.place import Place

__all__ = ["PUBLISHED", "Image", "ensure_root", "publish", "publish_all", "reference", "restore"]

PUBLISHED = ("base", "pause", "argo-workflows", "argo-events", "argo-cd")

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
    return [
        Image("pause", {"/pause": built["pause"].program("pause")}, base="", user="65535:65535", entrypoint=["/pause"]),
        Image("base", {"/": _root()}, base=""),
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


def ensure_root(built: Mapping[str, Built], say: Callable[[str], None]) -> None:
    """Bring up the base image's file system, if it will be needed; needs the Debian mirror. Raises TryAgain."""
    if _stored(built).is_dir() or _root().is_dir():
        return
    say(f"install a Debian {_SUITE} for the base image")
    draft = _root().with_name(f".{_root().name}")
    shutil.rmtree(draft, ignore_errors=True)
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(draft)], seconds=900)
    for unused in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "dev"):
        shutil.rmtree(draft / unused, ignore_errors=True)
        (draft / unused).mkdir()
    with (draft / "etc/passwd").open("a") as users, (draft / "etc/group").open("a") as groups:
        for name, number in _USERS.items():
            users.write(f"{name}:x:{number}:{number}::/tmp:/usr/sbin/nologin\n")
            groups.write(f"{name}:x:{number}:\n")
    draft.rename(_root())


def restore(place: Place) -> None:
    """Put the images of an earlier build where the registry, not yet started, will find them."""
    if not place.path("registry").exists() and _stored(place.built).is_dir():
        _run(["cp", "-a", "--reflink=auto", str(_stored(place.built)), f"{place.folder}/registry.new"])
        place.path("registry.new").rename(place.path("registry"))


def publish_all(place: Place, say: Callable[[str], None]) -> None:
    """Build and push the images that the registry lacks, and keep them in the cache."""
    wanted = _images(place.built)
    missing = [image for image in wanted if digest_of(image.name, image.tag) is None]
    for image in missing:
        say(f"image {image.name}")
        publish(place, image)
    if not missing and _stored(place.built).is_dir():
        return
    work = _stored(place.built).with_name(".images")
    shutil.rmtree(work, ignore_errors=True)
    _run(["cp", "-a", "--reflink=auto", str(place.path("registry")), str(work)])
    for older in cache_folder().glob("images-*"):
        shutil.rmtree(older)
    work.rename(_stored(place.built))
    shutil.rmtree(_buildah_root(place), ignore_errors=True)


def publish(place: Place, image: Image) -> str:
    """Build one image over one of the cluster's own and push it; its reference by digest."""
    bases = {one.name: f"{URL}/{one.name}:{one.tag}" for one in _images(place.built)}
    source = bases[image.base] if image.base else "scratch"
    container = _buildah(place, "from", "--tls-verify=false", source).strip()
    name = f"{URL}/{image.name}:{image.tag}"
    try:
        stage = place.path("stage")
        shutil.rmtree(stage, ignore_errors=True)
        for target, path in image.files.items():
            if path.is_dir():
                _buildah(place, "copy", "--quiet", container, str(path), target)
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
            _buildah(place, "copy", "--quiet", container, str(stage), "/")
            shutil.rmtree(stage)
        settings = [f"--user={image.user}", f"--entrypoint={json.dumps(list(image.entrypoint))}", "--cmd="]
        _buildah(place, "config", *settings, container)
        _buildah(place, "commit", "--quiet", "--disable-compression", container, name)
        _buildah(place, "push", "--quiet", "--tls-verify=false", "--disable-compression", name)
    finally:
        _buildah(place, "rm", container)
    return _by_digest(image)


def reference(place: Place, name: str) -> str:
    """One of the cluster's own images by digest, as a pod names it. Raises TryAgain if the registry lacks it."""
    return _by_digest(next(image for image in _images(place.built) if image.name == name))


def _by_digest(image: Image) -> str:
    digest = digest_of(image.name, image.tag)
    if digest is None:
        raise TryAgain(f"the registry has no image {image.name}:{image.tag}; run `make cluster` again")
    return f"{HOST}/{image.name}@{digest}"


def _stored(built: Mapping[str, Built]) -> Path:
    recipe = repr([(image.name, image.tag) for image in _images(built)])
    return cache_folder() / f"images-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _root() -> Path:
    recipe = hashlib.sha256(repr((_SUITE, _PACKAGES, _USERS)).encode()).hexdigest()[:12]
    return cache_folder() / f"debian-{recipe}"


def _buildah_root(place: Place) -> Path:
    return place.folder / "buildah"


def _buildah(place: Place, *arguments: str) -> str:
    storage = [f"--root={_buildah_root(place)}", f"--runroot={RUN}/buildah", "--storage-driver=overlay"]
    return _run(["nice", "-n", "19", "buildah", *storage, *arguments], seconds=900)


def _run(arguments: Sequence[str], *, seconds: float = 300) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=seconds)
    if done.returncode:
        raise TryAgain(f"{' '.join(arguments[:12])} failed: {(done.stderr + done.stdout).strip()[-1500:]}")
    return done.stdout
