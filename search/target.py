"""The full run of a promotion, as a measure: its steps, and what a run on a fraction of its rows costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.rungs import Size
from search.space import Point
from train_fn.config import TrainConfig
from train_fn.schedule import evaluation_points

if TYPE_CHECKING:
    from train_fn.batching import Steps
    from train_fn.contamination import Overlap

EVALUATIONS = 2  # of a run on a fraction: its end is what counts, its middle is what a kill goes on from
LEAST_ROWS = 16  # what TrainConfig allows
TRAINED, EVALUATED = 3, 1  # passes a row: a backward pass takes about two forward ones


@dataclass(frozen=True)
class Target:
    """`rows` train rows of the full run with `train`, and how many rows of each scored split it may score."""

    train: TrainConfig
    rows: int
    scored: Mapping[str, int]

    @classmethod
    def of(cls, train: TrainConfig, data: Path, left_out: "Overlap | None") -> "Target":
        """The full run on the tokenised `data`, without the rows that are left out of its scores."""
        from train_fn.tokenized import open_set

        rows = {name: split.rows for name, split in open_set(data).meta.splits.items()}
        gone = {name: len(left_out.rows[name]) if left_out else 0 for name in ("validation", "test")}
        scored = {name: rows[name] - gone[name] for name in gone}
        return cls(train, min(rows["train"], train.max_rows or rows["train"]), scored)

    @property
    def steps(self) -> int:
        """Optimiser steps of the full run."""
        return steps_of(self.train, self.rows).total

    def size(self, fraction: float) -> Size:
        """A run on that fraction of the train rows, without a score before it or of all validation rows after."""
        rows = min(self.rows, max(LEAST_ROWS, round(fraction * self.rows)))
        plan = steps_of(self.train, rows)
        cost = _passes(plan, EVALUATIONS * self._eval_rows) / self._passes
        return Size(fraction=fraction, rows=rows, steps=plan.total, cost=cost)

    def config(self, params: Point, fraction: float) -> TrainConfig:
        """What such a run trains with: the same share of warm-up, the same epochs and seed, of fewer rows."""
        small = {"max_rows": self.size(fraction).rows, "evaluations": EVALUATIONS, "eval_before_rows": 0}
        return params.apply(self.train.model_copy(update=small))

    @property
    def _eval_rows(self) -> int:
        return min(self.train.eval_rows, self.scored["validation"])

    @property
    def _passes(self) -> float:
        plan = steps_of(self.train, self.rows)
        during = len(evaluation_points(plan.total, self.train.evaluations)) * self._eval_rows
        before = sum(min(self.train.eval_before_rows, rows) for rows in self.scored.values())
        return _passes(plan, during + before + sum(self.scored.values()))


def steps_of(train: TrainConfig, rows: int) -> "Steps":
    """The optimiser steps of a training on so many rows."""
    import numpy as np

    from train_fn.batching import Steps

    return Steps(np.arange(rows), train.batch_size, train.epochs, train.seed)


def _passes(plan: "Steps", evaluated: int) -> int:
    return TRAINED * plan.samples(plan.total) + EVALUATED * evaluated
