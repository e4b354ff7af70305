"""Which rows of a target's validation and test splits a search has trained on, and scoring without them.

The sets are nearly nested: a search on 100k may have trained on texts that 2M scores with. A promotion starts from
fresh weights, so what leaks is the choice of hyperparameters only; leaving the rows out of training would not undo
that. Leaving them out of every score does, early stopping's validation rows included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train_fn.arrays import read_arrays
from train_fn.batching import Rows
from train_fn.storage import atomic_file
from train_fn.tokenized import TokenizedSet

if TYPE_CHECKING:
    from train_fn.groups import Groups

SCORED = ("validation", "test")
LEFT_OUT = "left_out.npz"


@dataclass(frozen=True)
class Overlap:
    """By scored split: the rows that were trained on, how many of them to the letter, and of how many rows.

    The others are equal once case, spaces, digits, look-alike letters and the like are undone.
    """

    rows: Mapping[str, Rows]
    exact: Mapping[str, int]
    totals: Mapping[str, int]

    @property
    def facts(self) -> dict[str, dict[str, int]]:
        """For lineage.json."""
        return {
            split: {"seen": len(rows), "exact": self.exact[split], "rows": self.totals[split]}
            for split, rows in self.rows.items()
        }

    def lines(self) -> list[str]:
        """One line a split for the reader."""
        return [
            f"seen     {len(rows):,} of {self.totals[split]:,} {split} rows were train rows of the search "
            f"({self.exact[split]:,} to the letter)"
            for split, rows in self.rows.items()
        ]


def texts_of(data: TokenizedSet, split: str, rows: Rows, groups: "Groups") -> np.ndarray:
    """The hashes of these rows as they are and with surface changes undone, uint64 [rows, 2]."""
    places = data.rows(split)["place"].to_numpy()
    return np.asarray(groups.hashes[places[rows]])


def find_overlap(seen: np.ndarray, data: TokenizedSet, groups: "Groups") -> Overlap:
    """The validation and test rows of `data` whose text is among `seen`, uint64 [n, 2] from `texts_of`."""
    rows, exact, totals = {}, {}, {}
    for split in SCORED:
        count = data.meta.splits[split].rows
        texts = texts_of(data, split, np.arange(count), groups)
        same = np.isin(texts[:, 0], seen[:, 0])
        rows[split] = np.flatnonzero(same | np.isin(texts[:, 1], seen[:, 1]))
        exact[split], totals[split] = int(same.sum()), count
    return Overlap(rows, exact, totals)


def write_left_out(overlap: Overlap, folder: Path) -> None:
    """Keep in a run's folder the rows that no score of it may use."""
    with atomic_file(folder / LEFT_OUT) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = dict(overlap.rows)
        np.savez(file, **arrays)


def left_out_file(folder: Path) -> Path | None:
    """What `write_left_out` wrote for the run of that folder; None where every row is scored."""
    path = folder / LEFT_OUT
    return path if path.exists() else None


def scored_rows(split: str, count: int, left_out: Path | None) -> Rows:
    """The rows of a split of `count` rows that may be scored, in order."""
    everything = np.arange(count)
    if left_out is None:
        return everything
    return np.setdiff1d(everything, read_arrays(left_out, [split])[split], assume_unique=True)
