"""Rungs: candidates run on growing fractions of the target, and the better ones go on. No files, no training.

Successive halving (Jamieson and Talwalkar, arXiv:1502.07943) with a bound on what it may cost. Costs are shares
of the full run.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from train_fn.errors import InputError
from train_fn.values import Frozen

FEWEST = 2  # that meet on the last rung: of one alone it would say nothing
RATES = 3  # of a probe of the learning rate: the copied, the proposed, and the one between them
FEW_STEPS = 20  # a run of fewer is mostly warm-up, and its log loss mostly chance
ROUNDING = 1e-9

C = TypeVar("C")
Results = list[list[tuple[C, float]]]


class Size(Frozen):
    """A run on a fraction of the target's train rows: how many, in how many optimiser steps, at what cost."""

    fraction: float
    rows: int
    steps: int
    cost: float

    @property
    def told(self) -> str:
        return f"on {100 * self.fraction:g} % of the train rows ({self.rows:,} rows, {self.steps:,} steps)"


class Rung(Frozen):
    """`runs` candidates run at this size, the best `keep` of them go on."""

    size: Size
    runs: int
    keep: int


class Plan(Frozen):
    """The rungs, none for a single candidate, and the probe of the learning rate, if there is to be one."""

    rungs: tuple[Rung, ...]
    probe: Rung | None
    bound: float

    @property
    def runs(self) -> int:
        """All runs on fractions."""
        return sum(rung.runs for rung in self.rungs) + self._probe_runs

    @property
    def _probe_runs(self) -> int:
        """The winner's own rate needs no run of its own where the last rung has run it."""
        return RATES - bool(self.rungs) if self.probe else 0

    @property
    def cost(self) -> float:
        return _cost(self.rungs) + (self._probe_runs * self.probe.size.cost if self.probe else 0.0)

    @property
    def fits(self) -> bool:
        return self.cost <= self.bound + ROUNDING

    def lines(self) -> list[str]:
        """The plan and its cost in words, and a warning of what is too small to tell much."""
        told = [
            f"rungs    {rung.runs} candidates {rung.size.told}, the best "
            f"{f'{rung.keep} go on' if rung.keep > 1 else 'one goes on to all'}"
            for rung in self.rungs
        ]
        told += [f"probe    {RATES} learning rates {self.probe.size.told}"] if self.probe else []
        told.append(
            f"cost     {100 * self.cost:.1f} % of the full run before it, at most {100 * self.bound:g} % "
            "(max_extra_cost); a trained row counts 3 passes, an evaluated row 1, starting a run nothing"
        )
        sizes = [rung.size for rung in (*self.rungs, *([self.probe] if self.probe else []))]
        return told + [
            f"warning  {size.steps} steps {size.told} are fewer than {FEW_STEPS}: the order is nearly chance"
            for size in dict.fromkeys(sizes)
            if size.steps < FEW_STEPS
        ]


def plan_rungs(
    top: int, field: Callable[[int], int], sizes: Sequence[Size], bound: float
) -> tuple[Rung, ...]:
    """The rungs of `--top top`, where `field(k)` is the number of candidates of `--top k`; `sizes` ascend.

    From a rung to the next goes half of the field, at least FEWEST, and fewer than half where `bound` asks for
    it. A rung from which all would go on is left out.

    Raises:
        InputError: when even FEWEST cost more than the bound; it names the largest top that does not.
    """
    if planned := _fitting(field(top), sizes, bound):
        return planned
    fits = next((k for k in range(top - 1, 1, -1) if _fitting(field(k), sizes, bound)), None)
    least = _cost(_rungs([field(top), *[FEWEST] * (len(sizes) - 1)], sizes))
    instead = f"--top {fits} is the largest that fits" if fits else "no --top above 1 fits"
    raise InputError(
        f"--top {top} must cost at most {100 * bound:g} % of the full run (max_extra_cost), but its {field(top)} "
        f"candidates cost {100 * least:.1f} % at least; {instead}, "
        f"--set max_extra_cost={math.ceil(100 * least) / 100:g} allows {top}"
    )


def probe_of(size: Size) -> Rung:
    """The probe of the learning rate: its rates run as candidates do."""
    return Rung(size=size, runs=RATES, keep=1)


def climb(rungs: Sequence[Rung], field: Sequence[C], run: Callable[[C, float], float]) -> Results[C]:
    """Run the field on each rung's fraction, where `run(candidate, fraction)` is a log loss; the best go on.

    Returns (candidate, log loss) by rung, best first: the first of the last rung is the chosen one. Of equal ones
    the earlier in the field is better. One without a finite log loss does not go on.

    Raises:
        InputError: when no candidate has a finite log loss.
    """
    results: Results[C] = []
    for rung in rungs:
        losses = [(candidate, run(candidate, rung.size.fraction)) for candidate in field]
        results.append(sorted(losses, key=lambda item: item[1] if math.isfinite(item[1]) else math.inf))
        field = [candidate for candidate, loss in results[-1][: rung.keep] if math.isfinite(loss)]
        if not field:
            raise InputError(
                f"a run {rung.size.told} must end with a finite log loss, but none of "
                f"{len(losses)} did; promote a trial with a lower learning rate (--study NAME --trial NUMBER)"
            )
        if len(field) == 1:
            break
    return results


def _fitting(field: int, sizes: Sequence[Size], bound: float) -> tuple[Rung, ...]:
    """The rungs that the bound allows, or none."""
    counts = [field]
    for _ in sizes[1:]:
        counts.append(max(min(FEWEST, field), math.ceil(counts[-1] / 2)))
    while _cost(rungs := _rungs(counts, sizes)) > bound + ROUNDING:
        # The last rungs are the dearest.
        place = max((at for at in range(1, len(counts)) if counts[at] > FEWEST), default=None)
        if place is None:
            return ()
        counts[place] -= 1
    return rungs


def _rungs(counts: Sequence[int], sizes: Sequence[Size]) -> tuple[Rung, ...]:
    rungs = [
        Rung(size=size, runs=runs, keep=keep)
        for size, runs, keep in zip(sizes, counts, [*counts[1:], 1], strict=True)
    ]
    return tuple(rung for rung in rungs if rung.keep < rung.runs)


def _cost(rungs: Sequence[Rung]) -> float:
    return sum(rung.runs * rung.size.cost for rung in rungs)
