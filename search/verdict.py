"""Is the winner of a search better than the default configuration, or was it lucky? The verdict of a confirmation.

The candidates of a search and the default were trained again on fresh seeds and scored on the same rows. The
verdict comes from a paired bootstrap of both noises with the selection of the best inside every draw:

- rows: a resampled mean of hundreds of rows is Gaussian, so its covariance over the candidates, measured on the
  rows, replaces the resampling. What all candidates share on a row cancels in their differences. Related rows,
  such as copies, count as one.
- seeds: resampling two seeds gives two values and far too narrow intervals. The variance of a run's mean is
  pooled over all candidates and seeds instead, after taking out what is common to a candidate and to a seed,
  with (candidates - 1) * (seeds - 1) degrees of freedom. Every draw takes another variance from its scaled
  inverse chi-square distribution, which is what makes Student's t, and never less than the row noise that
  the runs' means must hold.

Two statistics are judged together, their common error rate being 5 %: the gain of the best candidate, as in
Dunnett's comparison of many with one (JASA 50, 1955), and the mean gain of all, for candidates that one search
has picked are better for the same reasons.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from train_fn.errors import InputError
from train_fn.values import Frozen

Floats = NDArray[np.float64]

ERROR = 0.05  # of each end of the interval, and of BETTER when all candidates are equal
DRAWS = 8_000  # the 5 % level is then right to a quarter of a percent
MEAN_SHARE = 1.5  # the mean gain may use so much more of the error rate than the largest gain


class Verdict(Frozen):
    """What a confirmation says. Candidates are indices into `means`, which are mean log losses (nats).

    `challenger` is the best candidate other than the default; `difference` is its mean less the default's,
    below 0 where it is better, and `low` to `high` its 90 % interval, selection counted in. `winner` is the
    challenger, or the default when no candidate has a lower mean. Without rows and with one seed there is no
    interval.
    """

    verdict: Literal["BETTER", "NOT_DISTINGUISHABLE", "DEFAULT"]
    winner: int
    challenger: int
    means: tuple[float, ...]
    difference: float
    low: float | None
    high: float | None
    seeds: int
    rows: int | None
    sentence: str


def judge(
    losses: NDArray[Any], default: int, names: Sequence[str], group: NDArray[Any] | None = None
) -> Verdict:
    """Judge `losses` [candidates, seeds, rows] (nats; the same seeds and rows for all), or their means over the
    rows [candidates, seeds], the interval then speaking of these rows only. `default` is the default's index,
    `names` say the candidates in the sentence. `group` [rows] numbers groups of related rows, if any.

    The same losses give the same verdict: the draws are seeded. One seed never gives BETTER, for it cannot tell
    a configuration from its luck. The pooled variance supposes that all candidates are about equally
    noisy: were the default three times as noisy as the others, 9 % of equal ones would be called BETTER, not 5 %.

    Raises:
        InputError: on another shape, fewer than two candidates or groups, or losses that are not finite.
    """
    values = np.asarray(losses, dtype=np.float64)
    _check(values, default, names, group)
    run_means = values if values.ndim == 2 else values.mean(axis=2)
    means = run_means.mean(axis=1)
    gains = means[default] - np.delete(means, default)
    place = int(gains.argmax())
    challenger = place + (place >= default)
    known = values.ndim == 3 or values.shape[1] > 1
    lowest, highest = _bounds(values, run_means, default, gains, group) if known else (None, None)
    seeds = values.shape[1]
    wins = gains[place] > 0
    better = wins and seeds > 1 and lowest is not None and lowest > 0
    verdict: Any = "BETTER" if better else "NOT_DISTINGUISHABLE" if wins else "DEFAULT"
    found = Verdict(
        verdict=verdict,
        winner=challenger if wins else default,
        challenger=challenger,
        means=tuple(means.tolist()),
        difference=-float(gains[place]),
        low=None if highest is None else -highest,
        high=None if lowest is None else -lowest,
        seeds=seeds,
        rows=values.shape[2] if values.ndim == 3 else None,
        sentence="",
    )
    return found.model_copy(update={"sentence": _sentence(found, default, names)})


def _bounds(
    values: Floats, run_means: Floats, default: int, gains: Floats, group: NDArray[Any] | None
) -> tuple[float, float]:
    """The least and the greatest gain of the best candidate that the losses allow, ERROR each."""
    noise = _noise(values, run_means, group)
    drawn = noise[:, [default]] - np.delete(noise, default, axis=1)
    largest, mean = np.sort(drawn.max(axis=1)), np.sort(drawn.mean(axis=1))
    # How rare is each draw, by the rarer of its two statistics? The 5 % rarest set both thresholds.
    rarity = np.minimum(
        _exceeded(largest, drawn.max(axis=1)), _exceeded(mean, drawn.mean(axis=1)) / MEAN_SHARE
    )
    level = float(np.quantile(rarity, ERROR))
    by_largest = gains.max() - np.quantile(largest, 1 - level)
    by_mean = gains.mean() - np.quantile(mean, 1 - min(0.5, MEAN_SHARE * level))
    greatest = gains.max() + np.quantile(drawn, 1 - ERROR)  # selection flatters, so this end needs no more
    return float(max(by_largest, by_mean)), float(greatest)


def _exceeded(ordered: Floats, drawn: Floats) -> Floats:
    return 1 - np.searchsorted(ordered, drawn) / len(ordered)


def _noise(values: Floats, run_means: Floats, group: NDArray[Any] | None) -> Floats:
    """Draws [DRAWS, candidates] of the error of the candidates' means."""
    generator = np.random.default_rng(0)
    candidates, seeds = run_means.shape
    freedom = (candidates - 1) * (seeds - 1)
    noise = np.zeros((DRAWS, candidates))
    floor = 0.0
    if values.ndim == 3:
        parts = _parts(values, group)
        own = parts.mean(axis=1)
        own -= own.mean(axis=0)  # what a row does to all cancels in differences
        noise += generator.standard_normal(noise.shape) @ _root(own @ own.T)
        floor = float((_interaction(parts) ** 2).sum() / freedom) if seeds > 1 else 0.0
    if seeds > 1:
        squares = (_interaction(run_means) ** 2).sum()
        variance = np.maximum(squares / generator.chisquare(freedom, DRAWS) - floor, 0)
        noise += generator.standard_normal(noise.shape) * np.sqrt(variance / seeds)[:, None]
    return noise


def _parts(values: Floats, group: NDArray[Any] | None) -> Floats:
    """What each group of rows adds to its run's mean, [candidates, seeds, groups]: related rows err together.

    Centred, and scaled so that the sum over the groups of a product is the covariance of the means.
    """
    parts: Floats = (values - values.mean(axis=2, keepdims=True)) / values.shape[2]
    if group is not None:
        order = np.argsort(group, kind="stable")
        starts = np.unique(group[order], return_index=True)[1]
        parts = np.add.reduceat(parts[..., order], starts, axis=2)
    count = parts.shape[2]
    scaled: Floats = parts * np.sqrt(count / (count - 1))
    return scaled


def _root(covariance: Floats) -> Floats:
    """The symmetric root; a covariance of equal candidates has eigenvalues of 0, or just below."""
    sizes, vectors = np.linalg.eigh(covariance)
    root: Floats = (vectors * np.sqrt(np.maximum(sizes, 0))) @ vectors.T
    return root


def _interaction(table: Floats) -> Floats:
    """`table` [candidates, seeds, ...] without what is common to a candidate and to a seed."""
    centred: Floats = table - table.mean(axis=0, keepdims=True)
    centred -= centred.mean(axis=1, keepdims=True)
    return centred


def _sentence(found: Verdict, default: int, names: Sequence[str]) -> str:
    name, seeds = names[found.challenger], f"{found.seeds} fresh seed{'s' if found.seeds > 1 else ''}"
    rows = f", {found.rows} rows" if found.rows else ", these rows only"
    interval = "no interval" if found.low is None else f"90 % interval {found.low:+.4f} to {found.high:+.4f}"
    figures = (
        f"log loss {found.means[found.challenger]:.4f} against {found.means[default]:.4f}, "
        f"difference {found.difference:+.4f} ({interval}; {seeds}{rows})"
    )
    if found.verdict == "BETTER":
        return f"{name} is clearly better than the default: {figures}."
    tail = "" if found.seeds > 1 else " One seed cannot tell a better configuration from a lucky run."
    tail += " The interval holds row noise alone." if tail and found.rows else ""
    if found.verdict == "DEFAULT":
        return f"The default itself wins; the best other is {name}: {figures}.{tail}"
    return f"{name} is not distinguishable from the default: {figures}.{tail}"


def _check(values: Floats, default: int, names: Sequence[str], group: NDArray[Any] | None) -> None:
    if values.ndim not in (2, 3) or 0 in values.shape or len(values) < 2 or values.shape[2:] == (1,):
        raise InputError(
            "a confirmation needs losses [candidates, seeds] or [candidates, seeds, rows] of at least two "
            f"candidates, one seed and two rows, but got {values.shape}; confirm the default and one other"
        )
    if not 0 <= default < len(values) or len(names) != len(values):
        raise InputError(
            f"the default must be one of {len(values)} candidates with a name each, but got index {default} "
            f"and {len(names)} names"
        )
    if group is not None and (group.shape != values.shape[2:] or len(np.unique(group)) < 2):
        raise InputError(
            f"the rows must be of two groups at least, with a number for each of {values.shape[2:]}, but got "
            f"{len(np.unique(group))} in {group.shape}; add unrelated rows to the validation split"
        )
    bad = [name for name, losses in zip(names, values, strict=True) if not np.isfinite(losses).all()]
    if bad:
        raise InputError(
            f"losses must be finite, but are not for {', '.join(bad)}; leave failed candidates out"
        )
