"""Which rows make a step, and how a step is cut to what the memory holds.

A step is `batch_size` samples, whatever the memory. Its rows are sorted by length and cut to micro-batches of
a token budget, so that padding is small; packed ones have none. Neither the cut, nor packing, nor the number of
ranks changes the gradient.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from train_fn.cache import Split

PAD_MULTIPLE = 8  # tensor cores work on multiples of 8
Rows = NDArray[np.int64]


def stratified_subset(labels: NDArray[np.integer], rows: int | None, seed: int) -> Rows:
    """`rows` row numbers in ascending order, the classes in their shares, nested: a larger one holds a smaller.

    Every row gets a place in its class's own shuffled order, as a fraction; the first `rows` places win.
    """
    count = len(labels)
    if rows is None or rows >= count:
        return np.arange(count, dtype=np.int64)
    place = np.empty(count)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rng = np.random.default_rng([seed, int(label)])
        place[members] = (rng.permutation(len(members)) + 0.5) / len(members)
    chosen = np.argsort(place, kind="stable")[:rows]
    return np.sort(chosen).astype(np.int64)


@dataclass(frozen=True)
class Steps:
    """The run's steps: rows shuffled anew each epoch by (seed, epoch), cut to `batch_size`.

    The last step of an epoch may be smaller: no row is dropped.
    """

    rows: Rows
    batch_size: int
    epochs: float
    seed: int

    @property
    def per_epoch(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    @property
    def total(self) -> int:
        return max(1, round(self.epochs * self.per_epoch))

    def __getitem__(self, step: int) -> Rows:
        """The row numbers of one step."""
        epoch, place = divmod(step, self.per_epoch)
        order = _permutation(len(self.rows), self.seed, epoch)
        return self.rows[order[place * self.batch_size : (place + 1) * self.batch_size]]

    def samples(self, step: int) -> int:
        """The samples of the first `step` steps."""
        epoch, place = divmod(step, self.per_epoch)
        return epoch * len(self.rows) + place * self.batch_size


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> Rows:
    return np.random.default_rng([seed, epoch]).permutation(count)


def padded(length: int) -> int:
    """The length a micro-batch is padded to."""
    return -(-length // PAD_MULTIPLE) * PAD_MULTIPLE


def micro_batches(rows: Rows, lengths: NDArray[np.int64], budget: int, *, packed: bool = False) -> list[Rows]:
    """Cut rows, longest first, so that their tokens, padding included, stay within `budget` (one row at least).

    rows [n]; lengths [n], of those rows. Longest first, so that a run that does not fit fails at once.
    """
    order = np.argsort(-lengths, kind="stable")
    sums = np.cumsum(lengths[order])
    batches, start = [], 0
    while start < len(order):
        if packed:
            before = sums[start] - lengths[order[start]]
            size = max(1, int(np.searchsorted(sums, before + budget, side="right")) - start)
        else:
            size = max(1, budget // padded(int(lengths[order[start]])))
        batches.append(rows[order[start : start + size]])
        start += size
    return batches


def few_shapes(rows: Rows, lengths: NDArray[np.int64], budget: int, *, packed: bool = False) -> list[Rows]:
    """As micro_batches, but what is left over for the last one is cut to powers of two.

    For a stream of texts: oneDNN keeps kernels of every shape that it has met, and a last batch of any number of
    rows in each part of a file of a million texts cost 300 MB.
    """
    batches = micro_batches(rows, lengths, budget, packed=packed)
    if packed or not batches:
        return batches
    left = batches.pop()
    while len(left):
        size = 1 << (len(left).bit_length() - 1)
        batches.append(left[:size])
        left = left[size:]
    return batches


def ranks() -> tuple[int, int]:
    """This process's rank and the number of ranks."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def rank_share(rows: Rows, lengths: NDArray[np.int64], rank: int, world: int) -> Rows:
    """The rows of one rank: every world-th by length, so that ranks get equal work."""
    order = np.argsort(-lengths, kind="stable")
    return rows[order[rank::world]]


def collate(
    split: Split, rows: Rows, pad_id: int, device: torch.device, *, packed: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """input_ids, last [texts], labels [texts].

    input_ids are [texts, length], padded on the right, or packed into one row; `last` is the position of each
    text's last token, counted through all rows.
    """
    texts = [split.row(int(row)) for row in rows]
    lengths = np.array([len(text) for text in texts])
    if packed:
        ids, last = np.concatenate(texts)[None].astype(np.int64), np.cumsum(lengths) - 1
    else:
        ids = np.full((len(rows), padded(int(lengths.max()))), pad_id, dtype=np.int64)
        for line, text in zip(ids, texts, strict=True):
            line[: len(text)] = text
        last = np.arange(len(rows)) * ids.shape[1] + lengths - 1
    labels = np.asarray(split.labels[rows], dtype=np.int64)
    tensors = torch.from_numpy(ids), torch.from_numpy(last), torch.from_numpy(labels)
    if device.type == "cuda":  # pinned memory, so that the copy overlaps with the device's work
        return tuple(t.pin_memory().to(device, non_blocking=True) for t in tensors)  # type: ignore[return-value]
    return tensors
