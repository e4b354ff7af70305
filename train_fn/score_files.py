"""Scored texts as jsonl, csv or parquet: a line a text, in the order of the input, written as they come."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from train_fn.errors import InputError
from train_fn.storage import atomic_file

Line = dict[str, Any]  # row and the fields of TextScore
Write = Callable[[list[Line]], None]


@contextmanager
def score_file(path: Path) -> Iterator[Write]:
    """Yield what writes lines to `path`, which appears when the block ends well, and only then."""
    with atomic_file(path) as temporary, KINDS[path.suffix.lower()](temporary) as write:
        yield write


def check_output(path: Path, replace: bool, source: Path | None) -> None:
    """Raise InputError where results cannot be written to `path`: its ending, what stands there, or the input."""
    if path.suffix.lower() not in KINDS:
        raise InputError(f"--output must end in {', '.join(KINDS)}, but got {path}")
    if source and path.exists() and path.samefile(source):
        raise InputError(f"--output must be another file than the input, but both are {path}")
    if path.exists() and not (replace and path.is_file()):
        raise InputError(
            f"--output must not be there yet, but {path} is; name another, or --replace the file"
        )


def plain(line: Line, fpr: int, row: bool) -> str:
    """A result as one line to read, with the number of its row where there are rows."""
    start = f"row {line['row']}: " if row else ""
    if line["error"]:
        return f"{start}error: {line['error']}"
    words = [f"{start}{line['label']}, P(AI) {line['probability']:.4f}"]
    if line["verdict"]:
        at = "" if line["threshold_of"] == "global" else f" in {line['threshold_of']!a}"
        words.append(f"at FPR {fpr} %{at}: {line['verdict']}")
    if line["windows"] > 1:
        words.append(f"{line['windows']:,} windows")
    return "; ".join([*words, *([line["note"]] if line["note"] else [])])


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="ascii") as file:
        yield lambda lines: file.writelines(json.dumps(line) + "\n" for line in lines)


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, SCHEMA)
        writer.writeheader()
        yield writer.writerows


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(list(SCHEMA.items()))
    with pq.ParquetWriter(path, schema) as file:
        yield lambda lines: file.write_table(pa.Table.from_pylist(lines, schema))


SCHEMA = {
    "row": "int64",
    "label": "string",
    "probability": "float64",
    "verdict": "string",
    "margin": "float64",
    "threshold": "float64",
    "threshold_of": "string",
    "windows": "int32",
    "note": "string",
    "error": "string",
}
KINDS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
