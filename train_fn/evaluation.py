"""Logits over rows of a split, on one rank or many."""

from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn

from train_fn.batching import Rows, collate, micro_batches, rank_share
from train_fn.cache import Split

EVAL_BUDGET = 4  # times the training budget: without gradients a token takes a fraction of the memory


def predict(
    model: nn.Module,
    split: Split,
    rows: Rows,
    *,
    pad_id: int,
    device: torch.device,
    budget: int,
    check: Callable[[int], None] = lambda rows: None,
) -> NDArray[np.float32]:
    """Logits [len(rows), 2] in the order of `rows`, the same on every rank.

    `check(n)` is called after each batch of n rows: for progress, and it may raise to stop.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    positions = np.arange(len(rows))
    lengths = split.lengths[rows]
    mine = rank_share(positions, lengths, rank, world)
    logits = np.zeros((len(rows), 2), dtype=np.float32)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in micro_batches(mine, lengths[mine], budget * EVAL_BUDGET):
                ids, last, _ = collate(split, rows[batch], pad_id, device)
                logits[batch] = model(ids, last).float().cpu().numpy()
                check(len(batch))
    finally:
        model.train(was_training)
    if world > 1:
        total = torch.from_numpy(logits).to(device)
        dist.all_reduce(total)  # every row is zero on all ranks but one
        logits = total.cpu().numpy()
    return logits
