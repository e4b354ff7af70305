"""Texts that a set in the cache holds already are copied, bit for bit as if they were tokenised anew."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from letters import WORDS, contents, make, write, write_tokenizer

import train_fn.donors
from train_fn.cache import open_set
from train_fn.donors import find_donors
from train_fn.normalise import text_hash
from train_fn.tokenizing import Encoder

OLD = ["a b c", "d", "e f g h a b", "zz"]
NEW = ["a b c", "c c", "e f g h a b", "h h h h h h h"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), WORDS)


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that went through the tokenizer."""
    seen: list[str] = []
    tokenise = Encoder._tokenise

    def noted(self: Encoder, texts: list[str]) -> Any:
        seen.extend(texts)
        return tokenise(self, texts)

    monkeypatch.setattr(Encoder, "_tokenise", noted)
    return seen


@pytest.fixture
def old(tmp_path: Path, tokenizer: Path) -> Path:
    """The folder of a set that was tokenised before."""
    for name in ("train", "validation", "test"):
        write(tmp_path / "old" / f"{name}.parquet", OLD)
    return make(tmp_path / "old", tokenizer)[0]


def new(folder: Path) -> Path:
    for name in ("train", "validation", "test"):
        write(folder / f"{name}.parquet", NEW)
    return folder


def test_known_texts_are_copied_and_give_the_same_bytes(
    old: Path, tokenizer: Path, tmp_path: Path, tokenised: list[str]
) -> None:
    with_donor, said = make(new(tmp_path / "new"), tokenizer)
    assert tokenised == ["c c", "h h h h h h h"] * 3
    assert any("the tokens of 6 of 12 rows were there already" in line for line in said)
    (tmp_path / "alone").mkdir()
    alone, said = make(shutil.copytree(tmp_path / "new", tmp_path / "alone" / "new"), tokenizer)
    assert not any("already" in line for line in said)
    assert open_set(alone).rows("train")["truncated"].to_pylist() == [False, False, True, True]
    ours, theirs = contents(with_donor), contents(alone)
    assert json.loads(ours.pop("meta.json"))["splits"] == json.loads(theirs.pop("meta.json"))["splits"]
    assert ours == theirs


@pytest.mark.parametrize("change", ["length", "tokenizer", "format", "cut", "gone"])
def test_what_is_not_alike_or_not_whole_gives_nothing(
    old: Path, tokenizer: Path, tmp_path: Path, tokenised: list[str], change: str
) -> None:
    if change == "format":
        meta = json.loads((old / "meta.json").read_text())
        (old / "meta.json").write_text(json.dumps({**meta, "format_version": 1}))
    elif change == "cut":
        (old / "test.hashes.npy").write_bytes((old / "test.hashes.npy").read_bytes()[:-1])
    elif change == "gone":
        (old / "train.rows.parquet").unlink()
    other = write_tokenizer(tmp_path / "other", [*WORDS, "z"]) if change == "tokenizer" else tokenizer
    make(new(tmp_path / "new"), other, max_length=6 if change == "length" else 5)
    assert tokenised == NEW * 3


def test_a_donor_that_vanishes_once_it_was_found_is_left_out(
    old: Path, tokenizer: Path, tmp_path: Path, tokenised: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_meta = train_fn.donors.whole_meta

    def vanishing(folder: Path) -> Any:
        meta = whole_meta(folder)
        shutil.rmtree(folder)
        return meta

    monkeypatch.setattr(train_fn.donors, "whole_meta", vanishing)
    folder, _ = make(new(tmp_path / "new"), tokenizer)
    assert tokenised == NEW * 3
    assert open_set(folder).train.row(1).tolist() == [4, 4, 1]


def test_each_text_is_found_in_the_donor_that_has_it(old: Path, tokenizer: Path, tmp_path: Path) -> None:
    second, _ = make(new(tmp_path / "new"), tokenizer)
    like = open_set(second).meta.model_dump()
    donors = find_donors(tmp_path / "tokenized_cache", like)
    shutil.rmtree(old)  # what was opened stays readable
    rows = donors.find(np.array([text_hash(text) for text in ("h h h h h h h", "nowhere", "d")], np.uint64))
    assert rows[1] == -1
    found = [donors.take(int(row)) for row in rows[[0, 2]]]
    assert [(tokens.tolist(), cut) for tokens, cut in found] == [([9, 9, 9, 9, 1], True), ([5, 1], False)]
