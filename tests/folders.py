"""Small folders of rows for the tests of the data, good or with one thing wrong."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest

from train_fn.config import DatasetSpec
from train_fn.data import LoadedData, load_splits
from train_fn.errors import InputError
from train_fn.sample import COLUMNS, sample_rows
from train_fn.storage import Paths

SPLITS = ("train", "validation", "test")
Rows = dict[str, list[Any]]


def rows(pairs: int = 4, **changes: list[Any]) -> Rows:
    values: Rows = {
        "text": [f"text number {index}" for index in range(2 * pairs)],
        "label": ["AI_Generated", "Human_Written"] * pairs,
        "domain_name": ["wiki", "news"] * pairs,
        "model": ["gpt4", "human"] * pairs,
        "text_length": [13] * (2 * pairs),
    }
    return {**values, **changes}


def write(path: Path, values: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table(values), path)
    elif path.suffix == ".csv":
        pc_csv.write_csv(pa.table(values), path)
    else:
        lines = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def folder(tmp_path: Path, ext: str = "parquet", **splits: Rows) -> Path:
    for name in SPLITS:
        write(tmp_path / "set" / f"{name}.{ext}", splits.get(name) or rows())
    return tmp_path / "set"


def load(path: Path) -> LoadedData:
    return load_splits(DatasetSpec(name="set", path=path), paths=Paths(path.parent / "output"))


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value)


def write_sample(place: Path) -> Path:
    """The first rows of the built-in sample as a folder of parquet files."""
    for name, count in (("train", 240), ("validation", 60), ("test", 60)):
        columns = zip(*sample_rows()[name][:count], strict=True)
        write(place / f"{name}.parquet", dict(zip(COLUMNS, map(list, columns), strict=True)))
    return place
