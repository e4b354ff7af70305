"""Where the rows of a data set come from, found cheaply: a Hub commit, a folder's files, or the sample.

`find_source` reads no row, so that a second start knows from the fingerprint that nothing has changed.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.file_hashes import hash_files
from train_fn.hub import SPLITS, explain_failure, require_splits
from train_fn.hub_data import find_commit, load_commit
from train_fn.labels import relabelled
from train_fn.storage import Paths, atomic_folder, write_text

READERS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".json": "json"}
OPTIONS: dict[str, dict[str, Any]] = {
    "parquet": {"batch_size": 10_000},  # rows; the default, a whole row group, may be all of a file, or none
    "csv": {"keep_default_na": False},  # "None" or "NA" is a text, not a missing value
    "json": {},
}
FILE_NAME = re.compile(
    r"(?P<split>\w+?)(?:-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?\.(?P<ext>parquet|csv|jsonl|json)"
)
SAMPLE_SEED = 7


@dataclass(frozen=True)
class Source:
    """A data set found, not yet read. `load` gives the three splits as `datasets.Dataset`s."""

    text: str  # for a person
    revision: str | None
    fingerprint: str  # equal for equal content; cheap to tell
    load: Callable[[], Mapping[str, Any]]


def find_source(spec: DatasetSpec, *, paths: Paths) -> Source:
    """Find the data set. Raises InputError when it is not there or incomplete."""
    return relabelled(_find(spec, paths), spec.labels)


def _find(spec: DatasetSpec, paths: Paths) -> Source:
    if spec.hub_id is not None:
        commit = find_commit(spec)
        fingerprint = hashlib.sha256(f"{spec.hub_id}@{commit}".encode()).hexdigest()
        return Source(
            f"{spec.hub_id} at {commit[:12]}", commit, fingerprint, lambda: load_commit(spec, commit)
        )
    folder = spec.path or _write_sample(paths)
    files = _split_files(folder)
    fingerprint = _hash_files(files, paths.tokenized_cache / spec.slug / "files.json")
    # The reader's own cache tells files apart by time; under the fingerprint it cannot be stale.
    cache = paths.tokenized_cache / spec.slug / "text" / fingerprint[:16]
    return Source(str(folder), None, fingerprint, lambda: _read_files(files, folder, cache))


def _write_sample(paths: Paths) -> Path:
    """Write the built-in sample once for each version of the code that writes it."""
    from filelock import FileLock

    here = Path(__file__).parent
    code = sorted([*here.glob("sample*.py"), *here.glob("attack*.py")])
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
    folder = paths.tokenized_cache / "sample" / "source"
    folder.parent.mkdir(parents=True, exist_ok=True)
    written = folder / "written_by.sha256"
    with FileLock(folder.parent / ".source.lock"):
        if not written.exists() or written.read_text(encoding="utf-8") != stamp:
            from train_fn.sample import write_sample

            with atomic_folder(folder) as temporary:
                write_sample(temporary, SAMPLE_SEED)
                write_text(temporary / written.name, stamp)
    return folder


def _split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split, shards in order, in `folder` or in its `data/`."""
    if not folder.is_dir():
        raise InputError(f"the data set must be a folder, but {folder} is none")
    there = sorted(path for path in (*folder.iterdir(), *folder.glob("data/*")) if path.suffix in READERS)
    found: dict[str, list[Path]] = {}
    for path in there:
        match = FILE_NAME.fullmatch(path.name)
        found.setdefault(match["split"] if match else path.name, []).append(path)
    require_splits(found, str(folder))
    for name in SPLITS:
        _require_whole(name, found[name])
    return {name: found[name] for name in SPLITS}


def _require_whole(split: str, files: list[Path]) -> None:
    """Raise InputError unless the files are one file, or each shard of one set of shards."""
    matches = [match for path in files if (match := FILE_NAME.fullmatch(path.name))]
    total = int(matches[0]["shards"] or 1)
    whole = [match["shard"] for match in matches] == (
        [f"{index:05d}" for index in range(total)] if matches[0]["shards"] else [None]
    )
    if (
        not whole
        or len(
            {(path.parent, path.suffix, match["shards"]) for path, match in zip(files, matches, strict=True)}
        )
        > 1
    ):
        raise InputError(
            f"split {split} must be one file, or every shard {split}-00000-of-0000N in one format, but there "
            f"are: {', '.join(path.name for path in files)}"
        )


def _hash_files(files: Mapping[str, list[Path]], memory: Path) -> str:
    """sha256 of the splits' names and bytes."""
    hashes = hash_files([path for paths in files.values() for path in paths], memory)
    total = hashlib.sha256()
    for split, paths in files.items():
        for path in paths:
            total.update(f"{split} {path.suffix} {hashes[path]}\n".encode())
    return total.hexdigest()


def _require_columns(path: Path) -> None:
    """Raise InputError where the first row has more fields than the header.

    The reader would take the surplus for names of the rows, and shift every value, without a word.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file, suppress(csv.Error):
        widths = [len(row) for row in islice(filter(None, csv.reader(file)), 2)]
        if widths != sorted(widths, reverse=True):
            raise InputError(
                f"{path} must have as many fields in a row as its header, {widths[0]}, but the first row has "
                f"{widths[1]}; put texts with commas in quotes"
            )


def _read_files(files: Mapping[str, list[Path]], folder: Path, cache: Path) -> Mapping[str, Any]:
    from datasets import load_dataset

    splits = {}
    for name, paths in files.items():
        reader = READERS[paths[0].suffix]
        sources = {name: [str(path) for path in paths]}
        for path in paths if reader == "csv" else ():
            _require_columns(path)
        try:
            # Each split by itself: read together, a column of numbers in one would be turned into text.
            splits[name] = load_dataset(
                reader, data_files=sources, split=name, cache_dir=str(cache), **OPTIONS[reader]
            )
        except Exception as error:
            where = ", ".join(str(path) for path in paths)
            raise explain_failure(
                error, where, f"Write it anew, or pass another folder than {folder}."
            ) from error
    return splits
