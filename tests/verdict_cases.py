"""Simulated confirmations: equal or unequal candidates with the noise of seeds and of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from search.verdict import Verdict, judge

ROW_SD, ROW_CORRELATION = 0.6, 0.8
EQUAL, LONE, ALIKE = (0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (3.0, 3.0, 3.0)  # in standard errors of a difference
NAMES = ("the default", "trial 3", "trial 7", "trial 9")


@dataclass(frozen=True)
class Noise:
    """Seed-to-seed sd of a mean loss (one for all, or one a candidate), validation rows and fresh seeds."""

    seed_sd: float | tuple[float, ...]
    rows: int
    seeds: int = 2

    @property
    def error(self) -> float:
        """The standard error of winner less default over seeds and rows."""
        rows = ROW_SD**2 * (1 - ROW_CORRELATION) / self.rows
        return float(np.sqrt(2 * (rows + np.square(self.seed_sd).mean()) / self.seeds))


def losses(
    generator: np.random.Generator, noise: Noise, gaps: Sequence[float], skewed: bool = False
) -> np.ndarray:
    """[4, seeds, rows]; the default is 0, `gaps` are how much lower the others truly are, in `noise.error`."""
    shape = (4, noise.seeds, noise.rows)
    draw = generator.standard_exponential if skewed else generator.standard_normal
    own = draw(shape) * ROW_SD * np.sqrt(1 - ROW_CORRELATION)
    shared = draw(shape[2]) * ROW_SD * np.sqrt(ROW_CORRELATION)
    seed = generator.standard_normal((4, noise.seeds)) * np.broadcast_to(noise.seed_sd, 4)[:, None]
    means = (
        0.7 - np.array([0.0, *gaps])[:, None] * noise.error + seed + generator.normal(0, 0.01, noise.seeds)
    )
    return own - own.mean() * skewed + shared + means[:, :, None]


def verdicts(
    noise: Noise, gaps: Sequence[float], searches: int, seed: int, skewed: bool = False, by_mean: bool = False
) -> list[Verdict]:
    """The verdicts of so many searches, on rows or on the runs' means alone."""
    generator = np.random.default_rng(seed)
    drawn = (losses(generator, noise, gaps, skewed) for _ in range(searches))
    return [judge(each.mean(axis=2) if by_mean else each, 0, NAMES) for each in drawn]


def chosen(
    searches: int, seed: int, *, apart: bool = True, size: int = 1, related: bool = True
) -> list[Verdict]:
    """Of 20 equal configurations, each of which suits some rows by chance whatever its seed: the verdict on the
    three that are best on half the rows, on these rows or on the rest (`apart`).

    Rows come in groups of `size` that have 70 % of that chance in common. `related` says whether anybody knows:
    then a group is in one half, and counts as one.
    """
    generator, found, half = np.random.default_rng(seed), [], 500 // size * size
    rows = np.arange(2 * half)
    group = rows // size if related else rows % (2 * half // size)
    for _ in range(searches):
        suits = generator.normal(0, 0.15, (20, 2 * half))
        if size > 1:
            common = generator.normal(0, 0.15, (20, 2 * half // size))[:, group]
            suits = np.sqrt(0.3) * suits + np.sqrt(0.7) * common

        def run(which: Sequence[int], suits: np.ndarray = suits) -> np.ndarray:
            noise = generator.normal(0, 0.1, (len(which), 2 * half))
            return suits[which] + noise + generator.normal(0, 0.001, (len(which), 1))

        best = np.argsort(run(range(20))[:, :half].mean(axis=1))[:3].tolist()
        candidates = sorted({0, *best})
        losses = np.stack([run(candidates), run(candidates)], axis=1)
        judging = slice(half, None) if apart else slice(half)
        names = [str(each) for each in candidates]
        found.append(judge(losses[..., judging], 0, names, group[judging] if related else None))
    return found


def better(found: Sequence[Verdict]) -> tuple[float, float]:
    """The share of BETTER, and the upper end of its 95 % interval (Clopper-Pearson)."""
    count = sum(each.verdict == "BETTER" for each in found)
    return count / len(found), float(binomtest(count, len(found)).proportion_ci().high)
