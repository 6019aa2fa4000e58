"""How sure a measured number is: intervals by resampling samples, and exact tests for counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Combine = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    Statistics = Callable[[slice], NDArray[np.float64]]

__all__ = [
    "Interval",
    "binomial_below",
    "grouped",
    "holm",
    "mcnemar_worse",
    "percentile_interval",
    "rate_interval",
    "resample",
    "score_interval",
    "stretches",
]

GROUPS = 4096
REPEATS = 4000
_CHUNK = 16384  # samples whose statistics are held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float


def grouped(statistics: Statistics, count: int, seed: int) -> NDArray[np.float64]:
    """(groups, k): sums of per-sample statistics over at most 4,096 random groups of nearly equal size.

    Samples are exchangeable, so resampling random groups gives the same spread as resampling samples, at a cost
    that does not grow with the data. statistics(slice) gives the (m, k) rows of a stretch of samples.
    """
    import numpy as np

    groups = min(GROUPS, count)
    place = np.random.default_rng(seed).permutation(count) % groups
    total: NDArray[np.float64] | None = None
    for stretch in stretches(count):
        part = statistics(stretch)
        if total is None:
            total = np.zeros((groups, part.shape[1]))
        np.add.at(total, place[stretch], part)
    assert total is not None
    return total


def stretches(count: int) -> Iterator[slice]:
    """Samples 0 to `count` in parts of which all statistics fit into memory."""
    for start in range(0, count, _CHUNK):
        yield slice(start, min(count, start + _CHUNK))


def resample(sums: NDArray[np.float64], count: int, seed: int, repeats: int = REPEATS) -> Iterator[NDArray[np.float64]]:
    """Yield (b, k) blocks of resampled means, `repeats` rows in all; sums: (groups, k) over `count` samples.

    The same seed draws the same samples whatever k is, which is what makes comparisons paired.
    """
    import numpy as np

    groups, generator = len(sums), np.random.default_rng(seed)
    sizes = count // groups + (np.arange(groups) < count % groups)  # as `grouped` deals the samples out
    block = max(1, min(repeats, 4_000_000 // groups))
    for start in range(0, repeats, block):
        rows = min(block, repeats - start)
        drawn = generator.integers(0, groups, size=(rows, groups)) + np.arange(rows)[:, None] * groups
        weights = np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups)
        yield weights.astype(np.float64) @ sums / (weights @ sizes)[:, None]


def percentile_interval(values: NDArray[np.float64], confidence: float) -> Interval | None:
    """The central part of resampled values; None when they are not numbers."""
    import numpy as np

    finite = values[np.isfinite(values)]
    if len(finite) < 0.9 * len(values):
        return None
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def score_interval(better: int, worse: int, count: int, confidence: float) -> Interval:
    """The interval of (better - worse) / count for paired yes/no answers; honest when almost nothing differs.

    better, worse: samples that only the one or only the other got right. Resampling would give an interval of
    width 0 when no sample differs. Source: Tango 1998, Statistics in Medicine 17:891-908, eq. 6.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, n, observed = float(norm.ppf((1 + confidence) / 2)), count, (better - worse) / count

    def score(difference: float) -> float:
        a, b = 2 * n, -better - worse + (2 * n - better + worse) * difference
        c = -worse * difference * (1 - difference)
        q = (max(0.0, b * b - 4 * a * c) ** 0.5 - b) / (2 * a)
        spread = max(n * (2 * q + difference * (1 - difference)), 1e-12)
        return float((better - worse - n * difference) / spread**0.5)

    edge = 1 - 1e-9
    low = brentq(lambda d: score(d) - z, -edge, observed - 1e-12) if score(-edge) > z else -1.0
    high = brentq(lambda d: score(d) + z, observed + 1e-12, edge) if score(edge) < -z else 1.0
    return Interval(float(low), float(high))


def rate_interval(hits: int, count: int, confidence: float) -> Interval:
    """The interval of a rate, honest at 0 and 1 too. Source: Wilson 1927, JASA 22:209-212."""
    from scipy.stats import binomtest

    bounds = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return Interval(float(bounds.low), float(bounds.high))


def mcnemar_worse(better: int, worse: int) -> float:
    """The exact one-sided p value that the candidate is no worse: of the samples that differ, half should be worse.

    Source: McNemar 1947; exact binomial form.
    """
    from scipy.stats import binom

    return float(binom.sf(worse - 1, better + worse, 0.5)) if better + worse else 1.0


def binomial_below(hits: int, count: int, limit: float) -> float:
    """The exact p value that a rate is at least `limit`, seeing `hits` of `count`; small means it is below."""
    from scipy.stats import binom

    return float(binom.cdf(hits, count, limit))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected when all are tested together, with at most `level` chance of any false one.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65-70.
    """
    rejected: list[bool] = [False] * len(p_values)
    order: list[Any] = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected
