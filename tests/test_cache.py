"""The tokenised set on disk: what it holds, when it is made anew, and that it is whole or absent."""

import errno
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from letters import WORDS, left_behind, make, write, write_tokenizer

import train_fn.data
import train_fn.tokenizing
from train_fn.cache import open_set
from train_fn.errors import InputError
from train_fn.normalise import text_hash
from train_fn.storage import atomic_folder, read_json


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One letter, one token: a is 2, b is 3; other letters have none, and every text ends in <end>."""
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), WORDS)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number, name in enumerate(("train", "validation", "test")):
        write(tmp_path / "set" / f"{name}.parquet", ["a b c", "d", "e f g h a b", f"h{'a' * number}"])
    return tmp_path / "set"


def test_rows_hold_the_tokens_of_their_text_cut_at_max_length(source: Path, tokenizer: Path) -> None:
    folder, _ = make(source, tokenizer)
    data = open_set(folder)
    assert folder.parent == source.parent / "tokenized_cache" / "set"
    assert [data.train.row(index).tolist() for index in range(4)] == [
        [2, 3, 4, 1],
        [5, 1],
        [6, 7, 8, 9, 1],
        [9, 1],
    ]
    assert data.train.lengths.tolist() == [4, 2, 5, 2]
    assert data.train.labels.tolist() == [0, 1, 1, 1]
    assert (data.train.tokens.dtype, data.train.offsets.dtype) == (np.int32, np.int64)
    assert data.train.labels.dtype == np.int8
    assert data.test.row(3).tolist() == [9, 2, 2, 1]
    assert len(data.validation) == 4
    assert data.rows("test").to_pydict() == {
        "domain": ["wiki", "news", None, "wiki"],
        "model": ["gpt4", "human", "human", "human"],
        "place": [8, 9, 10, 11],
        "truncated": [False, False, True, False],
    }
    assert data.hashes("test").tolist() == [text_hash(text) for text in ("a b c", "d", "e f g h a b", "haa")]


def test_meta_says_what_the_set_is_made_of(source: Path, tokenizer: Path) -> None:
    folder, said = make(source, tokenizer)
    meta = open_set(folder).meta
    train = meta.splits["train"]
    assert (train.rows, train.tokens, train.counts, train.truncated) == (4, 13, (1, 3), 1)
    assert train.truncated_share == 0.25
    assert (meta.max_length, meta.pad_token_id, meta.tokenizer) == (5, 0, str(tokenizer))
    assert any("another upload than the published (1 + 4)" in line for line in said)


def test_a_text_whose_characters_all_drop_out_keeps_one_token(source: Path, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = write_tokenizer(tmp_path / "bare", WORDS)
    bare = PreTrainedTokenizerFast.from_pretrained(folder)
    from tokenizers import processors

    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A")
    bare.save_pretrained(folder)
    write(source / "train.parquet", ["a", "zzz", "b", "c"])
    data = open_set(make(source, folder)[0])
    assert data.train.row(1).tolist() == [0]


def test_a_second_start_reads_no_text(source: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, first = make(source, tokenizer)

    def fail(*_: Any) -> None:
        raise AssertionError("the texts were loaded again")

    monkeypatch.setattr(train_fn.data, "load_source", fail)
    again, said = make(source, tokenizer)
    assert again == folder
    assert said == first[1:]  # all but the line that announces the work


def test_another_text_tokenizer_or_length_is_another_folder(
    source: Path, tokenizer: Path, tmp_path: Path
) -> None:
    first, _ = make(source, tokenizer)
    other = write_tokenizer(tmp_path / "other", [*WORDS, "i"])
    found = {first, make(source, tokenizer, max_length=4)[0], make(source, other)[0]}
    copied = shutil.copytree(source, tmp_path / "copy")
    assert make(copied, tokenizer)[0].name == first.name  # the content counts, not the place
    write(source / "test.parquet", ["a", "b", "c", "d"])
    found.add(make(source, tokenizer)[0])
    assert len(found) == 4


@pytest.mark.parametrize(
    "name", ["train.tokens.npy", "test.labels.npy", "validation.rows.parquet", "meta.json"]
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_folder_is_written_again(source: Path, tokenizer: Path, name: str, damage: str) -> None:
    folder, _ = make(source, tokenizer)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(whole[name][:-3])
    assert make(source, tokenizer)[0] == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_train_and_validation_never_open_a_test_file(source: Path, tokenizer: Path) -> None:
    folder, _ = make(source, tokenizer)
    for path in folder.glob("test.*"):
        path.unlink()
    data = open_set(folder)
    assert isinstance(data.train.tokens, np.memmap)
    assert len(data.validation.row(0)) == 4
    with pytest.raises(FileNotFoundError):
        _ = data.test


def test_too_little_space_is_said_before_anything_is_written(
    source: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(InputError, match=r"tokenized_cache/set must have room for up to [\d,]+ bytes"):
        make(source, tokenizer)
    assert left_behind(source) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(
    source: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(train_fn.tokenizing.np, "save", full)
        with pytest.raises(InputError, match="the disk is full"):
            make(source, tokenizer)
    assert left_behind(source) == []
    assert make(source, tokenizer)[0].is_dir()


def test_what_a_killed_process_left_is_cleared_away(source: Path, tokenizer: Path) -> None:
    folder, _ = make(source, tokenizer)
    with atomic_folder(folder.with_name("other")) as temporary:
        shutil.copytree(temporary, folder.with_name(f".{folder.name}.killed.tmp"))
    assert left_behind(source)
    (folder / "meta.json").unlink()
    make(source, tokenizer)
    assert left_behind(source) == []


def test_the_same_rows_give_the_same_bytes_wherever_they_are_made(
    source: Path, tokenizer: Path, tmp_path: Path
) -> None:
    one, _ = make(source, tokenizer)
    two, _ = make(shutil.copytree(source, tmp_path / "elsewhere" / "set"), tokenizer)
    for path in one.glob("*.npy"):
        assert path.read_bytes() == (two / path.name).read_bytes()
    assert read_json(one / "meta.json")["fingerprint"] == read_json(two / "meta.json")["fingerprint"]


def test_a_model_without_a_tokenizer_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="with a tokenizer"):
        make(source, tmp_path / "empty")
