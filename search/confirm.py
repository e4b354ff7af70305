"""The confirmation of a search: its best trials and the default configuration, trained again on fresh seeds.

The winner of a search is the luckiest of many noisy trials, so its own figure flatters it. The confirmation
chooses by the fresh seeds alone, on rows that no trial was compared on (train_fn.rows). Its runs are planned from
the record, so a search that goes on goes on with them; the scheduler does not judge them and the sampler does not
learn from them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search.config import SearchConfig
from search.record import ConfirmRecord, StudyConfig, TrialRecord
from train_fn.storage import LOSSES, RELATED
from train_fn.values import Frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP = 3
DEFAULT = 0  # the number of the trial that is the default configuration

Key = tuple[int, int]  # a trial's number and a fresh seed


class Confirmed(Frozen):
    """`confirmed` of best.json. `means` are mean log losses (nats) over the seeds, one a candidate; `difference`
    and its 90 % interval are those of search.verdict.Verdict. `candidates` are the trials that came through all
    their seeds, and `winner` is one of them. Without the default, or with it alone, there is no `verdict`;
    without any candidate, no `winner` either.
    """

    winner: int | None
    verdict: Literal["BETTER", "NOT_DISTINGUISHABLE", "DEFAULT"] | None = None
    sentence: str
    candidates: tuple[int, ...]
    seeds: tuple[int, ...]
    means: tuple[float, ...]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int | None = None

    @property
    def mean(self) -> float | None:
        """The winner's mean log loss over the fresh seeds."""
        return None if self.winner is None else self.means[self.candidates.index(self.winner)]


def plan(records: Iterable[TrialRecord], search: SearchConfig, seed: int) -> list[Key]:
    """The runs that confirm these trials: the TOP complete ones, and the default whatever became of it.

    All have the same seeds, the numbers that follow the study's own: pairing them takes out what a seed does to
    all. Empty when there is nothing to set beside the default.
    """
    complete = [
        (item.value, item.number) for item in records if item.status == "COMPLETE" and item.value is not None
    ]
    numbers = sorted({DEFAULT, *(number for _, number in sorted(complete)[:TOP])})
    if len(numbers) < 2:
        return []
    seeds = [(seed + 1 + index) % 2**31 for index in range(search.confirm_seeds)]
    return [(number, fresh) for fresh in seeds for number in numbers]


@dataclass(frozen=True)
class Confirmation:
    """`runs` are planned, `ended` those that were ever made, of this plan or of one before it."""

    runs: tuple[Key, ...]
    ended: Mapping[Key, ConfirmRecord]

    @classmethod
    def of(
        cls, config: StudyConfig, records: Iterable[TrialRecord], reruns: Iterable[ConfirmRecord]
    ) -> "Confirmation":
        """From a study's record. Without trial 0 on record there is no plan yet."""
        known = list(records)
        runs = plan(known, config.search, config.train.seed)
        planned = any(record.number == DEFAULT for record in known)
        return cls(tuple(runs) if planned else (), {(item.number, item.seed): item for item in reruns})

    @property
    def failed(self) -> dict[int, str]:
        """The candidates that dropped out, each with its first cause."""
        ended = [self.ended[run] for run in reversed(self.runs) if run in self.ended]
        return {record.number: record.cause for record in ended if record.status != "COMPLETE"}

    @property
    def missing(self) -> list[Key]:
        """The planned runs that are still to be made; none of a candidate that dropped out."""
        return [run for run in self.runs if run not in self.ended and run[0] not in self.failed]

    def judged(self, folder_of: Callable[[ConfirmRecord], Path]) -> Confirmed | None:
        """What the runs say, once all are made; `folder_of` tells where a run's losses lie."""
        if not self.runs or self.missing:
            return None
        seeds = tuple(dict.fromkeys(seed for _, seed in self.runs))
        numbers = tuple(sorted({number for number, _ in self.runs} - self.failed.keys()))
        runs = [[self.ended[number, seed] for seed in seeds] for number in numbers]
        found = (
            _judged(numbers, seeds, runs, folder_of)
            if DEFAULT in numbers and len(numbers) > 1
            else _unjudged(numbers, seeds, runs)
        )
        dropped = [f"{_name(number)} dropped out: {cause}." for number, cause in sorted(self.failed.items())]
        told = " ".join(line[0].upper() + line[1:] for line in (found.sentence, *dropped))
        return found.model_copy(update={"sentence": told})

    def unconfirmed(self, best: TrialRecord) -> str:
        """What is to be said of the best trial until `judged` says more."""
        left = f": {len(self.missing)} of {len(self.runs)} runs are missing" if self.runs else ""
        value = "" if best.value is None else f", {best.value:.4f}"
        return (
            f"Trial {best.number} has the lowest log loss{value}, with one run of each trial; "
            f"it is not confirmed on fresh seeds{left}."
        )


def _judged(
    numbers: tuple[int, ...],
    seeds: tuple[int, ...],
    runs: list[list[ConfirmRecord]],
    folder_of: Callable[[ConfirmRecord], Path],
) -> Confirmed:
    from search.verdict import judge
    from train_fn.arrays import read_array

    losses, file = _losses(runs, folder_of), folder_of(runs[0][0]) / RELATED
    group = (
        read_array(file) if losses.ndim == 3 and file.exists() else None
    )  # none of a run of an older version
    names = [_name(number) for number in numbers]
    found = judge(losses, numbers.index(DEFAULT), names, group)
    same = found.model_dump(include={"verdict", "sentence", "means", "difference", "low", "high", "rows"})
    return Confirmed(winner=numbers[found.winner], candidates=numbers, seeds=seeds, **same)


def _unjudged(numbers: tuple[int, ...], seeds: tuple[int, ...], runs: list[list[ConfirmRecord]]) -> Confirmed:
    means = [sum(run.value or 0.0 for run in row) / len(row) for row in runs]
    if not numbers:
        return Confirmed(
            winner=None, candidates=(), seeds=seeds, means=(), sentence="no candidate came through its runs."
        )
    winner = numbers[means.index(min(means))]
    beside = "no other candidate" if winner == DEFAULT else "the default"
    sentence = f"{_name(winner)} has a mean log loss of {min(means):.4f}, but {beside} can be set beside it."
    return Confirmed(winner=winner, candidates=numbers, seeds=seeds, means=tuple(means), sentence=sentence)


def _losses(runs: list[list[ConfirmRecord]], folder_of: Callable[[ConfirmRecord], Path]) -> "NDArray[Any]":
    """[candidates, seeds, rows], or the means [candidates, seeds] where a file of losses was cleared away."""
    import numpy as np

    from train_fn.arrays import read_array

    files = [[folder_of(run) / LOSSES for run in row] for row in runs]
    if all(file.exists() for row in files for file in row):
        return np.array([[read_array(file) for file in row] for row in files])
    return np.array([[run.value for run in row] for row in runs])


def _name(number: int) -> str:
    return "the default" if number == DEFAULT else f"trial {number}"
