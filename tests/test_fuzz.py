"""Any bytes at all in a configuration, behind --set, or as data: they work, or are an InputError, nothing else."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest
from folders import folder, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.config import known_keys, resolve
from search.space import check_space
from train_fn.config import DatasetSpec, find_dataset
from train_fn.data import check_rows
from train_fn.errors import InputError
from train_fn.text_rows import Columns, read_rows
from train_fn.values import parse_sets, read_yaml

SPEC = DatasetSpec(name="x")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A data set whose files may be changed."""
    datasets.disable_progress_bars()
    return folder(tmp_path)


def examples(count: int) -> Callable[..., Any]:
    """The same ones each time, so that a failure is of the change at hand."""
    shared = [HealthCheck.function_scoped_fixture]  # a folder whose file every example writes anew
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=shared
    )


# Pieces that mean something to YAML make up most of its texts, and any character the rest.
PIECES = (
    "a b 1 -1 1.5 1e9 .nan .inf 0x1F 1_0 10:30 2001-01-01 true null ~ yes : :\t - ? , [ ] { } & &a *a ! !!int "
    "!!float !!bool !!null !!binary !!set !!omap !!timestamp !!python/name:os.system !<x> | > ' \" # % @ ` << = "
    "--- ... \\ \0 \ufeff \x85 \u2028 \U0001f600"
).split(" ")
yaml_texts = st.lists(
    st.one_of(st.sampled_from([*PIECES, " ", "\n", "\n  ", ": ", "- "]), st.text(max_size=3))
).map("".join)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@examples(300)
@given(yaml_texts, st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_a_configuration_is_a_mapping_or_refused(tmp_path: Path, text: str, encoding: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(text.encode(encoding, errors="replace"))
    with suppress(InputError):
        assert isinstance(read_yaml(file), dict)


@examples(300)
@given(st.sampled_from(known_keys()) | st.text(max_size=5), st.sampled_from(["=", "", " = "]), yaml_texts)
def test_an_override_is_a_setting_or_refused(key: str, sign: str, text: str) -> None:
    with suppress(InputError):
        resolve(SPEC, parse_sets([key + sign + text]), {})


@examples(300)
@given(st.dictionaries(st.sampled_from(known_keys()), values, min_size=1, max_size=3))
def test_a_value_of_any_type_is_a_setting_or_refused(sets: dict[str, Any]) -> None:
    with suppress(InputError):
        train, search = resolve(SPEC, sets, {})
        check_space(search.space, train)


@examples(300)
@given(
    st.dictionaries(st.one_of(st.sampled_from(["labels", "train", "search"]), st.text(max_size=5)), values)
)
def test_what_a_folder_says_of_itself_is_taken_or_refused(tmp_path: Path, told: dict[str, Any]) -> None:
    import yaml

    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    with suppress(InputError):
        resolve(find_dataset(str(tmp_path)), {}, {})


@examples(200)
@given(st.text())
def test_a_name_is_a_data_set_or_refused(name: str) -> None:
    with suppress(InputError):
        find_dataset(name)


cells: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.sampled_from(["a", "b", "", " ", "\0", "AI_Generated", "Human_Written", "\u00e9" * 3]),
    pa.large_string(): st.sampled_from(["a", "AI_Generated", "Human_Written"]),
    pa.binary(): st.binary(max_size=3),
    pa.int64(): st.integers(-5, 5),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.null(): st.none(),
    pa.list_(pa.string()): st.lists(st.text(max_size=2), max_size=2),
    pa.struct([("a", pa.string())]): st.fixed_dictionaries({"a": st.text(max_size=2)}),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "AI_Generated", "Human_Written"]),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Columns of any type under the names that are read, null now and then; strings that are not UTF-8 too."""
    count, names = draw(st.integers(0, 6)), ["text", "label", "domain", "domain_name", "model", "source_id"]
    arrays, used = (
        [],
        draw(st.lists(st.sampled_from(names), min_size=1, max_size=7))
        + draw(st.sampled_from([["text", "label"], []])),
    )
    for _ in used:
        kind = draw(st.sampled_from([*cells, pa.string(), pa.string()]))
        column = pa.array(draw(st.lists(st.none() | cells[kind], min_size=count, max_size=count)), kind)
        arrays.append(column.view(pa.string()) if kind == pa.binary() and draw(st.booleans()) else column)
    return pa.Table.from_arrays(arrays, used)


@examples(200)
@given(tables())
def test_rows_of_any_type_are_checked_or_refused(table: pa.Table) -> None:
    with suppress(InputError):
        found = check_rows(table, "here")
        assert found.column_names == ["text", "label", "domain", "model", "source_id"]
        assert all(text.strip() for text in found["text"].to_pylist())
        assert set(found["label"].to_pylist()) == {0, 1}


WHOLE = {"text": ["a, b", 'say "c"', "d\ne"], "label": ["AI_Generated", "Human_Written", "Human_Written"]}


def whole(ending: str) -> bytes:
    """Three good rows as a file."""
    from io import BytesIO

    table, file = pa.table(WHOLE), BytesIO()
    if ending == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()
    (pq.write_table if ending == "parquet" else pc_csv.write_csv)(table, file)
    return file.getvalue()


FILES = {ending: whole(ending) for ending in ("csv", "jsonl", "parquet")}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file's ending and its bytes: cut, with a piece of other bytes, with a piece twice, or of another kind."""
    ending, data = draw(st.sampled_from(list(FILES))), FILES[draw(st.sampled_from(list(FILES)))]
    start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 64))
    piece = draw(st.sampled_from([b"", data[start : start + length]]) | st.binary(max_size=16))
    return ending, draw(st.sampled_from([data[:start], data[:start] + piece + data[start + length :]]))


@examples(200)
@given(damaged())
def test_texts_of_any_bytes_are_rows_or_refused(tmp_path: Path, file: tuple[str, bytes]) -> None:
    path = tmp_path / f"a.{file[0]}"
    path.write_bytes(file[1])
    with suppress(InputError):
        assert all(row.error or isinstance(row.text, str) for row in read_rows(path, Columns()))


@examples(40)
@given(damaged())
def test_a_split_of_any_bytes_is_loaded_or_refused(good: Path, file: tuple[str, bytes]) -> None:
    for path in good.glob("test.*"):
        path.unlink()
    (good / f"test.{file[0]}").write_bytes(file[1])
    with suppress(InputError):
        assert len(load(good).splits["test"])
