"""How property tests run: without a deadline, as a busy machine is slow and not wrong."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")
