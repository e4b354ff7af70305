"""Folders of rows: what loads, and one message for each thing that can be wrong with them."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import SPLITS, folder, load, refused, rows, write

from train_fn.config import DatasetSpec, find_dataset, known_datasets
from train_fn.data import load_splits
from train_fn.storage import Paths


@pytest.mark.parametrize("ext", ["parquet", "csv", "jsonl", "json"])
def test_a_folder_gives_the_five_columns_in_every_format(tmp_path: Path, ext: str) -> None:
    data = load(folder(tmp_path, ext))
    assert set(data.splits) == set(SPLITS)
    assert data.splits["train"].column_names == ["text", "label", "domain", "model", "source_id"]
    assert data.splits["test"][:2] == {
        "text": ["text number 0", "text number 1"],
        "label": [0, 1],
        "domain": ["wiki", "news"],
        "model": ["gpt4", "human"],
        "source_id": [None, None],
    }
    assert data.splits["train"].data.table["label"].type == pa.int8()


def test_domain_stands_for_domain_name_and_absent_columns_are_null(tmp_path: Path) -> None:
    named = rows()
    del named["model"]
    named["domain"] = named.pop("domain_name")
    bare = {key: rows()[key] for key in ("text", "label")}
    data = load(folder(tmp_path, train=named, test=bare))
    absent = {"model": None, "source_id": None}
    assert data.splits["train"][1] == {"text": "text number 1", "label": 1, "domain": "news", **absent}
    assert data.splits["test"][1] == {"text": "text number 1", "label": 1, "domain": None, **absent}


def test_shards_are_joined_in_order_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "train.parquet").unlink()
    write(path / "data/train-00001-of-00002.parquet", rows(1, text=["c", "d"]))
    write(path / "data/train-00000-of-00002.parquet", rows(1, text=["a", "b"]))
    assert load(path).splits["train"]["text"][:] == ["a", "b", "c", "d"]
    (path / "data/train-00000-of-00002.parquet").unlink()
    assert "every shard" in refused(path)


def test_extra_splits_are_left_alone_even_when_broken(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "validation_full.parquet").write_bytes(b"no parquet")
    (path / "val_fold_1.csv").write_text("x\n1\n", encoding="utf-8")
    assert set(load(path).splits) == set(SPLITS)


def test_a_csv_text_that_reads_none_or_spans_lines_is_a_text(tmp_path: Path) -> None:
    texts = ["None", "NA", "two\nlines", 'with "quotes", and a comma', "12", "null", "3.5", "x"]
    assert load(folder(tmp_path, "csv", train=rows(text=texts))).splits["train"]["text"][:] == texts


def test_a_changed_file_is_read_anew_though_its_time_and_size_stay(tmp_path: Path) -> None:
    path = folder(tmp_path, "jsonl")
    before, stat = load(path), (path / "train.jsonl").stat()
    changed = (path / "train.jsonl").read_text(encoding="utf-8").replace("text number 0", "TEXT number 0")
    (path / "train.jsonl").write_text(changed, encoding="utf-8")
    os.utime(path / "train.jsonl", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = load(path)
    assert after.splits["train"]["text"][0] == "TEXT number 0"
    assert after.fingerprint != before.fingerprint


def test_a_missing_split_names_what_is_there(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "validation.parquet").rename(path / "val.parquet")
    message = refused(path)
    assert "validation is missing" in message
    assert "there: test, train, val" in message


def test_a_missing_column_names_what_is_there(tmp_path: Path) -> None:
    values = rows()
    values["content"] = values.pop("text")
    message = refused(folder(tmp_path, validation=values))
    assert "text is missing" in message
    assert "split validation" in message
    assert "content" in message


@pytest.mark.parametrize("ext", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("value", ["AI-Generated", "ai_generated", "human", ""])
def test_an_unknown_label_is_shown_with_its_row(tmp_path: Path, ext: str, value: str) -> None:
    labels = rows()["label"]
    labels[5] = value
    message = refused(folder(tmp_path, ext, test=rows(label=labels)))
    assert "split test" in message
    assert "row 5 " in message
    assert repr(value) in message
    assert "AI_Generated or Human_Written" in message


@pytest.mark.parametrize(
    "values", [[0, 1] * 4, [None] + ["AI_Generated", "Human_Written"] * 3 + ["AI_Generated"]]
)
def test_labels_that_are_numbers_or_null_are_refused(tmp_path: Path, values: list[Any]) -> None:
    message = refused(folder(tmp_path, train=rows(label=values)))
    assert "row 0 " in message
    assert repr(values[0]) in message


def test_empty_blank_and_null_texts_are_counted_with_their_rows(tmp_path: Path) -> None:
    texts = ["a", "", None, " \n\t", "b", "\u00a0", "c", "d"]
    message = refused(folder(tmp_path, train=rows(text=texts)))
    assert "1 null (row 2)" in message
    assert "3 empty or only white space (rows 1, 3, 5)" in message
    assert "of 8 rows" in message


def test_only_the_first_bad_rows_are_listed(tmp_path: Path) -> None:
    message = refused(folder(tmp_path, train=rows(10, text=[""] * 20)))
    assert "20 empty or only white space (rows 0, 1, 2, 3, 4, ...)" in message


def test_texts_that_are_no_strings_are_counted_with_their_rows(tmp_path: Path) -> None:
    mixed = ["a", 3, None, {"a": 1}, "b", 2.5, "", "d"]
    message = refused(folder(tmp_path, "jsonl", train=rows(text=mixed)))
    assert "3 not a string (rows 1, 3, 5)" in message
    assert "1 null (row 2)" in message
    assert "1 empty or only white space (row 6)" in message


@pytest.mark.parametrize("ext", ["parquet", "csv", "jsonl"])
def test_a_column_of_numbers_is_no_text(tmp_path: Path, ext: str) -> None:
    message = refused(folder(tmp_path, ext, validation=rows(text=list(range(8)))))
    assert "8 not a string" in message
    assert "split validation" in message


@pytest.mark.parametrize("label", ["AI_Generated", "Human_Written"])
def test_a_split_with_one_class_is_refused(tmp_path: Path, label: str) -> None:
    message = refused(folder(tmp_path, validation=rows(label=[label] * 8)))
    assert "both classes" in message
    assert f"8 {label}" in message


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path)
    pq.write_table(pa.table(rows()).slice(0, 0), path / "test.parquet")
    assert "test.parquet must be readable, but ValueError: Instruction" in refused(path)


@pytest.mark.parametrize("ext", ["parquet", "csv", "jsonl"])
def test_a_corrupt_file_is_named(tmp_path: Path, ext: str) -> None:
    path = folder(tmp_path, ext)
    whole = (path / f"validation.{ext}").read_bytes()
    damaged = whole[: len(whole) // 2] if ext == "parquet" else b'\x00\xff{"text": \xfe"' * 9
    (path / f"validation.{ext}").write_bytes(damaged)
    assert f"validation.{ext}" in refused(path)


def test_the_sample_is_written_once_and_again_when_its_writer_changed(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "output")
    first = load_splits(DatasetSpec(name="sample"), paths=paths)
    source = paths.tokenized_cache / "sample" / "source"
    before = (source / "train.parquet").stat().st_mtime_ns
    assert load_splits(DatasetSpec(name="sample"), paths=paths).fingerprint == first.fingerprint
    assert (source / "train.parquet").stat().st_mtime_ns == before
    (source / "written_by.sha256").write_text("an older writer", encoding="utf-8")
    assert load_splits(DatasetSpec(name="sample"), paths=paths).fingerprint == first.fingerprint
    assert (source / "train.parquet").stat().st_mtime_ns > before


def test_the_published_sets_are_known_with_their_counts() -> None:
    assert [name for name in known_datasets() if name != "sample"] == ["10k", "100k", "1M", "2M"]
    found = {name: find_dataset(name) for name in ("10k", "100k", "1M", "2M")}
    totals = [sum(spec.published_train_counts or ()) for spec in found.values()]
    assert totals == [7_983, 84_269, 822_133, 1_653_385]
    assert [spec.hub_id for spec in found.values()] == [
        f"codefactory4791/raid_aligned_{size}" for size in ("10k", "100k", "1000k", "2000k")
    ]
    assert found["2M"].published_weights == (0.8324, 1.2009)
    assert found["10k"].published_weights is None
