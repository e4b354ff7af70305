"""The learning rate of a promotion: what the studies say of a run of so many more steps than the search's."""

import math
from collections import Counter
from typing import Any

from search.choice import Choice, studies_in
from search.observations import Observation
from search.record import StudyConfig
from search.space import Point
from search.target import steps_of
from search.transfer import Interval, Transfer, propose
from train_fn.config import NO_NUMBER
from train_fn.errors import InputError
from train_fn.storage import Paths
from train_fn.values import Frozen

# May differ between studies: size, chance, what is tried, and what decides no number.
FREE = {"max_rows", "seed", *Point.model_fields, *NO_NUMBER}
TELLING = 1.5  # times the copied rate; nearer ones end too much alike for a probe to tell them apart
LIMIT = 3.0  # times the copied rate, either way: as far as a move goes without a probe


class Move(Frozen):
    """From the `copied` rate of the winner to the `proposed` one; the 90 % interval is that of the exponent."""

    copied: float
    proposed: float
    interval: Interval

    @property
    def held(self) -> float:
        """As far as it goes without one."""
        return min(max(self.proposed, self.copied / LIMIT), self.copied * LIMIT)


class Sweep(Frozen):
    """So many complete trials of so many optimiser steps on a set."""

    size: str
    steps: int
    trials: int


class Horizon(Frozen):
    """What the trials of `sizes` say of a run of `target_steps`, from a search whose trials had `study_steps`."""

    study_steps: int
    target_steps: int
    observations: int
    sizes: tuple[Sweep, ...]
    fit: Transfer

    @property
    def far(self) -> bool:
        """Whether the move needs a probe."""
        return _apart(self._change(self.fit.exponent, self.target_steps)) > LIMIT

    def told_by(self, steps: int) -> bool:
        """Whether a probe of so many steps can tell the move from none."""
        return _apart(self._change(self.fit.exponent, steps)) >= TELLING

    def probe(self, copied: float, steps: int) -> list[tuple[float, float]]:
        """Learning rates of a probe of so many steps, and what each makes the full run's: no change, half of the
        exponent, and all of it. The first wins where two are equal.

        The full run's own rates would be judged at the wrong length: a probe as long as the search would find the
        searched rate again, whatever is best in the full run.
        """
        shares = [share * self.fit.exponent for share in (0, 0.5, 1)]
        return [
            (copied * self._change(each, steps), copied * self._change(each, self.target_steps))
            for each in shares
        ]

    def move(self, copied: float) -> Move:
        """The move of a winner's learning rate: its product with the ratio of steps to the power of the exponent.

        The interval is that of the moved rate, not of the best rate at the target, which is the fit's own: the
        winner's rate may lie beside the optimum of its own search.
        """
        ends = (self._change(end, self.target_steps) for end in self.fit.exponent_interval)
        low, high = sorted(copied * end for end in ends)
        proposed = copied * self._change(self.fit.exponent, self.target_steps)
        return Move(copied=copied, proposed=proposed, interval=(low, high))

    def _change(self, exponent: float, steps: int) -> float:
        return math.exp(exponent * math.log(steps / self.study_steps))

    def sentence(self, move: Move) -> str:
        """The proposal, and why."""
        fit, (low, high), (least, most) = self.fit, move.interval, self.fit.rate_interval
        return (
            f"learning rate {move.proposed:.2e} is proposed for {self.target_steps:,} steps, "
            f"{move.proposed / move.copied:.2f} times the {move.copied:.2e} of {self.study_steps:,} steps; the "
            f"exponent's 90 % interval gives {low:.2e} to {high:.2e}. From {fit.why}. "
            f"The best rate there, by the fit alone: {fit.rate:.2e} (90 % interval {least:.2e} to {most:.2e})"
        )


def look_ahead(paths: Paths, choice: Choice, target_steps: int) -> Horizon:
    """What the complete trials of all studies say that differ from the winner's in nothing but FREE and the set.

    Raises:
        InputError: when they are too few.
    """
    trials = observations(paths, choice)
    counts = Counter((each.size, each.steps) for each in trials)
    return Horizon(
        study_steps=_steps(choice.config),
        target_steps=target_steps,
        observations=len(trials),
        sizes=tuple(Sweep(size=size, steps=steps, trials=count) for (size, steps), count in counts.items()),
        fit=propose(trials, target_steps),
    )


def observations(paths: Paths, choice: Choice) -> list[Observation]:
    """The complete trials of the studies that may be set beside the winner's; a size is a set and its rows."""
    found = []
    for study in studies_in(paths):
        try:
            config, records = study.config(), study.records()
        except InputError:  # damaged, or of another version
            continue
        if _kind(config) != _kind(choice.config):
            continue
        steps, size = _steps(config), f"{config.dataset.name}, {config.dataset.train_rows:,} rows"
        found += [
            Observation(
                size=size, steps=steps, log_rate=math.log(item.params.learning_rate), log_loss=item.value
            )
            for item in records
            if item.status == "COMPLETE" and item.value is not None
        ]
    return found


def _apart(change: float) -> float:
    return max(change, 1 / change)


def _kind(config: StudyConfig) -> dict[str, Any]:
    return {**config.train.model_dump(exclude=FREE), "builtin": config.dataset.builtin}


def _steps(config: StudyConfig) -> int:
    return steps_of(config.train, config.dataset.train_rows).total
