"""The report's drawings: inline SVG that follows the page's colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["latency_histogram", "training_curve"]

# Colours that stand for the page's own; each is replaced by its CSS variable in the finished drawing.
_COLOURS = {"#010101": "var(--ink)", "#020202": "var(--muted)", "#030303": "var(--accent)", "#040404": "var(--line)"}
_INK, _MUTED, _ACCENT, _LINE = _COLOURS
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "text.parse_math": False,  # a "$" in a name is a dollar
    "font.size": 9.5,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "text.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _LINE,
    "grid.linewidth": 0.7,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
}


def training_curve(curve: Sequence[Sequence[float]]) -> str:
    """Mean loss by epoch; curve: [[epoch, loss], …]."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    epochs, losses = [point[0] for point in curve], [point[1] for point in curve]
    with _axes("curve") as (axes, result):
        axes.plot(epochs, losses, color=_ACCENT, linewidth=2, marker="o" if len(curve) < 40 else "", markersize=3.5)
        low, high = min(losses), max(losses)
        if low > 0 and high / low > 20:
            axes.set_yscale("log")
            # Plain numbers: powers would be drawn by mathtext, which is off.
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=min(0.0, low))
        # Beside the end of the curve, where the curve cannot run through it.
        axes.annotate(
            f"{losses[-1]:.3g}",
            (epochs[-1], losses[-1]),
            (6, 0),
            textcoords="offset points",
            va="center",
            weight="bold",
        )
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        _whole_numbers(axes)
    return result[0]


def latency_histogram(latencies_ms: Sequence[float], p95_ms: float | None) -> str:
    """How many of the requests took how long."""
    import numpy as np

    # The slowest hundredth would squeeze everything else into one bar; it is counted in the last one.
    edge = float(np.quantile(latencies_ms, 0.99)) * 1.1
    with _axes("latency") as (axes, result):
        axes.hist(np.minimum(latencies_ms, edge), bins=32, range=(0, edge), color=_ACCENT, rwidth=0.86)
        axes.set_xlim(0, edge * 1.02)
        if p95_ms is not None and p95_ms <= edge:
            axes.axvline(p95_ms, color=_INK, linewidth=1.2, linestyle=(0, (4, 3)))
            # Above the bars, which it would hide otherwise.
            axes.annotate(
                f"95 % within {p95_ms:.3g} ms", (p95_ms, 1), (0, 3), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="right" if p95_ms > edge * 0.6 else "left", weight="bold",
            )  # fmt: skip
        axes.set_xlabel("milliseconds")
        axes.set_ylabel("requests")
    return result[0]


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


@contextmanager
def _axes(name: str, width: float = 5.2, height: float = 2.7) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on, and a list that holds the finished SVG afterwards."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    result: list[str] = []
    settings: dict[Any, Any] = {**_SETTINGS, "svg.hashsalt": name}
    with rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        axes.set_axisbelow(True)
        yield axes, result
        result.append(_svg(figure, name))


def _svg(figure: Figure, name: str) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    # Two drawings in one page must not share an id, or one is clipped by the other's clip path.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1system-ui, sans-serif", text)
    for placeholder, variable in _COLOURS.items():
        text = text.replace(placeholder, variable)
    return re.sub(r'<svg [^>]*viewBox="([^"]+)"[^>]*>', r'<svg class="figure" viewBox="\1" role="img">', text, count=1)
