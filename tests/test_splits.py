"""Grouped splits: no group is cut, sizes and shares stay as published, and only the content decides."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from folders import folder, rows
from letters import WORDS, make, write, write_tokenizer

import train_fn.groups
import train_fn.splits
from train_fn.cache import open_set
from train_fn.config import DatasetSpec
from train_fn.data import LoadedData
from train_fn.errors import InputError
from train_fn.normalise import text_hash
from train_fn.run_folder import run_name
from train_fn.source import find_source
from train_fn.splits import assign, load_assigned, split_hash
from train_fn.storage import Paths

NAMES = ("train", "validation", "test")


def planted(rows: int = 20_000, seed: int = 0) -> dict[str, np.ndarray]:
    """Groups of 1 to some 20 rows of one domain, mostly; the domains differ in size; split by row as published."""
    rng = np.random.default_rng(seed)
    group = np.concatenate([np.arange(rows // 6), rng.integers(0, rows // 6, rows - rows // 6)])
    rng.shuffle(group)
    domain = rng.choice(9, rows // 6, p=np.arange(1, 10) / 45)[group]
    domain[rng.random(rows) < 0.01] = 0
    return {
        "groups": group,
        "hashes": rng.integers(0, 2**64, rows, np.uint64),
        "labels": (rng.random(rows) < np.where(domain > 4, 0.3, 0.6)).astype(np.int8),
        "domains": domain,
        "published": rng.choice(3, rows, p=[0.8, 0.1, 0.1]).astype(np.int8),
    }


def test_no_group_lies_in_two_splits_and_sizes_are_as_published() -> None:
    data = planted()
    chosen = assign(**data, seed=42)
    assert len(np.unique(data["groups"] * 3 + chosen)) == len(np.unique(data["groups"]))
    sizes = np.bincount(data["published"]) - np.bincount(chosen)
    assert np.abs(sizes).max() <= 20  # a group


def test_shares_of_classes_and_domains_stay_within_a_point_of_the_published() -> None:
    data = planted()
    chosen = assign(**data, seed=42)
    for split in range(3):
        ours, theirs = chosen == split, data["published"] == split
        for column in ("labels", "domains"):
            for value in np.unique(data[column]):
                hit = data[column] == value
                assert abs(hit[ours].mean() - hit[theirs].mean()) < 0.01, (split, column, value)


def test_a_split_without_a_domain_keeps_without_it() -> None:
    data = planted()
    data["published"][data["domains"] == 8] = 0
    inside = np.bincount(data["groups"], data["domains"] == 8) > 0
    chosen = assign(**data, seed=42)
    lost = (data["domains"] == 8) & (chosen != 0)
    assert inside.sum() > 500
    assert lost.mean() < 0.001


def test_the_order_and_numbers_of_rows_and_groups_do_not_matter() -> None:
    data = planted(3000)
    order, numbers = np.random.default_rng(1).permutation(3000), np.random.default_rng(2).permutation(500)
    moved = {name: column[order] for name, column in data.items()}
    moved["groups"] = numbers[moved["groups"]]
    assert (assign(**moved, seed=42) == assign(**data, seed=42)[order]).all()


def test_another_seed_makes_other_splits() -> None:
    data = planted(3000)
    same = (assign(**data, seed=1) == assign(**data, seed=2)).mean()
    assert 0.5 < same < 0.85  # by chance 0.8^2 + 2 * 0.1^2 = 0.66


def test_a_group_that_train_cannot_hold_is_refused() -> None:
    data = planted(3000)
    room = int((data["published"] == 0).sum())
    data["groups"] = np.concatenate([np.zeros(room, np.int64), np.arange(1, 3001 - room)])
    assert (assign(**data, seed=1)[:room] == 0).all()
    data["groups"][room] = 0
    with pytest.raises(InputError, match=rf"one holds {room + 1:,} of all 3,000 rows; .* splits: published"):
        assign(**data, seed=1)


def test_the_split_hash_knows_which_text_lies_where_and_nothing_else() -> None:
    hashes, split = np.array([5, 7, 7, 9], np.uint64), np.array([0, 2, 1, 1], np.int8)
    known = split_hash(hashes, split)
    assert split_hash(hashes[::-1], split[::-1]) == known
    assert split_hash(hashes, np.array([0, 2, 1, 2], np.int8)) != known


def found_groups(monkeypatch: pytest.MonkeyPatch, group: list[int], texts: list[str]) -> None:
    """Groups as if they had been found."""
    hashes = np.array([[text_hash(text)] * 2 for text in texts], np.uint64)
    known = SimpleNamespace(group=np.array(group), hashes=hashes)
    monkeypatch.setattr(train_fn.groups, "find_groups", lambda *about: known)


def assigned(path: Path, kind: Any = "grouped") -> LoadedData:
    paths = Paths(path.parent / "output")
    source = find_source(DatasetSpec(name="set", path=path), paths=paths)
    return load_assigned(source, "set", paths, kind, 42, print)


def test_published_splits_are_what_load_source_gives(tmp_path: Path) -> None:
    data = assigned(folder(tmp_path), "published")
    assert data.split_hash is None
    assert [data.places[name].tolist() for name in NAMES] == [[*range(8)], [*range(8, 16)], [*range(16, 24)]]
    assert data.splits["test"]["text"][3] == "text number 3"


def test_grouped_rows_are_the_published_ones_at_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {
        name: rows(20, text=[f"{name} {i}" for i in range(40)], domain_name=["wiki", None] * 20)
        for name in NAMES
    }
    texts = [text for part in parts.values() for text in part["text"]]
    found_groups(monkeypatch, [place % 40 for place in range(120)], texts)
    data = assigned(folder(tmp_path, "parquet", **parts))
    for name in NAMES:
        split, places = data.splits[name], data.places[name]
        assert abs(len(split) - 40) <= 6  # a group of 3 of each class
        assert list(split["text"]) == [texts[place] for place in places]
        assert list(split["label"]) == [place % 2 for place in places]
        assert list(split["domain"]) == [("wiki", None)[place % 2] for place in places]
        assert (np.diff(places) > 0).all()
        assert str(split.split) == name
    assert sorted(np.concatenate(list(data.places.values())).tolist()) == list(range(120))
    groups = [set(places % 40) for places in data.places.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 40


def test_groups_that_leave_a_split_without_a_class_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"train": rows(8), "validation": rows(2), "test": rows(2)}
    found_groups(monkeypatch, [0] * 12 + [1] * 12, [str(place) for place in range(24)])
    with pytest.raises(
        InputError, match=r"so large that validation gets 0 AI_Generated, 0 Human_Written; use"
    ):
        assigned(folder(tmp_path, "parquet", **parts))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), WORDS)


LETTERS = {
    name: [f"{a} {b} {'c ' * number}" for a in "ab" for b in "de"] for number, name in enumerate(NAMES)
}


def letters(path: Path) -> Path:
    for name, texts in LETTERS.items():
        write(path / f"{name}.parquet", texts)
    return path


def test_a_grouped_cache_holds_the_tokens_of_the_texts_at_its_places(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text for part in LETTERS.values() for text in part]
    found_groups(monkeypatch, [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8], texts)
    source = letters(tmp_path / "set")
    published, _ = make(source, tokenizer)
    folder, said = make(source, tokenizer, splits="grouped")
    data = open_set(folder)
    assert folder != published
    assert (data.meta.splits_kind, data.meta.split_seed) == ("grouped", 42)
    assert data.meta.split_hash == assigned(source).split_hash
    assert any("the tokens of 12 of 12 rows were there already" in line for line in said)
    for name in NAMES:
        split = getattr(data, name)
        for index, place in enumerate(data.rows(name)["place"].to_pylist()):
            tokens = [WORDS.index(letter) for letter in texts[place].split()]
            assert split.row(index).tolist() == [*tokens, 1]
            assert data.hashes(name)[index] == text_hash(texts[place])


def test_published_splits_know_no_seed_and_grouped_ones_do(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text for part in LETTERS.values() for text in part]
    found_groups(monkeypatch, list(range(12)), texts)
    source = letters(tmp_path / "set")
    published = {make(source, tokenizer, split_seed=seed)[0] for seed in (1, 2)}
    grouped = {make(source, tokenizer, splits="grouped", split_seed=seed)[0] for seed in (1, 2)}
    assert (len(published), len(grouped), len(published | grouped)) == (1, 2, 3)
    assert open_set(published.pop()).meta.split_seed is None


def test_a_second_start_of_grouped_splits_reads_no_text_and_seeks_no_group(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text for part in LETTERS.values() for text in part]
    found_groups(monkeypatch, list(range(12)), texts)
    source = letters(tmp_path / "set")
    folder, _ = make(source, tokenizer, splits="grouped")

    def fail(*_: Any) -> None:
        raise AssertionError("done again")

    for module, name in ((train_fn.splits, "load_source"), (train_fn.groups, "find_groups")):
        monkeypatch.setattr(module, name, fail)
    assert make(source, tokenizer, splits="grouped")[0] == folder


CODE = """
import sys
from pathlib import Path
from test_splits import assigned
data = assigned(Path(sys.argv[1]))
print(data.split_hash)
"""


def test_copies_meet_in_one_split_and_another_process_finds_the_same_ones(tmp_path: Path) -> None:
    """With the groups that are really found: every text lies in train, and again in validation or test."""
    texts = [f"{'abcdefghij'[i % 10] * 5}{'klmnopqrst'[i // 10] * 5} and a long word" for i in range(80)]
    label = ["AI_Generated", "Human_Written"] * 40
    parts = {
        "train": rows(40, text=texts, label=label),
        "validation": rows(20, text=texts[:40]),
        "test": rows(20, text=texts[40:]),
    }
    path = folder(tmp_path, "parquet", **parts)
    data = assigned(path)
    held = [set(data.splits[name]["text"]) for name in NAMES]
    assert sum(map(len, held)) == len(set.union(*held)) == 80
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", CODE, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == data.split_hash


def test_runs_on_grouped_splits_have_a_name_of_their_own() -> None:
    spec = DatasetSpec(name="2M")
    assert run_name("Qwen/Qwen3-0.6B", spec, "published") == "qwen3-0.6b-2m"
    assert run_name("tiny", spec, "grouped") == "qwen3-tiny-2m-grouped"
