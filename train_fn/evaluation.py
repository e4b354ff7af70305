"""Logits over rows of a split, on one rank or many."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn

from train_fn.batching import Rows, collate, micro_batches, rank_share, ranks
from train_fn.cache import Split
from train_fn.config import TrainConfig
from train_fn.loss import NonFiniteLossError
from train_fn.metrics import Metrics, compute

EVAL_BUDGET = 4  # times the training budget: without gradients a token takes a fraction of the memory


@dataclass(frozen=True)
class Scores:
    """Logits [n, 2] and labels [n] of the rows [n] of a split."""

    rows: Rows
    logits: NDArray[np.float32]
    labels: NDArray[np.integer]

    def metrics(self) -> Metrics:
        """How good they are."""
        return compute(self.logits, self.labels)


@dataclass(frozen=True)
class Scorer:
    """Scores rows with the model as it is at the call, in batches that `cut` makes for `config`, if they fit.

    `check(n)` is called after each batch of n rows: for progress, and it may raise to stop.
    """

    model: nn.Module
    pad_id: int
    config: TrainConfig
    check: Callable[[int], None] = lambda rows: None
    cut: Callable[..., list[Rows]] = micro_batches

    def __call__(self, split: Split, rows: Rows) -> Scores:
        """The scores of `rows` in their order, the same on every rank. Raises NonFiniteLossError."""
        was_training = self.model.training
        self.model.eval()
        try:
            logits = self._logits(split, rows)
        finally:
            self.model.train(was_training)
        if not np.isfinite(logits).all():
            raise NonFiniteLossError("logits are not finite in an evaluation")
        return Scores(rows, logits, split.labels[rows])

    @torch.no_grad()
    def _logits(self, split: Split, rows: Rows) -> NDArray[np.float32]:
        rank, world = ranks()
        device = next(self.model.parameters()).device
        lengths = split.lengths[rows]
        mine = rank_share(np.arange(len(rows)), lengths, rank, world)
        logits = np.zeros((len(rows), 2), dtype=np.float32)
        budget, packed = self.config.token_budget * EVAL_BUDGET, self.config.packed
        batches = self.cut(mine, lengths[mine], budget, packed=packed)
        while batches:
            batch = batches.pop(0)
            ids, last, _ = collate(split, rows[batch], self.pad_id, device, packed=packed)
            try:
                logits[batch] = self.model(ids, last).float().cpu().numpy()
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                batches[:0] = np.array_split(batch, 2)
                continue
            self.check(len(batch))
        if world > 1:
            total = torch.from_numpy(logits).to(device)
            dist.all_reduce(total)  # every row is zero on all ranks but one
            logits = total.cpu().numpy()
        return logits
