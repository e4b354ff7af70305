"""How long trials live under our ASHA: whole searches simulated without training, in a fraction of a second.

The rule is that of search.scheduler.Asha: at its first evaluation from a rung on, a trial stops if its loss lies
above the 1 / reduction_factor quantile of those that came there before. Losses are normal scores, for the rule
looks at little but their order, and all trials are drawn alike: on two landscapes with noise, later trials of TPE
lived for 0.29 and 0.33 of a run and random ones for 0.27 and 0.25.
"""

import heapq
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from search.config import SearchConfig
from search.confirm import DEFAULT, TOP
from search.report_facts import rungs

SEARCHES = 500
# Correlation of a trial's loss at one rung with that at the next, and of the last with its value. It matters
# little: at 0.5 twenty trials live for 0.34 of a run in the mean, at 0.95 for 0.36.
LIKENESS = 0.8
SIMULATED = 64  # trials of a search; later ones live as the last half of these do

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Race:
    """What is to be run, and what it takes.

    `at` are the seconds from a trial's start to its evaluations at `percents` of the run, `whole` those of a trial
    that ends by itself, `again` those of a run of the confirmation. A trial may be stopped at the evaluations
    `judged`, and stays while it is among the best `keep` there. Of `trials`, `ended` are on record and take none.
    Before it all slots but one need `restart` seconds: Tune keeps one idle worker, and the confirmation's runs are
    not known before the last trial has ended. `again_left` of these are left; None until then. `confirmed`:
    the best of those on record have been run again already.
    """

    percents: tuple[int, ...]
    at: tuple[float, ...]
    whole: float
    again: float
    judged: tuple[int, ...]
    keep: float
    trials: int
    ended: int
    slots: int
    confirm_seeds: int
    restart: float = 0.0
    again_left: int | None = None
    confirmed: bool = False


@dataclass(frozen=True)
class Lives:
    """Simulated searches, [searches] each: wall clock (seconds); of the trials that are to be run, the training in
    full runs, the evaluations, and how many end by themselves; and the runs of the confirmation."""

    wall: Floats
    trained: Floats
    evaluations: Floats
    complete: Floats
    again: Floats


def judged_evaluations(search: SearchConfig, percents: Sequence[int]) -> tuple[int, ...]:
    """The evaluations, as places in `percents`, at which a trial may be stopped.

    A rung that no evaluation meets before the next rung is skipped, and at 100 % nothing is left to stop.
    """
    found, reached = [], 0
    for place, percent in enumerate(percents):
        passed = bisect_right(rungs(search), percent)
        if passed > reached and percent < 100:
            found.append(place)
            reached = passed
    return tuple(found)


def above(loss: float, before: Sequence[float], keep: float) -> bool:
    """Whether a loss lies above the `keep` quantile of the ascending losses `before` it, as numpy interpolates."""
    if not before:
        return False
    place = keep * (len(before) - 1)
    low = int(place)
    high = min(low + 1, len(before) - 1)
    return loss > before[low] + (place - low) * (before[high] - before[low])


def simulate(race: Race, searches: int = SEARCHES, seed: int = 0) -> Lives:
    """Independent searches, the same ones for the same seed; those of more trials begin as those of fewer do."""
    ended = min(race.ended, SIMULATED // 2)
    count = min(race.trials - race.ended, SIMULATED - ended)
    sums, further = _simulated(replace(race, trials=ended + count, ended=ended), searches, seed)
    return Lives(*(sums + (race.trials - race.ended - count) * further[:, None]))


@lru_cache(maxsize=128)
def _simulated(race: Race, searches: int, seed: int) -> tuple[Floats, Floats]:
    """The fields of Lives [fields, searches], and what one trial more would add to each [fields]."""
    rngs = np.random.default_rng(seed).spawn(searches)
    rows = [_Search(race, _losses(race, race.trials, rng).tolist()).run() for rng in rngs]
    sums, further = np.array(rows).transpose(1, 2, 0)
    return sums, further.mean(axis=1)


def _losses(race: Race, count: int, rng: np.random.Generator) -> Floats:
    """[trials, judged evaluations + 1]; by the last the confirmation chooses."""
    losses = rng.standard_normal((count, len(race.judged) + 1))
    for column in range(1, losses.shape[1]):
        losses[:, column] = LIKENESS * losses[:, column - 1] + (1 - LIKENESS**2) ** 0.5 * losses[:, column]
    return losses


class _Search:
    """One simulated search: trials on record fill the rungs, the others start as slots become free."""

    def __init__(self, race: Race, losses: list[list[float]]) -> None:
        self._race, self._losses = race, losses
        self._on_rungs: list[list[float]] = [[] for _ in race.judged]
        self._values: list[tuple[float, int]] = []

    def run(self) -> tuple[list[float], list[float]]:
        """The fields of Lives, and their means over the last half of the trials."""
        race = self._race
        for trial in range(race.ended):
            if not any(self._stops(trial, rung) for rung in range(len(self._on_rungs))):
                self._values.append((self._losses[trial][-1], trial))
        wall, stopped_at = self._trials()
        again = self._again()
        wall += self._confirmed(again)
        last = len(race.at) - 1
        ends = [last if place is None else place for place in stopped_at]
        seconds = [race.whole if place is None else race.at[place] for place in stopped_at]
        trained = [race.percents[place] / 100 for place in ends]
        complete = [float(place is None) for place in stopped_at]
        columns = (trained, [place + 1.0 for place in ends], complete)
        half = len(ends) // 2
        further = [sum(column[half:]) / max(1, len(ends) - half) for column in (seconds, *columns)]
        return [wall, *map(sum, columns), again], [further[0] / race.slots, *further[1:], 0.0]

    def _trials(self) -> tuple[float, list[int | None]]:
        """When the last trial ends, and the evaluation at which each was stopped, None for one that was not."""
        judged = self._race.judged
        offsets = [*(self._race.at[place] for place in judged), self._race.whole]
        waiting = iter(range(self._race.ended, self._race.trials))
        stopped_at: list[int | None] = []
        now, slots = 0.0, islice(waiting, self._race.slots)
        events = [(offsets[0], trial, 0, 0.0) for trial in slots]
        while events:
            now, trial, rung, began = heapq.heappop(events)
            if rung < len(judged) and not self._stops(trial, rung):
                heapq.heappush(events, (began + offsets[rung + 1], trial, rung + 1, began))
                continue
            stopped_at.append(judged[rung] if rung < len(judged) else None)
            if rung == len(judged):
                self._values.append((self._losses[trial][-1], trial))
            for new in islice(waiting, 1):
                heapq.heappush(events, (now + offsets[0], new, 0, now))
        return now, stopped_at

    def _stops(self, trial: int, rung: int) -> bool:
        loss, before = self._losses[trial][rung], self._on_rungs[rung]
        stops = above(loss, before, self._race.keep)
        insort(before, loss)
        return stops

    def _confirmed(self, again: int) -> float:
        """From the end of the last trial to that of the last of `again` runs of the confirmation."""
        restart = self._race.restart if self._race.trials > self._race.ended else 0.0
        free, ended = [0.0] + [restart] * (self._race.slots - 1), 0.0
        for _ in range(again):
            ended = heapq.heappop(free) + self._race.again
            heapq.heappush(free, ended)
        return ended

    def _again(self) -> int:
        """Runs of the confirmation: search.confirm.plan, by the simulated values."""
        if self._race.again_left is not None:
            return self._race.again_left
        candidates = {DEFAULT, *(trial for _, trial in sorted(self._values)[:TOP])}
        if len(candidates) < 2:
            return 0
        known = self._race.ended if self._race.confirmed else 0
        return self._race.confirm_seeds * sum(number >= known for number in candidates)
