"""A file is read once; whatever may have changed it makes it be read again."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

import train_fn.file_hashes
from train_fn.file_hashes import SETTLED_NS, hash_files
from train_fn.storage import read_json


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read, at a time when what the test wrote just now has settled."""
    seen: list[str] = []
    digest = hashlib.file_digest

    def noted(file: Any, name: str) -> Any:
        seen.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(train_fn.file_hashes.hashlib, "file_digest", noted)
    clock = time.time_ns
    monkeypatch.setattr(train_fn.file_hashes.time, "time_ns", lambda: clock() + SETTLED_NS + 10**9)
    return seen


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    return [tmp_path / "one", tmp_path / "two"]


def test_a_settled_file_is_read_once(files: list[Path], tmp_path: Path, reads: list[str]) -> None:
    memory = tmp_path / "cache" / "files.json"
    first = hash_files(files, memory)
    assert first == {path: sha256(path.name) for path in files}
    assert hash_files(files, memory) == first
    assert reads == ["one", "two"]


@pytest.mark.parametrize("change", ["longer", "same size", "same size and time", "replaced"])
def test_a_changed_file_is_read_again(
    files: list[Path], tmp_path: Path, reads: list[str], change: str
) -> None:
    memory, changed = tmp_path / "files.json", files[0]
    hash_files(files, memory)
    before = changed.stat()
    text = "more than one" if change == "longer" else "eno"
    if change == "replaced":
        (tmp_path / "new").write_text(text)
        os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tmp_path / "new").replace(changed)
    else:
        changed.write_text(text)
    if change == "same size and time":
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hash_files(files, memory)[changed] == sha256(text)
    assert reads == ["one", "two", "one"]


def test_a_file_written_just_now_is_not_remembered(files: list[Path], tmp_path: Path) -> None:
    memory = tmp_path / "files.json"
    hash_files(files, memory)
    assert not memory.exists()


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"x": 3}', '{"x": []}'])
def test_a_broken_memory_is_forgotten(
    files: list[Path], tmp_path: Path, reads: list[str], content: str
) -> None:
    memory = tmp_path / "files.json"
    memory.write_text(content)
    assert hash_files(files, memory)[files[1]] == sha256("two")
    assert set(read_json(memory)) == {str(path) for path in files}


def test_files_that_are_gone_are_dropped_from_the_memory(
    files: list[Path], tmp_path: Path, reads: list[str]
) -> None:
    memory = tmp_path / "files.json"
    hash_files(files[:1], memory)
    files[0].unlink()
    hash_files(files[1:], memory)
    assert set(read_json(memory)) == {str(files[1])}
