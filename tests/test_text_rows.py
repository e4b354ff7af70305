"""Rows of files become texts one after the other; damage is an error of its row, or of the file at once."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from train_fn import text_rows
from train_fn.errors import InputError
from train_fn.text_rows import Columns, one_text, read_rows, whole_text

ROWS = [
    {"text": "one, two", "domain": "news"},
    {"text": 'a "quoted"\nline', "domain": None},
    {"text": "drei \u00e4", "domain": "wiki"},
]


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def write(path: Path) -> Path:
    """ROWS in the form that the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        path.write_text(lines(*ROWS))
    else:
        path.write_text(
            'id,text,domain\n0,"one, two",news\n1,"a ""quoted""\nline",\n2,drei \u00e4,wiki\n', "utf-8"
        )
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "JSONL"])
def test_each_kind_of_file_gives_the_same_rows(ending: str, tmp_path: Path) -> None:
    found = list(
        read_rows(write(tmp_path / f"rows.{ending.lower()}").rename(tmp_path / f"rows.{ending}"), Columns())
    )
    assert [(row.text, row.domain, row.error) for row in found] == [
        (row["text"], row["domain"], "") for row in ROWS
    ]
    shares = [row.share for row in found]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_txt_file_is_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffa\n\nb\n", "utf-8")
    (row,) = read_rows(tmp_path / "a.txt", Columns())
    assert (row.text, row.share) == ("a\n\nb\n", 1.0)


def test_columns_of_other_names_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(
        lines({"body": "b", "text": "t", "kind": "news", "domain": "wiki", "domain_name": "books"})
    )
    assert next(read_rows(file, Columns("body", "kind"))).domain == "news"
    assert next(read_rows(file, Columns("body"))).text == "b"
    assert next(read_rows(file, Columns())).domain == "books"


def test_a_damaged_row_is_an_error_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [b'{"text": "a"}', b'{"text": null}', b'{"text": 5}', b"{cut", b"[1]", b"", b'{"tex": "a"}', b"{}"]
    file.write_bytes(b"\n".join([*rows, b'{"text": "\xff"}', b'{"text": "z"}']))
    assert [row.error or row.text for row in read_rows(file, Columns())] == [
        "a",
        "the text is null",
        "the text is not a string",
        "the line is not a JSON object",
        "the line is not a JSON object",
        "the text is missing",
        "the text is missing",
        "the line is not a JSON object",
        "z",
    ]


def test_a_line_too_long_to_hold_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "LONGEST_LINE", 64)
    file = tmp_path / "a.jsonl"
    file.write_text(lines({"text": "a"}, {"text": "b" * 200}, {"text": "c" * 51}, {"text": "d"}))
    found = [(row.error, (row.text or "")[:1]) for row in read_rows(file, Columns())]
    assert found == [("", "a"), ("the line is not a JSON object", ""), ("", "c"), ("", "d")]


def test_a_csv_row_of_another_width_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,id\na,1\nb\n\nc,1,2\nd \xff,4\n")
    found = list(read_rows(file, Columns()))
    assert [row.error for row in found] == [
        "",
        "1 fields where the header has 2",
        "3 fields where the header has 2",
        "",
    ]
    assert text_rows.problem(found[-1].text) == "the text is not valid UTF-8"


PARQUET = "a parquet file"
REFUSED: dict[str, tuple[str, Any, str]] = {
    "another ending": ("a.json", "[]", "must be a .txt, .csv, .jsonl, .parquet file, but .* ends in '.json'"),
    "not there": ("a.csv", None, "is not there"),
    "empty csv": ("a.csv", "", "must have the column text"),
    "empty jsonl": ("a.jsonl", "\n", "must hold a row with a text, but has none"),
    "csv with a header alone": ("a.csv", "text\n", "must hold a row with a text, but has none"),
    "csv without the column": ("a.csv", "id,body\n1,a\n", "the column text, but has 'id', 'body'"),
    "jsonl without the column": ("a.jsonl", lines({"body": "a"}), "the column text, but has 'body'"),
    "csv that is parquet": ("a.csv", PARQUET, "must be csv, as its ending says, but holds binary data"),
    "jsonl that is csv": ("a.jsonl", "text,id\na,1\n", "a JSON object a line, as its ending says"),
    "jsonl that is one array": ("a.jsonl", '[\n{"text": "a"}\n]', "a JSON object a line, as its ending says"),
    "jsonl that is parquet": ("a.jsonl", PARQUET, "a JSON object a line, as its ending says"),
    "parquet that is csv": ("a.parquet", "text,id\na,1\n", "must be parquet, as its ending says"),
    "txt that is parquet": ("a.txt", PARQUET, "must be text in UTF-8"),
    "empty txt": ("a.txt", "", "the text is empty"),
    "txt of white space": ("a.txt", " \n", "the text is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_at_once(case: str, tmp_path: Path) -> None:
    name, content, message = REFUSED[case]
    if content == PARQUET:
        write(tmp_path / "a.parquet").rename(tmp_path / name)
    elif content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / name, Columns())


def test_columns_that_are_not_there_or_hold_no_strings_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [1, 2], "word": pa.array(["a", None]).dictionary_encode()}), file)
    with pytest.raises(InputError, match="must have strings in the column text, but it holds int64"):
        read_rows(file, Columns())
    with pytest.raises(
        InputError, match="column kind, but has 'text', 'word'; name another: --domain-column"
    ):
        read_rows(file, Columns("word", "kind"))
    assert [row.error or row.text for row in read_rows(file, Columns("word"))] == ["a", "the text is null"]


@pytest.fixture
def _own_limit() -> Iterator[None]:
    """The limit of csv's fields is the process's."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("_own_limit")
def test_a_quote_that_never_ends_is_named_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rows, "LONGEST_LINE", 100)
    (tmp_path / "a.csv").write_text('text\na\n"b\n' + "c\n" * 100)
    with pytest.raises(InputError, match=r"must be csv, but line .*mend its quotes"):
        list(read_rows(tmp_path / "a.csv", Columns()))


def test_a_quote_that_is_open_at_the_end_has_swallowed_rows(tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text('id,text\n1,"an open quote\n2,second\n3,third\n')
    with pytest.raises(
        InputError, match=r"must be csv, but line 5: a quote is open at the end; mend its quotes"
    ):
        list(read_rows(file, Columns()))


def test_each_line_of_jsonl_has_its_own_domain(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "a"}\n{"text": "b", "domain": "news"}\n{"text": "c", "domain_name": "books"}\n')
    assert [row.domain for row in read_rows(file, Columns())] == [None, "news", "books"]


@pytest.mark.parametrize("damage", ["bytes", "twice"])
def test_a_parquet_file_of_broken_strings_or_equal_names_is_an_input_error(
    tmp_path: Path, damage: str
) -> None:
    buffers = [None, pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(b"ok\xff\xfe")]
    texts = pa.Array.from_buffers(pa.string(), 2, buffers)
    if damage == "twice":
        table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    else:
        table = pa.table({"text": texts})
    pq.write_table(table, tmp_path / "texts.parquet")
    with pytest.raises(InputError, match="must be parquet, as its ending says"):
        list(read_rows(tmp_path / "texts.parquet", Columns()))


def test_damage_in_the_middle_of_a_parquet_file_is_an_input_error(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {number} " * 20 for number in range(2000)]})
    pq.write_table(table, file, row_group_size=500, use_dictionary=False, compression="zstd")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"must be parquet, .* but at row [1-9]"):
        list(read_rows(file, Columns()))


def test_a_text_by_itself_must_have_something_to_read() -> None:
    assert one_text("a").text == "a"
    assert whole_text(io.BytesIO(b"a\n"), "standard input").text == "a\n"
    with pytest.raises(InputError, match="has 5,000,001 characters, of 5,000,000"):
        one_text("a" * 5_000_001)
