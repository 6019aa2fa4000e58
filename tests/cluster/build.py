"""Where are the cluster's programs, and which still have to be built?"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import stamina

from slipway.errors import Misconfigured, TryAgain
from tests.cluster.products import PRODUCTS, Product

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Built", "build_all", "built", "cache_folder", "missing"]

MODULES = Path(__file__).parent / "modules"
# What Go says of a proxy that did not answer as it should; of code, it says a file and a line.
_DOWNLOAD = re.compile(r"https?://|dial tcp|timeout|connection reset|unexpected EOF")


@dataclass(frozen=True, slots=True)
class Built:
    """One product's folder in the cache: bin/<program> and share/<what was kept of its source>."""

    product: Product
    folder: Path
    version: str

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    def share(self, path: str = "") -> Path:
        return self.folder / "share" / path


def cache_folder() -> Path:
    """Where binaries outlive clusters: SLIPWAY_CLUSTER_CACHE, else ~/.cache/slipway-cluster."""
    return Path(os.environ.get("SLIPWAY_CLUSTER_CACHE") or Path.home() / ".cache/slipway-cluster").resolve()


def built(product: Product) -> Built:
    """Where the product is, or will be: named by version and by everything that goes into the build."""
    version = _version(product)
    recipe = hashlib.sha256(repr(product).encode())
    for path in sorted((MODULES / product.name).iterdir()):
        recipe.update(path.read_bytes())
    return Built(product, cache_folder() / f"{product.name}-{version}-{recipe.hexdigest()[:12]}", version)


def missing(without: Collection[str] = ()) -> list[Built]:
    """Those that the cache lacks."""
    return [one for one in map(built, PRODUCTS) if one.product.name not in without and not one.folder.is_dir()]


def build_all(say: Callable[[str], None], *, without: Collection[str] = ()) -> dict[str, Built]:
    """Every product by name, after building those that the cache lacks; finished ones survive a kill.

    without: names of products that are not wanted.

    Raises Misconfigured if Go or a C compiler is missing or a build fails, TryAgain if modules cannot be downloaded.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second builder waits, and then finds everything
        wanted = [built(product) for product in PRODUCTS if product.name not in without]
        _build_each(missing(without), say)
        _remove_superseded(wanted)
        return {one.product.name: one for one in wanted}


def _build_each(lacking: Sequence[Built], say: Callable[[str], None]) -> None:
    for position, one in enumerate(lacking, start=1):
        start, what = time.monotonic(), f"build {position}/{len(lacking)}: {one.product.name} {one.version}"
        say(what)
        for attempt in stamina.retry_context(on=TryAgain, attempts=4, timeout=None, wait_initial=5.0, wait_max=60.0):
            with attempt:
                _build(one)
        say(f"{what} took {time.monotonic() - start:.0f} s")
    # Gigabytes that are only of use while products are missing.
    for folder in _go_caches().values():
        shutil.rmtree(folder, ignore_errors=True)


def _build(one: Built) -> None:
    product = one.product
    if shutil.which("go") is None:
        raise Misconfigured("go is not on PATH; the test cluster is built from Go modules: install Go 1.26 or newer")
    if product.cgo and shutil.which("gcc") is None:
        raise Misconfigured(f"gcc is not on PATH; {product.name} needs a C compiler: apt-get install gcc libc6-dev")
    work = one.folder.with_name(f".building-{product.name}")
    shutil.rmtree(work, ignore_errors=True)
    source, result = work / "source", work / "result"
    shutil.copytree(MODULES / product.name, source)
    try:
        if product.vendored:
            _vendor(product, source)
        major, minor = one.version.removeprefix("v").split(".")[:2]
        words = {"version": one.version, "number": one.version.removeprefix("v"), "major": major, "minor": minor}
        link = " ".join(["-s", "-w", *(f"-X {name}={text.format(**words)}" for name, text in product.versions.items())])
        for program, package in product.programs.items():
            # What debuggers read is made of every package, though linking drops it: a sixth of the time.
            arguments = ["build", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", link]
            tags = ["-tags", ",".join(product.tags)]
            _go([*arguments, *tags, "-o", str(result / "bin" / program), package], source, product)
        if product.share:
            origin = Path(json.loads(_go(["mod", "download", "-json", product.module], source, product))["Dir"])
            for path in product.share:
                _copy(origin / path, result / "share" / path)
        result.rename(one.folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _vendor(product: Product, source: Path) -> None:
    _go(["mod", "vendor", "-e"], source, product)  # -e: embedded files are among what is missing
    module = source / "vendor" / product.module
    for path, content in product.vendored.items():
        target, original = module / path, module / content
        target.parent.mkdir(parents=True, exist_ok=True)
        if "\n" not in content and original.is_file():
            shutil.copyfile(original, target)
        else:
            target.write_text(content)


def _go(arguments: Sequence[str], folder: Path, product: Product) -> str:
    """What `go` prints; low priority and two compilers at a time, because people work on the same machine."""
    environment = dict(os.environ)
    environment.update(
        GOFLAGS="-p=2 -buildvcs=false -modcacherw",  # writable, so that it can be removed
        GOTOOLCHAIN="local",
        GOWORK="off",
        **{name: str(folder) for name, folder in _go_caches().items()},
        CGO_ENABLED="1" if product.cgo else "0",
        CGO_CFLAGS="-O1 -g0",
        # A compiler ends before collecting its garbage pays; beyond 2 GiB each (two or three run) it collects.
        GOGC="off",
        GOMEMLIMIT="2GiB",
    )
    done = subprocess.run(
        ["nice", "-n", "19", "go", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = f"building {product.name}: go {arguments[0]} failed: {done.stderr[-2000:]}"
        if _DOWNLOAD.search(done.stderr):
            raise TryAgain(words)
        raise Misconfigured(words)
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    """A copy; of a file, one that may be run."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o755)
    else:
        shutil.copytree(source, target, copy_function=shutil.copyfile)


def _version(product: Product) -> str:
    for line in (MODULES / product.name / "go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if words[:1] == [product.module] and len(words) > 1:
            return words[1]
    return "v1.0.0"


def _go_caches() -> dict[str, Path]:
    return {"GOCACHE": cache_folder() / "go-build", "GOMODCACHE": cache_folder() / "go-mod"}


def _remove_superseded(wanted: Sequence[Built]) -> None:
    """Drop the folders of older versions of the same products, and nothing else."""
    keep = {one.folder for one in wanted}
    for one in wanted:
        for folder in cache_folder().glob(f"{one.product.name}-v*-*"):
            if folder not in keep and len(folder.name.rpartition("-")[2]) == 12:
                shutil.rmtree(folder)
