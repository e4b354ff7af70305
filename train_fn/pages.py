"""Pages of mapped columns and arrays: let go once read, so that a process holds few of a large set at a time.

The kernel keeps them in its cache and would take them back when it needs them, but until then they count as ours,
and the limits of containers and batch systems may count them too.
"""

import ctypes
import mmap
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

MAPS = Path("/proc/self/maps")  # of Linux; elsewhere nothing is let go
MADV_DONTNEED = 4

Ranges = list[tuple[int, int]]  # (start, end), ascending


def read_once(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """The chunks of a column, each let go when the next is asked for."""
    ranges = read_only_files()
    for chunk in column.chunks:
        yield chunk
        let_go(chunk, ranges)


def read_only_files() -> Ranges:
    """Where files are mapped that this process cannot write: what lies there can always be read again."""
    if not MAPS.exists():
        return []
    found = []
    for line in MAPS.read_text().splitlines():
        where, rights, _, _, inode = line.split()[:5]
        if inode != "0" and "w" not in rights:
            start, _, end = where.partition("-")
            found.append((int(start, 16), int(end, 16)))
    return found


def let_go(held: pa.Array | pa.ChunkedArray | np.ndarray, ranges: Ranges) -> None:
    """Let go of the pages of `held` that lie in `ranges`, from `read_only_files`; others stay as they are."""
    if not ranges:
        return
    libc = ctypes.CDLL(None)
    for address, size in _spans(held):
        start = address // mmap.PAGESIZE * mmap.PAGESIZE
        end = -(-(address + size) // mmap.PAGESIZE) * mmap.PAGESIZE
        place = bisect_right(ranges, start, key=lambda pair: pair[0]) - 1
        if place >= 0 and end <= ranges[place][1]:
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def _spans(held: pa.Array | pa.ChunkedArray | np.ndarray) -> Iterator[tuple[int, int]]:
    """(address, bytes) of each piece of memory."""
    if isinstance(held, np.ndarray):
        yield held.ctypes.data, held.nbytes
        return
    for chunk in held.chunks if isinstance(held, pa.ChunkedArray) else [held]:
        yield from ((buffer.address, buffer.size) for buffer in chunk.buffers() if buffer)
