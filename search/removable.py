"""What may go of what the commands wrote: what search/clean.py shows, and deletes when told to."""

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train_fn.storage import Paths

# Ray's own folder, writes that were cut short, and a look at a cluster's machines.
TEMPORARY = (".ray", ".*.tmp", ".*.old", ".seen-*")
CUT = re.compile(r"\.(?P<name>.+)\.[^.]+\.(tmp|old)")
RECENT_SECONDS = 24 * 3600.0  # a set this new may be that of a command which has no record yet


@dataclass(frozen=True)
class Found:
    """A file or folder that may go, and why."""

    path: Path
    why: str

    @property
    def size(self) -> int:
        """Bytes."""
        files = [self.path, *self.path.rglob("*")] if self.path.is_dir() else [self.path]
        return sum(file.lstat().st_size for file in files if not file.is_dir())

    def remove(self) -> None:
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Place:
    """What one command at a time works on; `lock` is the file that it holds meanwhile."""

    folder: Path
    lock: Path
    found: tuple[Found, ...]

    @contextmanager
    def idle(self) -> Iterator[bool]:
        """Whether no command is at work here, and none may begin within the block."""
        from filelock import FileLock, Timeout

        if not self.lock.exists():
            yield True
            return
        try:
            with FileLock(self.lock, timeout=0):
                yield True
        except Timeout:
            yield False


def named(paths: "Paths", name: str) -> Place:
    """A study or a full run as a whole, and its logs. Raises InputError for what is neither."""
    from search.study import open_study
    from train_fn.errors import InputError

    study, run = open_study(paths, name).folder, paths.output / name
    why = "named: its results go too"
    if (study / "config.yaml").exists():
        return Place(study, study / ".lock", (Found(study, why), *_logs(paths, name)))
    if (run / "run_id").exists():
        return Place(run, _lock_of(run), (Found(run, why), *_logs(paths, name)))
    raise InputError(
        f"{name} must be a study in {paths.studies} or a full run in {paths.output}, but is neither"
    )


def _logs(paths: "Paths", name: str) -> list[Found]:
    return [Found(paths.logs / name, "its logs")] if (paths.logs / name).exists() else []


def studies(paths: "Paths") -> Iterator[Place]:
    """Of each study: what killed searches left, and checkpoints of trials that have ended. Raises InputError."""
    from search.study import Study

    for file in sorted(paths.studies.glob("*/config.yaml")):
        study = Study(file.parent)
        ended = [study.folder_of(record) for record in (*study.records(), *study.reruns())]
        yield Place(study.folder, study.folder / ".lock", (*_left(study.folder), *_checkpoints(ended)))


def runs(paths: "Paths") -> Iterator[Place]:
    """Of each full run, the same; its runs on fractions are among them."""
    for file in sorted(paths.output.glob("*/run_id")):
        ended = [result.parent for result in sorted(file.parent.glob("rungs/*/result.json"))]
        ended += [file.parent] if (file.parent / "result.json").exists() else []
        yield Place(file.parent, _lock_of(file.parent), (*_left(file.parent), *_checkpoints(ended)))


def sets(paths: "Paths") -> Iterator[Place]:
    """Of the cache: tokenised sets that no study and no full run uses, and halves of such."""
    used = _used(paths)
    for folder in sorted(path for path in paths.tokenized_cache.glob("*") if path.is_dir()):
        gone: dict[str, list[Found]] = {}
        for path in sorted(folder.glob(".*")):
            if match := CUT.fullmatch(path.name):
                gone.setdefault(match["name"], []).append(Found(path, "of a command that was killed"))
        for file in sorted(folder.glob("[!.]*/meta.json")):
            if _key(file) not in used and time.time() - file.stat().st_mtime > RECENT_SECONDS:
                unused = Found(file.parent, "tokenised, and used by no study or run")
                gone.setdefault(file.parent.name, []).append(unused)
        for name, found in gone.items():
            yield Place(folder / name, _lock_of(folder / name), tuple(found))


def _left(folder: Path) -> list[Found]:
    hidden = sorted(path for path in folder.rglob(".*") if any(map(path.match, TEMPORARY)))
    return [Found(path, "of a command that was killed") for path in hidden]


def _checkpoints(ended: Sequence[Path]) -> list[Found]:
    folders = [folder / "checkpoints" for folder in ended]
    return [Found(folder, "checkpoints of an ended run") for folder in folders if folder.exists()]


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _key(meta: Path) -> tuple[Any, ...]:
    from train_fn.storage import read_json

    told = read_json(meta)
    return told["fingerprint"], told["max_length"], told["splits_kind"]


def _used(paths: "Paths") -> set[tuple[Any, ...]]:
    """The keys of the sets that records name, here and in other roots beside this one, which share the cache.

    Raises InputError when one cannot be read.
    """
    from train_fn.values import read_yaml

    used, beside = set(), paths.output.parent
    runs = (file.with_name("config.yaml") for file in beside.glob("*/*/run_id"))
    for file in (*beside.glob("*/studies/*/config.yaml"), *(file for file in runs if file.exists())):
        told = read_yaml(file)
        used.add((told["dataset"]["fingerprint"], told["train"]["max_length"], told["train"]["splits"]))
    return used
