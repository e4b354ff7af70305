"""Texts that were tokenised before, in any folder of the cache: their tokens are copied, not made again."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train_fn.pages import Ranges, let_go
from train_fn.tokenized import Split, TokenizedSet, whole_meta

ALIKE = ("format_version", "tokenizer_hash", "max_length", "pad_token_id")  # equal: a text has equal tokens


class Donors:
    """Memory-mapped splits, and an index of their texts: 16 bytes a different text."""

    def __init__(self, sets: Iterable[TokenizedSet]) -> None:
        self._splits: list[tuple[Split, NDArray[np.bool_]]] = []  # and which rows were cut
        self._starts = [0]  # of each split, in the numbering of the rows of all
        self._hashes = np.empty(0, np.uint64)  # ascending
        self._rows = np.empty(0, np.int64)
        for opened in sets:
            for name in opened.meta.splits:
                self._add(opened, name)

    def _add(self, opened: TokenizedSet, name: str) -> None:
        try:
            split: Split = getattr(opened, name)
            hashes, truncated = opened.hashes(name), opened.rows(name)["truncated"].to_numpy()
            # Slices of a plain array take a third of the time of a memmap's.
            plain = Split(np.asarray(split.tokens), np.asarray(split.offsets), np.asarray(split.labels))
        except (OSError, ValueError):  # removed or damaged since: its rows are tokenised anew
            return
        start = self._starts[-1]
        both = np.concatenate([self._hashes, hashes])
        self._hashes, first = np.unique(both, return_index=True)
        self._rows = np.concatenate([self._rows, np.arange(start, start + len(split))])[first]
        self._starts.append(start + len(split))
        self._splits.append((plain, truncated))

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of a row with that text_hash, for `take`; -1 where there is none."""
        if not len(self._hashes):
            return np.full(len(hashes), -1)
        at = np.searchsorted(self._hashes, hashes).clip(max=len(self._hashes) - 1)
        return np.where(self._hashes[at] == hashes, self._rows[at], -1)

    def take(self, row: int) -> tuple[NDArray[np.int32], bool]:
        """The tokens of a row that was found, a view, and whether its text was cut."""
        donor = bisect_right(self._starts, row) - 1
        split, truncated = self._splits[donor]
        own = row - self._starts[donor]
        return split.row(own), bool(truncated[own])

    def let_go(self, ranges: Ranges) -> None:
        """Let go of the pages of tokens that were read, where they lie in `ranges`."""
        for split, _ in self._splits:
            let_go(split.tokens, ranges)


def find_donors(cache: Path, like: Mapping[str, Any]) -> Donors:
    """The whole folders under `cache` (one folder a set) whose meta has the values of `like` for ALIKE."""
    sets = []
    for file in sorted(cache.glob("[!.]*/[!.]*/meta.json")):
        meta = whole_meta(file.parent)
        if meta is not None and all(getattr(meta, key) == like[key] for key in ALIKE):
            sets.append(TokenizedSet(file.parent, meta))
    return Donors(sets)
