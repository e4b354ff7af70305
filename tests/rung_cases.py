"""Simulated promotions from 10k to 2M of a winner that is the best everywhere, or that loses on many rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.rungs import Plan, Size, climb, plan_rungs

SEARCHED, TARGET, STEPS = (
    7_983,
    1_653_385,
    19_377,
)  # train rows of 10k and of 2M, optimiser steps of the latter
BOUND = 0.2
NOISE = 0.002  # sd of the log loss of a run, beside what all of a rung share


def size(fraction: float) -> Size:
    """As on 2M, evaluation counted in."""
    return Size(
        fraction=fraction,
        rows=round(fraction * TARGET),
        steps=round(fraction * STEPS),
        cost=0.98 * fraction + 0.0006,
    )


SIZES = (size(0.01), size(0.05))


@dataclass(frozen=True)
class Case:
    """True log losses of four candidates on the searched rows and on all of the target's, straight in the log of
    the rows between them. The first won the search, the last is the default."""

    searched: Sequence[float]
    full: Sequence[float]

    def loss(self, candidate: int, fraction: float) -> float:
        share = math.log(fraction * TARGET / SEARCHED) / math.log(TARGET / SEARCHED)
        return (1 - share) * self.searched[candidate] + share * self.full[candidate]

    def regret(self, candidate: int) -> float:
        """What promoting it costs in the full run."""
        return self.full[candidate] - min(self.full)


def draw(generator: np.random.Generator, swap: bool) -> Case:
    """The winner is ahead by 0.002 to 0.01 in the search. With `swap` it is behind by 0.01 to 0.05 in the full
    run, without it is ahead there too."""
    gain, harm, other = generator.uniform((0.002, 0.01, 0.0), (0.01, 0.05, 0.005))
    rest = (0.0, other, 0.03)
    if swap:
        return Case((0.0, *(gain + each for each in rest)), (harm, *rest))
    return Case((0.0, *(gain + each for each in rest)), (0.0, *(gain + each for each in rest)))


@dataclass(frozen=True)
class Promoted:
    """The chosen candidate, and what the runs cost as a share of the full run."""

    case: Case
    chosen: int
    cost: float
    plan: Plan


def promote(case: Case, generator: np.random.Generator) -> Promoted:
    """`--top 3` on a simulated target."""
    plan = Plan(rungs=plan_rungs(3, lambda top: top + 1, SIZES, BOUND), probe=None, bound=BOUND)
    spent: list[float] = []

    def run(candidate: int, fraction: float) -> float:
        spent.append(size(fraction).cost)
        return case.loss(candidate, fraction) + generator.normal(0, NOISE)

    results = climb(plan.rungs, range(4), run)
    return Promoted(case, results[-1][0][0], sum(spent), plan)


def promotions(count: int, swap: bool) -> list[Promoted]:
    """One for each seed from 0 on."""
    generators = map(np.random.default_rng, range(count))
    return [promote(draw(generator, swap), generator) for generator in generators]
