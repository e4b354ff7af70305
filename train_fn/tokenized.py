"""The tokenised data set as it lies on disk, opened lazily and memory-mapped by every trial.

tokenized_cache/<set>/<key>/  <split>.tokens.npy   int32 [tokens]    all rows, one after the other
                              <split>.offsets.npy  int64 [rows + 1]  row i: tokens[offsets[i]:offsets[i + 1]]
                              <split>.labels.npy   int8 [rows]       index in LABELS
                              <split>.hashes.npy   uint64 [rows]     text_hash of the row's text
                              <split>.rows.parquet domain, model     string or null
                                                   place, truncated  int64, bool
                              meta.json            written last: what decided the key, sizes and counts

A place is a row's number through the published train, validation and test split; a split's rows ascend by it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from train_fn.arrays import read_array
from train_fn.config import Splits
from train_fn.storage import read_json
from train_fn.values import Frozen

if TYPE_CHECKING:
    import pyarrow as pa


class SplitMeta(Frozen):
    """One split: counts in the order of LABELS, `truncated` rows were cut to max_length, sizes in bytes."""

    rows: int
    tokens: int
    truncated: int
    counts: tuple[int, int]
    sizes: dict[str, int]

    @property
    def truncated_share(self) -> float:
        return self.truncated / self.rows


class Meta(Frozen):
    """What a tokenised set is made of; the first seven decide its key. Published splits have no seed or hash."""

    format_version: int
    fingerprint: str
    tokenizer_hash: str
    max_length: int
    pad_token_id: int
    splits_kind: Splits
    split_seed: int | None
    split_hash: str | None
    dataset: str
    source: str
    revision: str | None
    tokenizer: str
    splits: dict[str, SplitMeta]


@dataclass(frozen=True)
class Split:
    """Memory-mapped rows: tokens int32 [tokens], offsets int64 [rows + 1], labels int8 [rows]."""

    tokens: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """The token ids of one row, int32 [length], a view."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


class TokenizedSet:
    """A prepared folder. A split's files are opened when it is first asked for, and no other's."""

    def __init__(self, folder: Path, meta: Meta) -> None:
        self.folder = folder
        self.meta = meta

    @cached_property
    def train(self) -> Split:
        return self._open("train")

    @cached_property
    def validation(self) -> Split:
        return self._open("validation")

    @cached_property
    def test(self) -> Split:
        return self._open("test")

    def _open(self, name: str) -> Split:
        parts = ("tokens", "offsets", "labels")
        return Split(*(read_array(self.folder / f"{name}.{part}.npy", mapped=True) for part in parts))

    def rows(self, name: str) -> "pa.Table":
        """The columns domain, model, place and truncated of a split, in the order of its rows."""
        import pyarrow.parquet as pq

        return pq.read_table(self.folder / f"{name}.rows.parquet")

    def hashes(self, name: str) -> NDArray[np.uint64]:
        """The text_hash of each row of a split, memory-mapped, [rows]."""
        hashes: NDArray[np.uint64] = read_array(self.folder / f"{name}.hashes.npy", mapped=True)
        return hashes


def whole_meta(folder: Path) -> Meta | None:
    """The meta of a whole folder; None when it is absent, cut short, unreadable, or of another format."""
    try:
        meta = Meta(**read_json(folder / "meta.json"))
        sizes = [item for split in meta.splits.values() for item in split.sizes.items()]
        return meta if all((folder / name).stat().st_size == size for name, size in sizes) else None
    except (OSError, ValueError, TypeError, ValidationError):
        return None


def open_set(folder: Path) -> TokenizedSet:
    """Open what `prepare` returned."""
    return TokenizedSet(folder, Meta(**read_json(folder / "meta.json")))
