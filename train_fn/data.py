"""Load a data set and check what every later part relies on: splits, columns, labels, texts.

The checks run over Arrow batches that stay memory-mapped: two million rows never become Python objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from train_fn.config import LABELS, DatasetSpec
from train_fn.errors import InputError
from train_fn.hub import SPLITS
from train_fn.pages import read_once
from train_fn.source import Source, find_source
from train_fn.storage import Paths
from train_fn.values import shown

if TYPE_CHECKING:
    from datasets import DatasetDict

SHOWN = 5  # bad rows named in a message


@dataclass(frozen=True)
class LoadedData:
    """Checked rows: text (str), label (int8, the index in LABELS); domain, model, source_id (str or null)."""

    splits: "DatasetDict"
    revision: str | None
    fingerprint: str
    source: str
    places: Mapping[str, NDArray[np.int64]]  # ascending, through train, validation and test as published
    split_hash: str | None = None  # of grouped splits: which text lies where


def load_splits(spec: DatasetSpec, *, paths: Paths) -> LoadedData:
    """Load and check train, validation and test. Raises InputError that names what is wrong."""
    return load_source(find_source(spec, paths=paths))


def load_source(source: Source) -> LoadedData:
    """Load and check a data set that was found. Raises InputError."""
    from datasets import Dataset, DatasetDict, NamedSplit

    splits = {}
    for name, raw in source.load().items():
        table = check_rows(raw.data.table, f"split {name} of {source.text}")
        splits[name] = Dataset(table, split=NamedSplit(name), fingerprint=f"{source.fingerprint[:16]}-{name}")
    places, start = {}, 0
    for name in SPLITS:
        places[name] = np.arange(start, start + len(splits[name]), dtype=np.int64)
        start += len(splits[name])
    return LoadedData(DatasetDict(splits), source.revision, source.fingerprint, source.text, places)


def check_rows(table: pa.Table, where: str) -> pa.Table:
    """The five columns of `table`, checked; the texts keep their memory-mapped buffers. Raises InputError."""
    there = set(table.column_names)
    if len(there) < table.num_columns:
        twice = next(name for name in table.column_names if table.column_names.count(name) > 1)
        raise InputError(f"{where} must have each column once, but {twice} stands there twice; rename one")
    for column in ("text", "label"):
        if column not in there:
            raise InputError(
                f"{where} must have the columns text and label, but {column} is missing; there: "
                f"{', '.join(table.column_names)}"
            )
    _check_text(table["text"], where)
    columns = {"text": table["text"], "label": _labels(table["label"], where)}
    sources = {"domain": ("domain_name", "domain"), "model": ("model",), "source_id": ("source_id",)}
    for name, candidates in sources.items():
        found = next((candidate for candidate in candidates if candidate in there), None)
        columns[name] = _words(table[found], found, where) if found else pa.nulls(table.num_rows, pa.string())
    return pa.table(columns)


def _words(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """A column as strings. Raises InputError."""
    try:
        words = column.cast(pa.string())
        words.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{where}: the column {name} must hold strings, but is {column.type}: {error}; mend it"
        ) from error
    return words


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _chunks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in read_once(column):
        yield chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk


def _check_text(column: pa.ChunkedArray, where: str) -> None:
    """Raise InputError unless every text is a string with a character that is not white space."""
    bad: dict[str, list[np.ndarray]] = {"null": [], "not a string": [], "empty or only white space": []}
    mixed = isinstance(column.type, pa.BaseExtensionType)  # jsonl with several types: each value as JSON
    start = 0
    for chunk in _chunks(column):
        null = pc.is_null(chunk)
        if mixed:
            null = pc.or_(null, pc.fill_null(pc.equal(chunk, "null"), False))
            odd = pc.invert(pc.or_(null, pc.fill_null(pc.starts_with(chunk, '"'), True)))
            blank = pc.fill_null(pc.match_substring_regex(chunk, r'^"(\s|\\[nrt])*"$'), False)
        elif _is_string(column.type):
            _check_bytes(chunk, where, start)
            odd = pa.array(np.zeros(len(chunk), dtype=bool))
            blank = pc.fill_null(pc.or_(pc.equal(chunk, ""), pc.utf8_is_space(chunk)), False)
        else:
            odd = pc.invert(null)
            blank = pa.array(np.zeros(len(chunk), dtype=bool))
        for kind, mask in zip(bad, (null, odd, blank), strict=True):
            bad[kind].append(np.flatnonzero(mask.to_numpy(zero_copy_only=False)) + start)
        start += len(chunk)
    rows = {kind: np.concatenate(found) for kind, found in bad.items() if found and sum(map(len, found))}
    if rows:
        counts = "; ".join(
            f"{len(found):,} {kind} ({'rows' if len(found) > 1 else 'row'} "
            f"{', '.join(str(row) for row in found[:SHOWN])}{', ...' if len(found) > SHOWN else ''})"
            for kind, found in rows.items()
        )
        raise InputError(
            f"{where}: every text must be a string that is not empty, but of {start:,} rows there are "
            f"{counts}; the first row is 0. Mend or remove these rows"
        )


def _check_bytes(texts: pa.Array, where: str, start: int) -> None:
    try:
        texts.validate(full=True)  # a file may call any bytes a string
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{where}: every text must be UTF-8, but from row {start:,} on (the first row is 0): {error}; mend or "
            "remove that row"
        ) from error


def _labels(column: pa.ChunkedArray, where: str) -> pa.Array:
    """The labels as int8 (the index in LABELS). Raises InputError for another value or a missing class."""
    accepted = f"{LABELS[0]} or {LABELS[1]}"
    if pa.types.is_dictionary(column.type) or _is_string(column.type):
        column = _words(column, "label", where)
    known = pa.array(LABELS, column.type) if _is_string(column.type) else None
    codes = pc.index_in(column, value_set=known) if known is not None else pa.nulls(len(column), pa.int32())
    unknown = pc.is_null(codes)
    if pc.any(unknown).as_py():
        row = pc.index(unknown, True).as_py()
        count = pc.sum(unknown).as_py()
        raise InputError(
            f"{where}: every label must be {accepted}, but row {row} (the first row is 0) has "
            f"{shown(column[row].as_py())}; {count:,} of {len(column):,} rows have another label. If they only "
            f"spell the classes in another way, map them: `labels: {{ai: {LABELS[0]}, human: {LABELS[1]}}}` in "
            "the folder's dataset.yaml, or in the set's configs/datasets/*.yaml"
        )
    result = codes.cast(pa.int8())
    counts = np.bincount(result.to_numpy(), minlength=len(LABELS))
    if not counts.all():
        found = ", ".join(f"{count:,} {label}" for label, count in zip(LABELS, counts, strict=True))
        raise InputError(f"{where} must hold rows of both classes, but has {found}. Each split needs both")
    return result
