"""The texts of a file, one row after the other, whatever its size: csv, jsonl, parquet; a txt file is one text.

Rows of csv and jsonl are read one at a time by the standard library: a damaged one becomes a row with an error,
where Arrow's readers would end the whole job.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import IO, Any

from train_fn.errors import InputError

LONGEST = 5_000_000  # characters of one text, a long book; its windows take some 800 MB
LONGEST_LINE = 1 << 26  # bytes: such a text in JSON, most of it escaped
DOMAINS = ("domain_name", "domain")  # as the training data call it
PARQUET_ROWS = 256  # a batch
END = "\0end"  # a last line of our own: where a quote of a csv is open, it is no row by itself


@dataclass(frozen=True)
class TextRow:
    """One row: its text, or None and the error; its domain; the share of the input read up to here."""

    text: str | None
    domain: str | None = None
    error: str = ""
    share: float = 1.0

    @classmethod
    def of(cls, values: dict[str, Any], columns: "Columns", share: float) -> "TextRow":
        named = columns.domain or next((name for name in DOMAINS if name in values), "")
        text, domain = values.get(columns.text), values.get(named)
        domain = str(domain) if domain else None
        if isinstance(text, str):
            return cls(text, domain, share=share)
        found = "null" if columns.text in values else "missing"
        return cls(None, domain, f"the text is {found if text is None else 'not a string'}", share)


@dataclass(frozen=True)
class Columns:
    """The names of the text's and the domain's column; without a domain's, one of DOMAINS where it is there."""

    text: str = "text"
    domain: str | None = None

    def among(self, names: Iterable[Any], file: Path) -> "Columns":
        """With the domain's column found. Raises InputError for a column that is not there."""
        there = [str(name) for name in names]
        for name, flag in ((self.text, "--column"), (self.domain, "--domain-column")):
            if name and name not in there:
                shown = ", ".join(map(ascii, there))[:300]
                raise InputError(f"{file} must have the column {name}, but has {shown}; name another: {flag}")
        return Columns(self.text, self.domain or next((name for name in DOMAINS if name in there), None))


def read_rows(file: Path, columns: Columns) -> Iterator[TextRow]:
    """The rows of a file, at least one. Raises InputError, at once where it is not what its ending says."""
    readers: dict[str, Callable[[Path, Columns], Iterator[TextRow]]] = {
        ".txt": _txt,
        ".csv": _csv,
        ".jsonl": _jsonl,
        ".parquet": _parquet,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None or not file.is_file():
        found = f"ends in {file.suffix!a}" if file.is_file() else "is not there"
        raise InputError(f"--file must be a {', '.join(readers)} file, but {file} {found}")
    rows = reader(file, columns)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{file} must hold a row with a text, but has none")
    return chain([first], rows)


def problem(text: str | None) -> str:
    """Why a text cannot be scored; empty where it can."""
    if text is None:
        return "the text is null"
    if not text.strip():
        return "the text is empty or only white space"
    if len(text) > LONGEST:
        return f"the text has {len(text):,} characters, of {LONGEST:,} at most; cut it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "the text is not valid UTF-8"
    return ""


def one_text(text: str) -> TextRow:
    """A text that stands by itself. Raises InputError where it cannot be scored."""
    if found := problem(text):
        raise InputError(f"a text must have something to read, at most {LONGEST:,} characters, but {found}")
    return TextRow(text)


def whole_text(file: IO[bytes], name: str) -> TextRow:
    """All that is in an open file, as one text. Raises InputError where it cannot be scored."""
    data = file.read(LONGEST_LINE)
    try:
        return one_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} must be text in UTF-8, but: {error}; is it a .csv, .jsonl or .parquet?"
        ) from error


def _txt(path: Path, columns: Columns) -> Iterator[TextRow]:
    with path.open("rb") as file:
        yield whole_text(file, str(path))


def _jsonl(path: Path, columns: Columns) -> Iterator[TextRow]:
    size, first = path.stat().st_size, True
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            whole = end = line.endswith(b"\n") or len(line) < LONGEST_LINE
            while not end:
                rest = file.readline(LONGEST_LINE)
                end = rest.endswith(b"\n") or not rest
            if not line.strip():
                continue
            values = _object(line) if whole else None
            if first:
                if values is None:
                    raise InputError(
                        f"{path} must hold a JSON object a line, as its ending says, but line 1 is none"
                    )
                columns.among(values, path)
                first = False
            share = file.tell() / size
            bad = TextRow(None, None, "the line is not a JSON object", share)
            yield bad if values is None else TextRow.of(values, columns, share)  # lines may differ in keys


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _csv(path: Path, columns: Columns) -> Iterator[TextRow]:
    csv.field_size_limit(LONGEST_LINE)
    size = path.stat().st_size
    # Bytes that are not UTF-8 become lone surrogates: an error of their row, not of the file.
    with path.open("rb") as file:
        lines = TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(chain(lines, (END,)))
        try:
            header = [name for name in next(reader) if name != END]
            if any("\0" in name for name in header):
                raise InputError(f"{path} must be csv, as its ending says, but holds binary data")
            known = columns.among(header, path)
            for cells in filter(None, reader):
                if cells == [END]:
                    return
                if cells[-1].endswith(END):
                    raise csv.Error("a quote is open at the end")
                share = file.tell() / size
                if len(cells) == len(header):
                    yield TextRow.of(dict(zip(header, cells, strict=True)), known, share)
                else:
                    found = f"{len(cells)} fields where the header has {len(header)}"
                    yield TextRow(None, None, found, share)
        except csv.Error as error:
            raise InputError(
                f"{path} must be csv, but line {reader.line_num}: {error}; mend its quotes"
            ) from error


def _parquet(path: Path, columns: Columns) -> Iterator[TextRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = 0
    try:
        # Read as it goes: by default whole row groups are fetched ahead.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            known = columns.among(file.schema_arrow.names, path)
            kind = file.schema_arrow.field(known.text).type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                raise InputError(f"{path} must have strings in the column {known.text}, but it holds {kind}")
            names = [name for name in (known.text, known.domain) if name]
            for batch in file.iter_batches(PARQUET_ROWS, columns=names):
                for values in batch.to_pylist():
                    done += 1
                    yield TextRow.of(values, known, done / file.metadata.num_rows)
    except (pa.ArrowInvalid, OSError, KeyError, UnicodeDecodeError) as error:
        found = " ".join(str(error).split())[:200]
        raise InputError(f"{path} must be parquet, as its ending says, but at row {done}: {found}") from error
