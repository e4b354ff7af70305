"""The rows of a Hub data set at one commit, from the network or from the cache of `datasets`.

Where the commit (or, without the Hub, the newest one) lies prepared in the cache, it is opened from there.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.hub import SPLITS, UnreachableError, ask_commit, explain_failure, require_splits
from train_fn.storage import read_json

COMMIT = re.compile(r"[0-9a-f]{40}")
OWN_CACHE = "detector-search"  # below the cache of `datasets`
ANY_COMMIT = "[0-9a-f]" * 40
OFFLINE_HELP = (
    "Connect once so that the cache keeps the set, or pass --dataset a folder with train, validation and "
    "test as parquet, csv or jsonl."
)


def find_commit(spec: DatasetSpec) -> str:
    """The commit of `spec` (its pinned revision, or the newest): from the Hub, else from the cache.

    Raises InputError when the Hub refuses the set, or cannot be reached and the cache does not hold it.
    """
    wanted = spec.revision
    pinned = bool(wanted and COMMIT.fullmatch(wanted))
    if wanted and pinned and _prepared(spec, wanted):
        return wanted
    try:
        return ask_commit("dataset", str(spec.hub_id), wanted)
    except UnreachableError as error:
        # The cache keeps commits, not the names of branches: without the Hub these mean the newest one.
        found = [] if pinned else _prepared(spec, ANY_COMMIT)
        if not found:
            raise InputError(
                f"{spec.hub_id}{f' at {wanted}' if wanted else ''} must come from the Hub or from its cache, "
                f"but the Hub cannot be reached ({error}) and the cache does not hold it. {OFFLINE_HELP}"
            ) from error
        return max(found, key=lambda folder: folder.stat().st_mtime).name


def load_commit(spec: DatasetSpec, commit: str) -> Mapping[str, Any]:
    """The three splits of that commit as memory-mapped `datasets.Dataset`s. Raises InputError."""
    prepared = _prepared(spec, commit)
    return _open_prepared(spec, prepared[0]) if prepared else _download(spec, commit)


def _prepared(spec: DatasetSpec, commit: str) -> list[Path]:
    """The folders where `datasets` has written the rows of that commit (a glob pattern) as Arrow, whole.

    Layout of datasets 4 and 5: CACHE/OWNER___NAME/CONFIG/VERSION/COMMIT; unfinished ones have another name.
    Beside our own, only what a plain `load_dataset(NAME)` left is taken: another CONFIG may hold some of the
    files.
    """
    from datasets.naming import camelcase_to_snakecase

    owner, _, name = str(spec.hub_id).rpartition("/")
    folder = "___".join(part for part in (owner, camelcase_to_snakecase(name)) if part)
    cache = _cache()
    own, plain = cache.glob(f"{OWN_CACHE}/{folder}/*/*/{commit}"), cache.glob(f"{folder}/default/*/{commit}")
    return [path for path in (*own, *plain) if set(SPLITS) <= set(_split_names(path))]


def _cache() -> Path:
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE).expanduser()


def _split_names(folder: Path) -> list[str]:
    try:
        return list(read_json(folder / "dataset_info.json").get("splits") or {})
    except (OSError, ValueError):
        return []


def _open_prepared(spec: DatasetSpec, folder: Path) -> Mapping[str, Any]:
    """Open exactly this folder: `load_dataset` without the Hub takes the newest, whatever commit is asked."""
    from datasets import Dataset, concatenate_datasets

    splits = {}
    try:
        for name in SPLITS:
            files = [*folder.glob(f"*-{name}.arrow"), *folder.glob(f"*-{name}-?????-of-?????.arrow")]
            splits[name] = concatenate_datasets([Dataset.from_file(str(file)) for file in sorted(files)])
    except Exception as error:
        remedy = f"This cached copy is damaged: delete {folder} and run again with a connection."
        raise explain_failure(error, f"{spec.hub_id} at {folder.name[:12]}", remedy) from error
    return splits


def _download(spec: DatasetSpec, commit: str) -> Mapping[str, Any]:
    from datasets import load_dataset, load_dataset_builder

    hub_id = str(spec.hub_id)
    where = f"{hub_id} at {commit[:12]}"
    try:
        files = load_dataset_builder(hub_id, revision=commit).config.data_files or {}
        require_splits(list(files), where)
        prefix = f"hf://datasets/{hub_id}@{commit}/"
        wanted = {name: [str(file).removeprefix(prefix) for file in files[name]] for name in SPLITS}
        splits = load_dataset(
            hub_id,
            revision=commit,
            data_files=wanted,  # the other splits are not fetched
            cache_dir=str(_cache() / OWN_CACHE),
            # The row counts of a set's card may be those of another upload; the files themselves are checked
            # by their size when they are fetched.
            verification_mode="no_checks",
        )
        return dict(splits)
    except InputError:
        raise
    except Exception as error:
        raise explain_failure(error, where, OFFLINE_HELP) from error
