"""Turn the texts of one split into token ids on disk, in batches, never the whole split in memory."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from train_fn.donors import Donors
from train_fn.errors import InputError
from train_fn.normalise import text_hash
from train_fn.pages import Ranges, let_go, read_only_files
from train_fn.progress_lines import Progress

if TYPE_CHECKING:
    from datasets import Dataset

BATCH = 1024  # rows: enough for the tokenizer's threads, some MB of Python objects
HELD_BATCHES = 10  # read and copied before their pages are let go; those between their rows come along
TOKEN_TYPE = np.dtype("<i4")
NOTHING = np.empty(0, TOKEN_TYPE)


def load_tokenizer(model: str, revision: str | None) -> Any:
    """The fast tokenizer of a folder or Hub name. Raises InputError when there is none."""
    from transformers import AutoTokenizer

    from train_fn.hub import model_folder

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model_folder(model, revision)), trust_remote_code=False)
    except (OSError, ValueError) as error:
        found = " ".join(str(error).split())[:300]
        raise InputError(
            f"model must be a Transformers folder or a Hub name with a tokenizer, but {model}: {found}"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"model must have a fast tokenizer (tokenizer.json), but {model!r} has none; add one"
        )
    return tokenizer


def tokenizer_hash(tokenizer: Any) -> str:
    """sha256 of everything that decides the tokens; take it before the first text is tokenised."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def pad_token_id(tokenizer: Any) -> int:
    """The id that fills short rows; any will do, as padding is masked and pooling goes by length."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return int(next(token for token in known if token is not None))


def bytes_needed(split: "Dataset", max_length: int) -> int:
    """An upper bound of what `write_split` writes: a token is at least one byte of text.

    Of a split that is a selection from a table, its share of the table's rows.
    """
    table = split.data.table
    lengths = pc.min_element_wise(pc.binary_length(table["text"]), max_length)
    tokens: int = pc.sum(lengths).as_py() * len(split) // table.num_rows
    return tokens * TOKEN_TYPE.itemsize + len(split) * 64


class Encoder:
    """Token ids of texts, copied from `donors` where they have them; `reused` counts these."""

    def __init__(self, tokenizer: Any, max_length: int, donors: Donors) -> None:
        self._tokenizer, self._max_length, self._donors = tokenizer, max_length, donors
        self.reused = 0

    def __call__(
        self, texts: list[str], hashes: NDArray[np.uint64]
    ) -> tuple[list[np.ndarray], NDArray[np.bool_]]:
        """The ids of each text, special tokens as the tokenizer adds them; and which texts were cut."""
        known = self._donors.find(hashes)
        new = np.flatnonzero(known < 0)
        self.reused += len(texts) - len(new)
        rows: list[np.ndarray] = [NOTHING] * len(texts)
        cut = np.zeros(len(texts), bool)
        for index in np.flatnonzero(known >= 0).tolist():
            rows[index], cut[index] = self._donors.take(int(known[index]))
        for index, (ids, long) in zip(new.tolist(), self._tokenise([texts[i] for i in new]), strict=True):
            rows[index], cut[index] = ids, long
        return rows, cut

    def let_go(self, ranges: Ranges) -> None:
        """Let go of the pages of tokens that were copied, where they lie in `ranges`."""
        self._donors.let_go(ranges)

    def _tokenise(self, texts: list[str]) -> Iterator[tuple[np.ndarray, bool]]:
        if not texts:
            return
        options = {"truncation": True, "max_length": self._max_length, "return_attention_mask": False}
        batch = self._tokenizer(texts, **options)
        # A text of characters that the tokenizer drops has no token; one is needed to pool from.
        empty = [pad_token_id(self._tokenizer)]
        for ids, encoding in zip(batch["input_ids"], batch.encodings, strict=True):
            yield np.asarray(ids or empty, TOKEN_TYPE), bool(encoding.overflowing)


def write_split(
    folder: Path, split: "Dataset", places: NDArray[np.int64], encode: Encoder, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write a split's five files into `folder`; return its rows, tokens, cut texts and counts.

    `places` are those of its rows.
    """
    name, found, done = str(split.split), list[_Batch](), 0
    progress, mapped = Progress(f"tokens   {name}", len(split), say), read_only_files()
    with (folder / f"{name}.tokens.npy").open("wb") as file:
        _write_header(file, 0)
        for table in split.with_format("arrow").iter(batch_size=BATCH):
            rows, batch = _encode(table, encode)
            found.append(batch)
            file.write(np.concatenate(rows).astype(TOKEN_TYPE, copy=False).tobytes())
            done += len(rows)
            progress.at(done)
            if len(found) % HELD_BATCHES == 0:
                let_go(split.data.table["text"], mapped)
                encode.let_go(mapped)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(_all(found, "lengths"))])
        file.seek(0)
        _write_header(file, int(offsets[-1]))  # numpy leaves room for the length to grow in place
        file.flush()
        os.fsync(file.fileno())
    labels, truncated = _all(found, "labels"), _all(found, "truncated")
    np.save(folder / f"{name}.offsets.npy", offsets)
    np.save(folder / f"{name}.labels.npy", labels)
    np.save(folder / f"{name}.hashes.npy", _all(found, "hashes"))
    about = pa.concat_tables([batch.about for batch in found])
    about = about.append_column("place", pa.array(places)).append_column("truncated", pa.array(truncated))
    pq.write_table(about, folder / f"{name}.rows.parquet")
    counts = tuple(int(count) for count in np.bincount(labels, minlength=2))
    return {"rows": done, "tokens": int(offsets[-1]), "truncated": int(truncated.sum()), "counts": counts}


@dataclass(frozen=True)
class _Batch:
    """What is kept of a batch of rows; the texts and tokens are not."""

    lengths: NDArray[np.int64]
    labels: NDArray[np.int8]
    hashes: NDArray[np.uint64]
    truncated: NDArray[np.bool_]
    about: pa.Table


def _encode(table: pa.Table, encode: Encoder) -> tuple[list[np.ndarray], _Batch]:
    texts = table["text"].to_pylist()
    hashes = np.fromiter(map(text_hash, texts), np.uint64, len(texts))
    rows, truncated = encode(texts, hashes)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    about = table.select(["domain", "model"]).combine_chunks()
    return rows, _Batch(lengths, table["label"].to_numpy(), hashes, truncated, about)


def _all(batches: list[_Batch], field: str) -> np.ndarray:
    return np.concatenate([getattr(batch, field) for batch in batches])


def _write_header(file: IO[bytes], count: int) -> None:
    header = {"descr": TOKEN_TYPE.str, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, header)
