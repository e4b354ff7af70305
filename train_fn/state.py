"""What a run carries from step to step beside its parameters and its optimiser, and what it trains on."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from train_fn.batching import Rows
from train_fn.cache import Split
from train_fn.config import Weights

Row = dict[str, Any]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingData:
    """The rows that a run trains on, those of validation that it is evaluated on as it goes and scored on at its
    end, and its class weights."""

    train: Split
    train_rows: Rows
    validation: Split
    eval_rows: Rows
    final_rows: Rows
    pad_id: int
    weights: Weights


@dataclass
class TrainState:
    """Where a run stands. `losses` are those of the steps since the last evaluation, `curve` the evaluations."""

    step: int = 0
    best: float = math.inf
    best_metrics: dict[str, Any] = field(default_factory=dict)
    best_weights: Tensors = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: list[Row] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def evaluated(self) -> int:
        """The step of the last evaluation, 0 before the first."""
        return int(self.curve[-1]["step"]) if self.curve else 0
