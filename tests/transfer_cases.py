"""Simulated sweeps of the learning rate at several horizons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.observations import Observation
from search.transfer import Transfer, propose

LOW, HIGH = math.log(2e-5), math.log(2e-3)
STEPS = {"10k": 94, "100k": 988}
TARGET = 19_377  # three epochs of 2M
# Quadratic coefficients (log loss per squared natural log of the rate) fitted to the rates 4e-5 to 1e-3 of the
# SFT sweep in thinking-machines-lab/tinker-cookbook (recipes/chat_sl/results/sft_sweep.md), 8 models, ranks 1-64.
PUBLISHED = (
    "18 13 10 19 23 18 30 22 16 31 32 25 50 49 36 38 38 32 48 47 33 41 34".split()  # in 1e-4
)


@dataclass(frozen=True)
class Case:
    """The truth behind some trials; rates are natural logs."""

    trials: list[Observation]
    exponent: float
    optimum: float
    curvature: float
    noise: float

    def excess(self, rate: float) -> float:
        """How much log loss `rate` costs at the target over the best rate."""
        return self.curvature * (math.log(rate) - self.optimum) ** 2

    def copied(self, size: str) -> float:
        """The rate of the lowest log loss seen at `size`."""
        return math.exp(min((each.log_loss, each.log_rate) for each in self.trials if each.size == size)[1])


def draw(
    generator: np.random.Generator, exponent: float, steps: dict[str, int] = STEPS, lopsided: bool = False
) -> Case:
    """12 to 20 trials a size, uniform in the log rate; sd 0.003 to 0.01. `lopsided` losses have a cube too,
    about as steeply as that sweep's do."""
    curvature = int(generator.choice(PUBLISHED)) * 1e-4
    noise, start = generator.uniform(0.003, 0.01), math.log(generator.uniform(3e-4, 1e-3))
    trials = []
    for size, count in steps.items():
        optimum = start + exponent * math.log(count / 94)
        rates = generator.uniform(LOW, HIGH, generator.integers(12, 21))
        far = rates - optimum
        losses = (
            0.3
            + curvature * far**2 * (1 + lopsided * 0.15 * far)
            + noise * generator.standard_normal(len(far))
        )
        trials += [
            Observation(size=size, steps=count, log_rate=rate, log_loss=loss)
            for rate, loss in zip(rates, losses, strict=True)
        ]
    return Case(trials, exponent, start + exponent * math.log(TARGET / 94), curvature, noise)


@dataclass(frozen=True)
class Figures:
    """Shares of cases: the intervals that hold the truth, and the proposals worse than copying the best rate of
    the small size, or of the large one, by more than the noise; and mean excess log losses."""

    rate: float
    exponent: float
    worse_small: float
    worse_large: float
    excess: float
    excess_small: float
    excess_large: float


def measure(cases: Sequence[Case]) -> Figures:
    """What proposing does in `cases`."""
    rows = []
    for case in cases:
        found: Transfer = propose(case.trials, TARGET)
        ours = case.excess(found.rate)
        small, large = (case.excess(case.copied(size)) for size in STEPS)
        rows.append(
            (
                found.rate_interval[0] <= math.exp(case.optimum) <= found.rate_interval[1],
                found.exponent_interval[0] <= case.exponent <= found.exponent_interval[1],
                ours - small > case.noise,
                ours - large > case.noise,
                ours,
                small,
                large,
            )
        )
    return Figures(*np.mean(np.array(rows, dtype=float), axis=0).tolist())
