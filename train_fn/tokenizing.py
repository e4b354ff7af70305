"""Turn the texts of one split into token ids on disk, in batches, never the whole split in memory."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from train_fn.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

BATCH = 1024  # rows: enough for the tokenizer's threads, some MB of Python objects
SAY_EVERY = 10.0  # seconds
TOKEN_TYPE = np.dtype("<i4")


def load_tokenizer(model: str, revision: str | None) -> Any:
    """The fast tokenizer of a folder or Hub name. Raises InputError when there is none."""
    from transformers import AutoTokenizer

    from train_fn.hub import model_folder

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model_folder(model, revision)))
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
    """An upper bound of what `write_split` writes: a token is at least one byte of text."""
    lengths = pc.min_element_wise(pc.binary_length(split.data.table["text"]), max_length)
    return int(pc.sum(lengths).as_py()) * TOKEN_TYPE.itemsize + len(split) * 64


def write_split(
    folder: Path, split: "Dataset", tokenizer: Any, max_length: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write a split's tokens, offsets, labels and rows into `folder`; return its rows, tokens and counts."""
    name, table = str(split.split), split.data.table
    lengths: list[np.ndarray] = []
    truncated, done, start = 0, 0, time.monotonic()
    said = start
    with (folder / f"{name}.tokens.npy").open("wb") as file:
        _write_header(file, 0)
        for batch in table.select(["text"]).to_batches(max_chunksize=BATCH):
            rows, cut = _encode(tokenizer, batch["text"], max_length)
            lengths.append(np.fromiter(map(len, rows), np.int64, len(rows)))
            file.write(np.concatenate(rows).astype(TOKEN_TYPE, copy=False).tobytes())
            truncated, done = truncated + cut, done + len(rows)
            now = time.monotonic()
            if now - said >= SAY_EVERY:
                said, rate = now, done / (now - start)
                left = (table.num_rows - done) / rate
                state = f"{done:,} of {table.num_rows:,} rows, {rate:,.0f} rows/s, {left:,.0f} s left"
                say(f"tokenising {name}: {state}")
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
        file.seek(0)
        _write_header(file, int(offsets[-1]))  # numpy leaves room for the length to grow in place
        file.flush()
        os.fsync(file.fileno())
    labels = table["label"].to_numpy()
    np.save(folder / f"{name}.offsets.npy", offsets)
    np.save(folder / f"{name}.labels.npy", labels)
    pq.write_table(table.select(["domain", "model"]), folder / f"{name}.rows.parquet")
    counts = tuple(int(count) for count in np.bincount(labels, minlength=2))
    return {"rows": done, "tokens": int(offsets[-1]), "truncated": truncated, "counts": counts}


def _encode(tokenizer: Any, texts: pa.Array, max_length: int) -> tuple[list[np.ndarray], int]:
    """Token ids of each text, special tokens as the tokenizer adds them; and how many texts were cut."""
    batch = tokenizer(texts.to_pylist(), truncation=True, max_length=max_length, return_attention_mask=False)
    # A text of characters that the tokenizer drops has no token; one is needed to pool from.
    rows = [np.asarray(ids or [pad_token_id(tokenizer)], TOKEN_TYPE) for ids in batch["input_ids"]]
    return rows, sum(bool(encoding.overflowing) for encoding in batch.encodings)


def _write_header(file: IO[bytes], count: int) -> None:
    header = {"descr": TOKEN_TYPE.str, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, header)
