"""Near copies: pairs of texts whose sketches agree, found without comparing all pairs.

The rows are sorted by a few minima at a time, many times over by others, and each row is compared with its next
neighbours only: rows that agree in common words would otherwise cost the square of their number.
"""

from collections.abc import Iterator
from math import log2

import numpy as np

from train_fn.signatures import PERMUTATIONS, Signed

# Jaccard at which a pair is accepted; an edge has the highest level that it reaches. Groups that grow too large
# are cut level by level. Copies with half of the content words replaced have 0.17 to 0.5, 0.37 in the median.
LEVELS = (0.18, 0.25, 0.33, 0.45)
EXTRA_BITS = 5  # words come together, so they say less than one by one
BAND = 2  # minima by which rows meet; the next one decides who are neighbours
NEIGHBOURS = 2
CHUNK = 50_000  # pairs compared at once: 80 MB
TASTE = 64  # minima compared first
MIN_TASTE = 5  # of a pair at LEVELS[0] 11.5 agree in the mean with a deviation of 3; of an unrelated one 2


def near_edges(signed: Signed) -> tuple[np.ndarray, np.ndarray]:
    """int64 [edges, 2] pairs of near copies, and int8 [edges] the level of each.

    Enough edges to join at every level what the compared pairs join there, not all pairs.
    """
    joined = [Forest(len(signed.bits)) for _ in LEVELS]
    edges, levels = [np.empty((0, 2), np.int64)], [np.empty(0, np.int8)]
    for band in range(0, PERMUTATIONS, BAND):
        for pairs in _neighbours(signed, band):
            pairs = pairs[joined[-1].apart(pairs)]
            pairs, level = _accepted(signed, pairs)
            new = np.zeros(len(pairs), bool)
            for own, forest in enumerate(joined):
                # Joined at its own level, a pair is joined at all below it.
                new |= (level == own) & forest.apart(pairs)
            pairs, level = pairs[new], level[new]
            for own, forest in enumerate(joined):
                forest.join(pairs[level >= own])
            edges.append(pairs)
            levels.append(level)
    return np.concatenate(edges), np.concatenate(levels)


class Forest:
    """Which rows are joined so far."""

    def __init__(self, rows: int) -> None:
        self.labels = np.arange(rows, dtype=np.int32)
        self._table = np.arange(rows, dtype=np.int32)

    def apart(self, pairs: np.ndarray) -> np.ndarray:
        """bool [pairs]: whether the two rows are not joined."""
        return np.asarray(self.labels[pairs[:, 0]] != self.labels[pairs[:, 1]])

    def join(self, pairs: np.ndarray) -> None:
        """Join the two rows of each pair."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        known, place = np.unique(self.labels[pairs], return_inverse=True)
        if len(known) == 0:
            return
        place = place.reshape(pairs.shape)
        size = len(known)
        graph = coo_array((np.ones(len(pairs), np.int8), (place[:, 0], place[:, 1])), shape=(size, size))
        parts = connected_components(graph, directed=False)[1]
        _, first = np.unique(parts, return_index=True)
        self._table[known] = known[first[parts]]
        self.labels = self._table[self.labels]
        self._table[known] = known


def _neighbours(signed: Signed, band: int) -> Iterator[np.ndarray]:
    """int64 [pairs, 2]: signed rows that agree in a band, each with the next, then with the one after it."""
    rows = np.flatnonzero(signed.bits)
    columns = [(band + own) % PERMUTATIONS for own in range(BAND + 1)]
    first, second, tie = signed.sketches[:, columns][rows].astype(np.uint64).T
    bits = np.uint64(len(signed.bits).bit_length())
    # One number a row: band, a byte of the tie-break, row. Sorted as values it is quick, and the same anywhere.
    packed = (first << np.uint64(24)) | (second << np.uint64(8)) | (tie & np.uint64(255))
    packed = np.sort((packed << bits) | rows.astype(np.uint64))
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    bucket = packed >> (bits + np.uint64(8))
    for step in range(1, NEIGHBOURS + 1):
        same = np.flatnonzero(bucket[step:] == bucket[:-step])
        yield np.stack([order[same], order[same + step]], axis=1)


def _accepted(signed: Signed, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that are near copies, and their levels."""
    # What chance would not repeat in any pair of these rows.
    needed = 2 * log2(max(2, len(signed.bits))) + EXTRA_BITS
    kept, levels = [pairs[:0]], [np.empty(0, np.int8)]
    for start in range(0, len(pairs), CHUNK):
        part = pairs[start : start + CHUNK]
        part = part[_agreeing(signed, part, TASTE) >= MIN_TASTE]
        share = _agreeing(signed, part, PERMUTATIONS) / PERMUTATIONS
        shared = signed.bits[part].sum(axis=1) * share / (1 + share)
        level = np.searchsorted(LEVELS, share, side="right") - 1
        good = (level >= 0) & (shared >= needed)
        kept.append(part[good])
        levels.append(level[good].astype(np.int8))
    return np.concatenate(kept), np.concatenate(levels)


def _agreeing(signed: Signed, pairs: np.ndarray, columns: int) -> np.ndarray:
    """int64 [pairs]: in how many of the first `columns` minima the two rows agree."""
    left, right = (signed.sketches[pairs[:, side], :columns] for side in (0, 1))
    return np.asarray(np.count_nonzero(left == right, axis=1))
