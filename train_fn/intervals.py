"""How sure a figure is: exact intervals of shares, and a bootstrap over groups of related texts. All are 95 %."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from train_fn.metrics import Floats, Ints
from train_fn.values import Frozen

LEVEL = 0.95
DRAWS = 1000
SEED = 0


class Interval(Frozen):
    """From `low` to `high`."""

    low: float
    high: float


class Share(Frozen):
    """`hits` of `rows` texts, with the exact interval, which takes texts for independent. None where there are
    no texts.
    """

    value: float | None
    interval: Interval | None
    hits: int
    rows: int


def share(hits: NDArray[np.bool_]) -> Share:
    """The share of True in `hits` [texts]."""
    rows, count = len(hits), int(hits.sum())
    if not rows:
        return Share(value=None, interval=None, hits=0, rows=0)
    return Share(value=count / rows, interval=exact(count, rows), hits=count, rows=rows)


def exact(hits: int, rows: int) -> Interval:
    """The interval of Clopper and Pearson (1934) for `hits` of `rows`."""
    from scipy.stats import binomtest

    found = binomtest(hits, rows).proportion_ci(LEVEL, "exact")
    return Interval(low=float(found.low), high=float(found.high))


def resample(statistic: Callable[[Floats], Floats], group: Ints, draws: int = DRAWS) -> Floats:
    """The numbers of `statistic` in each draw, [draws, numbers]; nan where a draw does not have one.

    Groups are drawn with replacement, as many as there are, for their rows are not independent. `statistic` takes
    how often each row was drawn, float64 [rows], as weights; `group` [rows] may be any numbers.
    """
    numbers, code = np.unique(group, return_inverse=True)
    count, random = len(numbers), np.random.default_rng(SEED)
    with np.errstate(invalid="ignore"):  # a draw without one of the classes is nan, and counts for nothing
        return np.array(
            [
                statistic(
                    np.bincount(random.integers(count, size=count), minlength=count)[code].astype(float)
                )
                for _ in range(draws)
            ]
        )


def percentiles(values: Floats) -> Interval | None:
    """The middle 95 % of a number's draws [draws]; None where no draw has it."""
    known = values[~np.isnan(values)]
    return _middle(known) if len(known) else None


def mirrored(values: Floats, found: float) -> Interval:
    """The interval of a number from 0 up that noise raises, as an ECE: `found`, and again each draw [draws].

    The basic bootstrap (Davison and Hinkley 1997, section 5.2), its lower end lower still by what the draws are
    raised. In simulations it held the truth in 85 to 97 %, the percentile interval in 0 % where that is near 0.
    `found` itself may lie above it.
    """
    draws = _middle(values)
    low = 2 * found - draws.high - (float(values.mean()) - found)
    return Interval(low=max(0.0, low), high=max(0.0, 2 * found - draws.low))


def _middle(values: Floats) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(low=float(low), high=float(high))


def weighted_auroc(margin: Floats, labels: Ints) -> Callable[[Floats], float]:
    """The area under the ROC curve as a function of the weights [rows] of the rows, which are sorted once.

    It is the weighted share of pairs of an AI and a human text of which the AI text scores higher; a tie is half.
    """
    order = np.argsort(margin)
    starts = np.unique(margin[order], return_index=True)[1]  # where rows of another score begin
    ai = labels[order] == 0

    def area(weights: Floats) -> float:
        sorted_weights = weights[order]
        of_ai = np.add.reduceat(sorted_weights * ai, starts)
        of_human = np.add.reduceat(sorted_weights * ~ai, starts)
        return float(of_ai @ (of_human.cumsum() - of_human / 2) / (of_ai.sum() * of_human.sum()))

    return area


def separated(labels: Ints, group: Ints) -> Interval:
    """The interval of an AUROC of 1, of which every draw of a bootstrap is 1 too and so tells nothing.

    Pairs of an AI and a human text that share no group are independent, and all of them are in order: the exact
    interval of as many pairs as the groups [rows] have room for.
    """
    ai, human = np.unique(group[labels == 0]), np.unique(group[labels == 1])
    pairs = min(len(ai), len(human), len(np.union1d(ai, human)) // 2)
    return exact(pairs, pairs) if pairs else Interval(low=0.0, high=1.0)
