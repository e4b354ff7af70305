"""The cache under ten processes at once, and after a kill in the middle of the work."""

import multiprocessing
import os
import shutil
import signal
from multiprocessing.context import BaseContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from letters import WORDS, contents, left_behind, make, write, write_tokenizer

import train_fn.groups
from train_fn import tokenizing
from train_fn.normalise import text_hash

NAMES = ("train", "validation", "test")
TEXTS = [f"{a} {b} {'c ' * number}" for number in range(3) for a in "ab" for b in "de"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), WORDS)


@pytest.fixture(scope="module")
def processes() -> BaseContext:
    """Processes that have run nothing, but need not load their libraries each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["datasets", "transformers", "tokenizers", "train_fn.splits", "test_cache_races"]
    )
    return context


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write(tmp_path / "set" / f"{name}.parquet", TEXTS[4 * number : 4 * number + 4])
    return tmp_path / "set"


def plant_groups() -> None:
    """Each row of AI and the row after it, as if they had been found."""
    hashes = np.array([[text_hash(text)] * 2 for text in TEXTS], np.uint64)
    known = SimpleNamespace(group=np.array([0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8]), hashes=hashes)
    train_fn.groups.find_groups = lambda *about: known


def make_at_once(barrier: Any, source: Path, tokenizer: Path, said: Path) -> None:
    barrier.wait()
    folder, lines = make(source, tokenizer)
    said.write_text("\n".join([folder.name, *lines]))


def test_ten_processes_tokenise_once(
    source: Path, tokenizer: Path, tmp_path: Path, processes: BaseContext
) -> None:
    barrier, files = processes.Barrier(10), [tmp_path / f"said-{number}" for number in range(10)]
    started = [
        processes.Process(target=make_at_once, args=(barrier, source, tokenizer, file)) for file in files
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0] * 10
    said = [file.read_text() for file in files]
    assert len({text.splitlines()[0] for text in said}) == 1
    assert sum("at most 5 tokens" in text for text in said) == 1
    assert len({text.splitlines()[-1] for text in said}) == 1


def make_and_die(source: Path, tokenizer: Path, splits: str, batch: int) -> None:
    """Die as by kill -9 in the middle of a split's tokens."""
    plant_groups()
    tokenizing.BATCH, done = 2, []
    encode = tokenizing._encode

    def fatal(*about: Any) -> Any:
        done.append(about)
        if len(done) == batch:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(*about)

    tokenizing._encode = fatal
    make(source, tokenizer, splits=splits)


@pytest.mark.parametrize("splits", ["published", "grouped"])
def test_after_a_kill_the_next_start_makes_the_same_as_ever(
    source: Path,
    tokenizer: Path,
    tmp_path: Path,
    processes: BaseContext,
    splits: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train_fn.groups, "find_groups", None)
    plant_groups()
    if splits == "grouped":
        make(source, tokenizer)  # its tokens are copied
    killed = processes.Process(target=make_and_die, args=(source, tokenizer, splits, 4))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert len(left_behind(source)) == 1
    folder, said = make(source, tokenizer, splits=splits)
    assert left_behind(source) == []
    assert any("were there already" in line for line in said) == (splits == "grouped")
    (tmp_path / "alone").mkdir()
    alone, _ = make(shutil.copytree(source, tmp_path / "alone" / "set"), tokenizer, splits=splits)
    ours, theirs = contents(folder), contents(alone)
    assert ours.pop("meta.json").replace(b"/set", b"/alone/set") == theirs.pop("meta.json")
    assert ours == theirs
