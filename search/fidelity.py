"""Does a small data set predict a large one? From the configurations that were tried on both."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.prior import Tried
from train_fn.values import Frozen

Floats = NDArray[np.float64]
Interval = tuple[float, float]
Curve = Sequence[
    tuple[int, float]
]  # (percent of the run, lowest log loss so far); a complete one ends at 100

LEAST = 6  # shared configurations; simulated with 5, tau's interval missed the truth in 22 % of cases
USEFUL = 0.5  # three of four pairs of configurations are in the same order
TOP = 3
DRAWS = 2_000
TAIL = 0.05  # on either side of an interval


class Fidelity(Frozen):
    """How the order of `shared` configurations on the small set agrees with that on the large one.

    `tau` is Kendall's tau-b, 1 for the same order, None when a set holds equal values only. `overlap` of the
    `top` best are common. `regret` is the log loss (nats) on the large set of the small set's best, less the
    lowest there, at `regret_percent` of the run: noise in the latter makes it look larger than it is. The
    intervals are 90 %, None below LEAST shared configurations, where neither is worth reading. `stopped` of
    the shared ones were stopped early on a set.
    """

    verdict: Literal["PREDICTS", "DOES_NOT_PREDICT", "TOO_FEW"]
    shared: int
    stopped: int
    tau: float | None
    tau_interval: Interval | None
    top: int
    overlap: int
    regret: float
    regret_percent: int
    regret_interval: Interval | None
    sentence: str


@dataclass(frozen=True)
class Side:
    """The shared configurations on one set. `signs` [n, n] is -1 where the row's is better than the column's at
    the last point of the run that both reached; `order` [n] has the best first, by how many each is better than.

    A complete run and one that was stopped at 10 % are thus compared at 10 %. To rank what was stopped below
    what is complete would call the default better than all that it did not stop: the first trial always
    completes, and later ones are stopped by each other.
    """

    curves: Sequence[Curve]
    signs: Floats
    order: NDArray[np.intp]

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> "Side":
        gaps = [[_at(one, other) - _at(other, one) for other in curves] for one in curves]
        signs = np.sign(np.array(gaps, dtype=np.float64).reshape(len(curves), len(curves)))
        return cls(curves, signs, np.lexsort(([curve[-1][1] for curve in curves], signs.sum(axis=1))))

    @property
    def stopped(self) -> NDArray[np.bool_]:
        """Which were stopped early [n]."""
        return np.array([curve[-1][0] < 100 for curve in self.curves])


def compare(
    small: Mapping[Hashable, Curve], large: Mapping[Hashable, Curve], names: tuple[str, str]
) -> Fidelity | None:
    """Compare configurations by their curves on the small set and on the large one; `names` are the sets'.
    Configurations are equal when their keys are (a frozen `Point` is one). None when none is in both.

    The intervals are percentiles of a bootstrap over the shared configurations. The small set predicts when
    tau's interval lies above 0; it does not when the interval ends below USEFUL; an interval that holds both 0
    and USEFUL is too few shared configurations to tell. Where the shared ones are
    the small set's best alone, tau is smaller than over the whole space, for they lie close together.
    """
    first, second = _sides(small, large)
    count = len(first.curves)
    if not count:
        return None
    once, top = np.ones((1, count)), min(TOP, count)
    tau, regret = float(_taus(first, second, once)[0]), float(_regrets(first, second, once)[0])
    enough = count >= LEAST and np.isfinite(tau)
    drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, DRAWS)
    spread = _interval(_taus(first, second, drawn)) if enough else None
    found = Fidelity(
        verdict=_verdict(spread),
        shared=count,
        stopped=int((first.stopped | second.stopped).sum()),
        tau=tau if np.isfinite(tau) else None,
        tau_interval=spread,
        top=top,
        overlap=len({*first.order[:top].tolist()} & {*second.order[:top].tolist()}),
        regret=regret,
        regret_percent=second.curves[first.order[0]][-1][0],
        regret_interval=_interval(_regrets(first, second, drawn)) if enough else None,
        sentence="",
    )
    return found.model_copy(update={"sentence": _sentence(found, names)})


def agreement(small: Mapping[Hashable, Curve], large: Mapping[Hashable, Curve]) -> float:
    """Kendall's tau-b of the configurations in both; NaN where they cannot tell."""
    first, second = _sides(small, large)
    return float(_taus(first, second, np.ones((1, len(first.curves))))[0])


def curves_of(trials: Iterable[Tried]) -> dict[Hashable, Curve]:
    """The curves of the trials that did not fail, by their points."""
    return {trial.params: trial.curve for trial in trials if trial.status != "FAILED"}


def _sides(small: Mapping[Hashable, Curve], large: Mapping[Hashable, Curve]) -> tuple[Side, Side]:
    keys = [key for key in small if key in large]
    return Side.of([small[key] for key in keys]), Side.of([large[key] for key in keys])


def _at(curve: Curve, other: Curve) -> float:
    """The log loss of `curve` at the last point of the run that both reached."""
    reached = min(curve[-1][0], other[-1][0])
    return next(value for percent, value in curve if percent >= reached)


def _taus(small: Side, large: Side, counts: NDArray[np.generic]) -> Floats:
    """Kendall's tau-b for each row of `counts` [draws, n], which says how often each configuration was drawn;
    one drawn twice is tied with itself. NaN where a side has no two different values."""
    weights = np.asarray(counts, dtype=np.float64)
    tables = (small.signs * large.signs, np.abs(small.signs), np.abs(large.signs))
    agreed, *untied = (((weights @ table) * weights).sum(axis=1) for table in tables)
    scale = np.sqrt(untied[0] * untied[1])
    taus: Floats = np.where(scale > 0, agreed / np.where(scale > 0, scale, 1), np.nan)
    return taus


def _regrets(small: Side, large: Side, counts: NDArray[np.generic]) -> Floats:
    """The regret of choosing on the small set among the configurations that each row of `counts` holds, at the
    point of the run that the chosen one reached; one that was stopped before stands at its last log loss."""
    held = np.asarray(counts) > 0
    chosen = small.order[held[:, small.order].argmax(axis=1)]
    there = np.array([[_at(other, one) for other in large.curves] for one in large.curves])[chosen]
    regrets: Floats = there[np.arange(len(chosen)), chosen] - np.where(held, there, np.inf).min(axis=1)
    return regrets


def _interval(drawn: Floats) -> Interval:
    low, high = np.nanquantile(drawn, [TAIL, 1 - TAIL])
    return float(low), float(high)


def _verdict(spread: Interval | None) -> Literal["PREDICTS", "DOES_NOT_PREDICT", "TOO_FEW"]:
    if spread is not None and spread[0] > 0:
        return "PREDICTS"
    return "DOES_NOT_PREDICT" if spread is not None and spread[1] < USEFUL else "TOO_FEW"


def _sentence(found: Fidelity, names: tuple[str, str]) -> str:
    small, large = names
    told = {
        "PREDICTS": f"{small} predicts {large} here",
        "DOES_NOT_PREDICT": f"{small} does not predict {large} here",
        "TOO_FEW": f"too few shared configurations to tell whether {small} predicts {large}",
    }[found.verdict]
    tau = "no tau, all values being equal on one of them" if found.tau is None else f"tau {found.tau:.2f}"
    where = "" if found.regret_percent == 100 else f" at {found.regret_percent} % of the run"
    stopped = f", {found.stopped} of them stopped early and compared where they were" if found.stopped else ""
    return (
        f"{told}: {tau}{_told(found.tau_interval, '.2f')}, {found.overlap} of the best {found.top} in common, "
        f"choosing at {small} costs {found.regret:.4f} log loss{where}{_told(found.regret_interval, '.4f')}; "
        f"{found.shared} shared configurations{stopped}."
    )


def _told(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f" (90 % interval {interval[0]:{form}} to {interval[1]:{form}})"
