"""Where things lie, and writes that are whole or absent. The only module that knows the folder layout."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_fn.errors import InputError
from train_fn.secret import hidden

PROJECT = Path(__file__).resolve().parents[1]
CONFIGS = PROJECT / "configs"
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # s3://bucket, of which a Path leaves one slash; no C:/
LOSSES = "validation_losses.npy"  # in a run's folder: one log loss a row, for paired comparisons
RELATED = "validation_groups.npy"  # beside it: the group of each of these rows


class BrokenFileError(InputError, ValueError):
    """A file that this project wrote is no JSON any more."""


@dataclass(frozen=True)
class Paths:
    """Everything a command writes, reached from one root.

    `logs/` and `tokenized_cache/` lie beside the root, not in it, as the original pipeline had them.
    """

    output: Path

    @classmethod
    def of(cls, output: Path | None) -> "Paths":
        """The default root is the project's own, so that both commands meet from any directory.

        Raises InputError when it is no folder, nor can become one, and for the address of an object store: a
        record needs locks, renames and files that grow.
        """
        if output and URI.match(str(output)):
            raise InputError(
                f"--output must be a folder, but {output} is the address of a store; use a folder, on a cluster "
                "one that all its machines mount (such as NFS); --storage keeps a copy in the store"
            )
        folder = located(output or PROJECT / "output")
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise InputError(f"--output must be a folder, but {there} is none; name another place")
        return cls(folder)

    @property
    def studies(self) -> Path:
        return self.output / "studies"

    def leads_out(self, folder: Path) -> bool:
        """Whether a symbolic link takes what lies in the root out of it."""
        return not folder.resolve().is_relative_to(self.output.resolve())

    def inside(self, folder: Path) -> Path:
        """The folder, for writing. Raises InputError when a symbolic link takes it out of the root."""
        if self.leads_out(folder):
            raise InputError(
                f"{folder} must lie in {self.output}, but is a link to {folder.resolve()}; remove the link, or "
                "pass --output the place that is meant"
            )
        return folder

    @property
    def logs(self) -> Path:
        return self.output.parent / "logs"

    @property
    def tokenized_cache(self) -> Path:
        return self.output.parent / "tokenized_cache"


def located(name: str | Path) -> Path:
    """The absolute path of what a person names. Raises InputError for the home of a user who is not known."""
    try:
        return Path(name).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{name} must begin with a home folder that is known, but: {error}") from error


def is_folder(path: Path) -> bool:
    """Whether a folder is there; not for a name too long to be one, where Path.is_dir raises."""
    try:
        return path.is_dir()
    except OSError:
        return False


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o644)  # mkstemp's own 0600 would hide results on a shared folder
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`.

    A reader sees the old folder, none for the moment between two renames, or the new one; never half of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
            path.rename(old / path.name)
            temporary.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` without secrets to `path`, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(hidden(text), encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as ASCII JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that this project wrote. Raises BrokenFileError."""
    return _json(path.read_bytes(), path)


def append_line(path: Path, value: Any) -> None:
    """Append one JSON line without secrets and sync it, or leave the file as it was; `read_lines` drops what a
    crash cut short."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        line = hidden(json.dumps(value, ensure_ascii=True)).encode() + b"\n"
        try:
            while line:  # a disk that fills up takes a part
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def read_lines(path: Path) -> list[Any]:
    """Read JSON lines; a last line without its newline was cut by a crash and is cut off the file too.

    Raises BrokenFileError for another line that is no JSON.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [_json(line, path) for line in whole.splitlines()]


def _json(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BrokenFileError(
            f"{path} must be JSON as it was written, but: {error}; put it back as it was, or remove it"
        ) from error
