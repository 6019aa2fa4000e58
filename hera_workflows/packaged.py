"""Where is the data that comes with slipway: rendered workflows and examples?"""

from __future__ import annotations

from pathlib import Path

from slipway.errors import Misconfigured

__all__ = ["packaged"]


def packaged(name: str) -> Path:
    """The file or folder of that name (`deploy/workflows`, `examples`): in the wheel, else in the checkout."""
    here = Path(__file__).parent
    for place in (here / "packaged_data", here.parent):
        if (place / name).exists():
            return place / name
    raise Misconfigured(f"{name} is missing from this installation of slipway; install it again")
