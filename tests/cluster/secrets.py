"""What are this cluster's passwords? Made once, kept in the state folder."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.place import Place

__all__ = ["remembered"]


def remembered(place: Place, name: str, make: Callable[[], str] = lambda: secrets.token_hex(20)) -> str:
    """The secret of that name, made at the first call."""
    path = place.path("secrets.json")
    known: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    if name not in known:
        known[name] = make()
        place.write("secrets.json", json.dumps(known, indent=1), mode=0o600)
    return known[name]
