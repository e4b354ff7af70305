"""Work on the texts of many rows in processes of their own, in order, a few chunks at a time."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow.compute as pc

from train_fn.hub import SPLITS
from train_fn.pages import let_go, read_only_files

if TYPE_CHECKING:
    from datasets import DatasetDict

CHUNK_ROWS = 512
CHUNK_BYTES = 4 << 20  # of text, so that rows of 1 MB do not fill the memory
HELD_BYTES = 256 << 20  # of text that was read before its pages are let go
ALONE = 8192  # rows that one process reads sooner than others have started

Chunk = list[str]
Result = TypeVar("Result")


def read_chunks(splits: "DatasetDict", chosen: np.ndarray) -> Iterator[Chunk]:
    """The texts at the places `chosen` (ascending), a chunk at a time; places run over all splits."""
    first = 0  # place of the first row of the split
    for name in SPLITS:
        column = splits[name].data.table["text"]
        mapped, held = read_only_files(), 0
        ends = np.cumsum(pc.binary_length(column).to_numpy(), dtype=np.int64)
        wanted = np.zeros(len(ends), bool)
        wanted[chosen[(chosen >= first) & (chosen < first + len(ends))] - first] = True
        start = 0
        while start < len(ends):
            before = ends[start - 1] if start else 0
            full = int(np.searchsorted(ends, before + CHUNK_BYTES, side="right"))
            end = min(len(ends), start + CHUNK_ROWS, max(full, start + 1))
            here = wanted[start:end]
            if here.any():
                texts = column.slice(start, end - start).to_pylist()
                yield [text for text, keep in zip(texts, here, strict=True) if keep]
            start, held = end, held + int(ends[end - 1] - before)
            if held >= HELD_BYTES:
                let_go(column, mapped)
                held = 0
        first += len(ends)


def map_chunks(work: Callable[[list[str]], Result], chunks: Iterator[Chunk], rows: int) -> Iterator[Result]:
    """`work(texts)` of each chunk in order; in this process where `rows` are few.

    `work` is a function of a module; its result is pickled.
    """
    if rows <= ALONE:
        yield from map(work, chunks)
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor

    count = os.cpu_count() or 1
    # Spawned: a fork would copy the locks of this process's threads as they stand.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool:
        waiting: deque[Future[Result]] = deque()
        for texts in chunks:
            waiting.append(pool.submit(work, texts))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _end_with_parent() -> None:
    """A killed parent tells its workers nothing: each would wait for ever."""
    import multiprocessing
    import threading
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
