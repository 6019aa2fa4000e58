"""Where is Triton in the nvidia-pytriton wheel, and what does it need around it?"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from slipway.errors import Misconfigured

__all__ = ["environment", "find_library", "make_backends", "tritonserver"]


def _wheel() -> Path:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise Misconfigured("Triton is not installed; install the extra `slipway[server]` (nvidia-pytriton)")
    return Path(spec.origin).parent / "tritonserver"


def tritonserver() -> Path:
    """The server's binary; raises Misconfigured when the wheel is not installed."""
    return _wheel() / "bin" / "tritonserver"


def make_backends(folder: Path) -> Path:
    """A backend directory whose python backend runs this interpreter's version; made again when it is there.

    Raises Misconfigured when the wheel has no stub for this Python.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = _wheel() / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise Misconfigured(f"Triton's wheel has no python backend for Python {version}; use Python 3.11 or 3.12")
    python = folder / "python"
    python.mkdir(parents=True, exist_ok=True)
    # Links, as the files are large; of the wheel's own stub only one is for this Python.
    for file in [*(f for f in (_wheel() / "backends" / "python").iterdir() if f.is_file()), stub]:
        link = python / f".{file.name}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        link.replace(python / file.name)
    return folder


def environment() -> dict[str, str]:
    """The environment in which the server and its python backend find this interpreter and its packages."""
    wheel_libraries = _wheel().parents[1] / "nvidia_pytriton.libs"
    inherited = os.environ.get("LD_LIBRARY_PATH", "")
    library, architecture = sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("MULTIARCH") or ""
    python = find_library(
        f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0",
        [Path(library), Path(library, architecture), Path(sys.base_prefix, "lib")],
    )
    libraries = [str(python or ""), str(wheel_libraries), *inherited.split(":")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(filter(None, dict.fromkeys(libraries))),
        "PATH": ":".join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": sys.prefix,
        # The python backend imports model.py from a version's directory, which holds what was signed and nothing else.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def find_library(name: str, folders: Sequence[Path]) -> Path | None:
    """The first folder with this interpreter's shared library; None when the system finds it without being told.

    Raises Misconfigured when it is not installed: a Python may run without its library, Triton's backend may not.
    """
    for folder in folders:
        if (folder / name).is_file():
            return folder
    try:
        ctypes.CDLL(name)
    except OSError:
        package = name.removesuffix(".so.1.0")
        raise Misconfigured(
            f"Triton's python backend needs {name}, which {sys.base_prefix} does not have; "
            f"`apt-get install {package}`, or use a Python from `uv python install`"
        ) from None
    return None
