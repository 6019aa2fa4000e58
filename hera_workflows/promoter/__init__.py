"""The promoter: one pass over every release judges what is served, and promotes or rolls back what follows from it."""

from __future__ import annotations

from hera_workflows.promoter.one_pass import FORGE_POINTS, POINTS, promote
from hera_workflows.promoter.scene import Line, Pass, Promoter

__all__ = ["FORGE_POINTS", "POINTS", "Line", "Pass", "Promoter", "promote"]
