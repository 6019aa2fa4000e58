"""How are images built on this machine, and handed to the registry?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import TryAgain
from tests.cluster.place import APART, RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cluster.place import Place

__all__ = ["buildah", "forget", "has", "push", "run"]


def buildah(place: Place, *arguments: str, seconds: float = 900) -> str:
    """What buildah prints; its images, and what it hands on, lie in the state folder. Raises TryAgain."""
    storage = [f"--root={place.folder}/buildah", f"--runroot={RUN}/buildah", "--storage-driver=overlay"]
    (handed := _handed_on(place)).mkdir(parents=True, exist_ok=True)
    return run(["env", f"TMPDIR={handed}", "nice", "-n", "5", "buildah", *storage, *arguments], seconds=seconds)


def has(place: Place, image: str) -> bool:
    """Whether the image was built here and not forgotten yet."""
    return image in _images(place)


def push(place: Place, image: str, name: str, tag: str) -> None:
    """Give an image that was built here to the registry."""
    words = ["--quiet", "--tls-verify=false", "--disable-compression"]
    buildah(place, "push", *words, image, f"docker://{APART}:5000/{name}:{tag}")


def forget(place: Place, keep: Sequence[str]) -> None:
    """Remove every image from this machine's store but those in `keep`, and what an interrupted build left."""
    buildah(place, "rm", "--all")
    unwanted = [image for image in _images(place) if image not in keep]
    if unwanted:
        buildah(place, "rmi", "--force", *unwanted)
    buildah(place, "rmi", "--prune", "--force")
    shutil.rmtree(_handed_on(place))


def _handed_on(place: Place) -> Path:
    """Where layers are between container and registry; a kill leaves gigabytes there."""
    return place.folder / "buildah-tmp"


def _images(place: Place) -> list[str]:
    names = buildah(place, "images", "--format", "{{.Name}}:{{.Tag}}").split()
    return [name for name in names if not name.startswith("<none>")]


def run(arguments: Sequence[str], *, seconds: float = 300, folder: Path | None = None) -> str:
    """What a command prints. Raises TryAgain with the end of what it said if it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=seconds, cwd=folder)
    if done.returncode:
        raise TryAgain(f"{' '.join(arguments[:12])} failed: {(done.stderr + done.stdout).strip()[-1500:]}")
    return done.stdout
