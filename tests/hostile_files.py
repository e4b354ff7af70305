"""A place as users have it, and ways to spoil what lies in it."""

import hashlib
import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from delivering import copied
from planted_audit import AI, HUMAN, planted, text, tokenizer
from recorded import ended

from search.config import SearchConfig
from search.runner import _planned
from train_fn.config import TrainConfig, find_dataset
from train_fn.storage import Paths, write_text

__all__ = ["AI", "HUMAN"]
KEPT_APART = ("tokenized_cache", "logs")  # what may be written whatever comes of a command


def build(here: Path, delivered: Path) -> None:
    """A data set, a study of three trials on it, a detector, and texts to score."""
    rows = [(text(number), (AI, HUMAN)[number % 2], "wiki") for number in range(96)]
    planted(here / "set", train=rows[:48], validation=rows[48:72], test=rows[72:])
    train = TrainConfig(model=tokenizer(here / "model"), max_length=64)
    spec, paths = find_dataset(str(here / "set")), Paths.of(here / "output")
    study, config, _ = _planned(spec, train, SearchConfig(), paths, "good", None, lambda line: None)
    study.folder.mkdir(parents=True)
    study.adopt_config(config)
    records = [ended(number, 0.5 - number / 10) for number in range(3)]
    for record in records:
        study.ask(record.number, record.params)
    write_text(study.folder / "trials.jsonl", "".join(record.model_dump_json() + "\n" for record in records))
    study.write_best()
    np.save(study.texts_file, np.zeros((0, 2), np.uint64))
    copied(delivered, here)
    write(here / "texts.csv", "text\none\n")


def copy_of(there: Path, here: Path) -> Path:
    """The same place elsewhere. Its caches are the same files: nobody writes into one."""
    shutil.copytree(there / "tokenized_cache", here / "tokenized_cache", copy_function=os.link)
    shutil.copytree(
        there, here, ignore=shutil.ignore_patterns("tokenized_cache", "model"), dirs_exist_ok=True
    )
    return here


def snapshot(here: Path) -> dict[str, str]:
    """Every path but locks, caches and logs, with a hash of what it holds or where it leads."""
    found = {}
    for path in sorted(here.rglob("*")):
        name = path.relative_to(here)
        if name.parts[0] in KEPT_APART or path.name.endswith(".lock"):
            continue
        data = path.read_bytes() if path.is_file() else str(path.is_symlink() and path.readlink()).encode()
        found[str(name)] = f"{len(data)} {hashlib.sha256(data).hexdigest()}"
    return found


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def rows_of(path: Path, **columns: list[Any]) -> None:
    pq.write_table(pa.table(columns), path)


def column_twice(path: Path) -> None:
    names = ["text", "label", "text"]
    pq.write_table(pa.Table.from_arrays([["a", "b"], [AI, HUMAN], ["c", "d"]], names), path)


def csv_of(text: str) -> str:
    return f"text,label\n{text},{AI}\nb,{HUMAN}\n"


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def torn(path: Path) -> None:
    """The second line without its end."""
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], lines[1][:40], *lines[2:]]))


def linked(path: Path, here: Path) -> None:
    """A link to a folder beside the output folder, with a study's settings in it."""
    shutil.copytree(here / "output/studies/good", here / "beside")
    path.symlink_to(here / "beside")


def linked_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def folder_at(path: Path) -> None:
    path.unlink()
    path.mkdir()


class Planted:
    """Its unpickling leaves a file."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("unpickled",)


def pickled(*, array: bool = False) -> bytes:
    """A pickle, or an .npy file around one, that makes the folder `unpickled` where it is loaded."""
    if not array:
        return pickle.dumps(Planted())
    file = io.BytesIO()
    np.save(file, np.array([Planted()], dtype=object), allow_pickle=True)
    return file.getvalue()
