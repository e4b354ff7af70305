"""Made-up landscapes with known optima, over which searches are replayed.

Every replay has a landscape of its own: its constants are drawn from the ranges below by the family, the kind
and the number of the replay, so no searcher is tuned to one place of the optimum. The `development` family is
for improving the searcher, the `reported` one for judging it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from search.config import SpaceConfig
from search.space import RANK, RATIO, Point, exponents

FAMILIES = {"development": 1, "reported": 2}
KINDS = ("smooth", "ridged", "noisy", "late")
PERCENTS = tuple(range(10, 101, 10))
UNTRAINED = math.log(2)  # nats: two classes, alike often

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Landscape:
    """Log loss (nats) over learning rate, rank and alpha, and how it is reached in the course of a run.

    `width` is in decades of learning rate; `slope` is the share of a decade of alpha / rank that acts as a
    decade of learning rate (0: no ridge); `rank_cost` and `ratio_cost` are what a doubling costs, in widths.
    A `late` one learns as a random base does: its first figures are worse than those of an untrained model, the
    more so the higher the rate, and then it learns quickly, so that the best rates look worst early.
    """

    best: Point
    floor: float
    width: float
    slope: float
    rank_cost: float
    ratio_cost: float
    crossing: float
    middle: float
    noise: float
    jitter: float
    late: bool

    def loss(self, point: Point) -> float:
        """The mean final log loss: quadratic about the best point, and that of an untrained model far from
        it."""
        return UNTRAINED + (self.floor - UNTRAINED) * math.exp(-self._distance(point))

    def _distance(self, point: Point) -> float:
        here, best = point.drawn(), self.best.drawn()
        rank, ratio = here[RANK] - best[RANK], here[RATIO] - best[RATIO]
        rate = math.log10(point.learning_rate / self.best.learning_rate) + self.slope * ratio * math.log10(2)
        return (rate / self.width) ** 2 + (self.rank_cost * rank) ** 2 + (self.ratio_cost * ratio) ** 2

    def curve(self, point: Point, seed: int) -> Curve:
        """(percent of the run, lowest log loss so far), as a run with that seed reports it; always the same."""
        end = self.loss(point)
        rng = generator(point, seed)
        luck, wobble = rng.normal(0, self.noise), rng.normal(0, self.jitter, len(PERCENTS))
        decades = math.log10(point.learning_rate / self.middle)
        done, above = np.array(PERCENTS) / 100, 0.03 * (1 + decades) if self.late else 0.0
        gone = self._gone(decades, done)
        seen = UNTRAINED + (end - UNTRAINED) * gone + above * (1 - gone) + luck * done + wobble * (1 - done)
        return list(zip(PERCENTS, np.minimum.accumulate(seen).tolist(), strict=True))

    def _gone(self, decades: float, done: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the way from an untrained model to the end, what is gone at a rate so many decades above the middle.

        Progress ** power, whose power differs with the rate, so that rates that start slow and end well cross
        those that start fast; of a late one a logistic curve about 30 % of the run, later at higher rates.
        """
        if not self.late:
            return done ** math.exp(self.crossing * decades)
        begin, middle, end = (expit((at - 0.3 - 0.1 * decades) / 0.08) for at in (0.0, done, 1.0))
        gone: NDArray[np.float64] = (middle - begin) / (end - begin)
        return gone


def make(kind: str, family: str, replay: int, space: SpaceConfig, noise: float) -> Landscape:
    """The landscape of one replay. `noise` (nats) is the standard deviation of the difference between two
    seeds of one configuration; only the noisy and the late kind have it, and while a run's rate is high its
    evaluations scatter by as much."""
    rng = np.random.default_rng([FAMILIES[family], KINDS.index(kind), replay])
    low, high = math.log(space.learning_rate.low), math.log(space.learning_rate.high)
    rate = math.exp(low + rng.uniform(0.2, 0.8) * (high - low))
    rank = int(rng.integers(*exponents(space.lora_rank), endpoint=True))
    ratio = int(rng.integers(*exponents(space.lora_alpha_ratio), endpoint=True))
    ridged, noise = kind != "smooth", noise if kind in ("noisy", "late") else 0.0
    return Landscape(
        best=Point(learning_rate=rate, lora_rank=2**rank, lora_alpha=2.0 ** (rank + ratio)),
        floor=rng.uniform(0.35, 0.55),
        width=rng.uniform(0.3, 0.6),
        slope=rng.uniform(0.6, 1.0) if ridged else 0.0,
        rank_cost=rng.uniform(0.03, 0.12),
        ratio_cost=rng.uniform(0.02, 0.06) if ridged else rng.uniform(0.05, 0.2),
        crossing=rng.uniform(-1.2, 1.2),
        middle=math.exp((low + high) / 2),
        noise=noise / math.sqrt(2),
        jitter=noise,
        late=kind == "late",
    )


def generator(point: Point, seed: int) -> np.random.Generator:
    """The random numbers of a run: a function of its parameters and its seed."""
    rate = int(np.float64(point.learning_rate).view(np.uint64))
    return np.random.default_rng([seed, rate, point.lora_rank, round(4 * point.lora_alpha)])
