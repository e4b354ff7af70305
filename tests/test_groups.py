"""Groups: planted relations are found, strangers are not joined, and the folder is whole or absent."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import train_fn.data
from train_fn.attacks import ATTACKS
from train_fn.config import DatasetSpec
from train_fn.grouping import Edges, cut_groups
from train_fn.groups import Groups, find_groups
from train_fn.hub import SPLITS
from train_fn.normalise import normal_hash, normal_words, text_hash
from train_fn.source import find_source
from train_fn.storage import PROJECT, Paths

REAL = os.environ.get("DETECTOR_REAL_DATA", "")
NONE = np.empty((0, 2), np.int64)


@pytest.fixture
def write_planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    from planted import write_planted

    return write_planted


def find(folder: Path, said: list[str] | None = None) -> Groups:
    paths = Paths(folder.parent / "output")
    say = (said if said is not None else []).append
    return find_groups(find_source(DatasetSpec(name="set", path=folder), paths=paths), "set", paths, say)


def write(folder: Path, rows: list[dict[str, str | None]]) -> Path:
    """Every second row of another class; 8 of 10 rows in train."""
    rows = [{"label": ("AI_Generated", "Human_Written")[n % 2], **row} for n, row in enumerate(rows)]
    cuts = [0, len(rows) * 8 // 10 // 2 * 2, len(rows) * 9 // 10 // 2 * 2, len(rows)]
    folder.mkdir(parents=True)
    for name, start, end in zip(SPLITS, cuts, cuts[1:], strict=False):
        pq.write_table(pa.Table.from_pylist(rows[start:end]), folder / f"{name}.parquet")
    return folder


def truths(folder: Path) -> np.ndarray:
    return np.concatenate([pq.read_table(folder / f"{name}.parquet")["truth"].to_numpy() for name in SPLITS])


def pairs(codes: np.ndarray) -> int:
    counts = np.unique(codes, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def recall_and_false(group: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The share of related pairs in one group, and the share of unrelated pairs in one group."""
    both = pairs(group * (truth.max() + 1) + truth)
    strangers = len(group) * (len(group) - 1) // 2 - pairs(truth)
    return both / pairs(truth), (pairs(group) - both) / strangers


@pytest.mark.parametrize(("titles", "least"), [(True, 0.995), (False, 0.99)])
def test_planted_relatives_are_found_and_strangers_are_not_joined(
    tmp_path: Path, write_planted: Callable[..., Path], titles: bool, least: float
) -> None:
    folder = write_planted(tmp_path / "set", 3000, 1, titles)
    groups = find(folder)
    recall, false = recall_and_false(groups.group, truths(folder))
    assert recall >= least
    assert false < 1e-4
    assert groups.facts.rows == 3000
    assert groups.facts.largest == np.bincount(groups.group).max()
    assert groups.facts.alone == np.mean(np.bincount(groups.group) == 1) * groups.facts.groups / 3000


def texts(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    words = [f"{a}{b}{c}" for a in ("bal", "cor", "dim") for b in "abcdefghijk" for c in "nopqrstuvwxyz"]
    return [" ".join(rng.choice(words) for _ in range(40)) for _ in range(count)]


def test_groups_are_numbered_by_their_first_row_and_hashes_are_those_of_the_texts(tmp_path: Path) -> None:
    plain = texts(20)
    plain[7], plain[19] = plain[0].upper(), plain[3]
    groups = find(write(tmp_path / "set", [{"text": text} for text in plain]))
    expected = list(range(19))
    expected.insert(7, 0)
    expected = [0 if row == 7 else row - (row > 7) for row in range(19)] + [3]
    assert groups.group.tolist() == expected
    assert groups.hashes.tolist() == [[text_hash(t), normal_hash(t, normal_words(t))] for t in plain]
    assert groups.facts.shares == {"source_id": 0, "prefix": 0, "copy": 0.2, "near": 0}
    assert (groups.facts.groups, groups.facts.largest, groups.facts.alone) == (18, 2, 0.8)


def test_another_order_of_rows_gives_the_same_groups(tmp_path: Path) -> None:
    rng = random.Random(2)
    plain = texts(60)
    plain += [ATTACKS["synonym"](text, rng) for text in plain[:30]] + plain[:10]
    order = rng.sample(range(100), 100)
    one = find(write(tmp_path / "a" / "set", [{"text": text} for text in plain])).group
    two = find(write(tmp_path / "b" / "set", [{"text": plain[row]} for row in order])).group
    same = one[order][:, None] == one[order][None]
    assert (same == (two[:, None] == two[None])).all()


def test_rows_of_one_source_id_are_a_group_and_blank_ones_are_not(tmp_path: Path) -> None:
    ids = ["x", "y", "", None, "x", "", None, "z", "y", " "] * 2
    groups = find(
        write(tmp_path / "set", [{"text": t, "source_id": i} for t, i in zip(texts(20), ids, strict=True)])
    )
    found = {name: {int(groups.group[n]) for n in range(20) if ids[n] == name} for name in ("x", "y", "z")}
    assert all(len(members) == 1 for members in found.values())
    assert groups.facts.shares["source_id"] == 0.5
    assert groups.facts.alone == 0.5


def test_titles_join_only_rows_that_name_no_source(tmp_path: Path) -> None:
    title = "The Amber Lantern And The Quiet Harbour Of Missing Sailors. "
    plain = [title + text if row in (3, 8, 11, 15) else text for row, text in enumerate(texts(20))]
    bare = find(write(tmp_path / "a" / "set", [{"text": text} for text in plain])).group
    assert bare[3] == bare[8] == bare[11] == bare[15]
    rows = [{"text": text, "source_id": str(row)} for row, text in enumerate(plain)]
    assert len(set(find(write(tmp_path / "b" / "set", rows)).group.tolist())) == 20


def test_a_paraphrase_is_found_by_its_title_alone(tmp_path: Path) -> None:
    """A paraphrase shares no more words with its original than a stranger does."""
    title = "The Amber Lantern And The Quiet Harbour Of Missing Sailors. "
    plain = texts(40)
    plain[30] = " ".join(reversed(texts(1, seed=99)[0].split()))
    titled = [title + text if row in (3, 30) else text for row, text in enumerate(plain)]
    without = find(write(tmp_path / "a" / "set", [{"text": text} for text in plain])).group
    with_title = find(write(tmp_path / "b" / "set", [{"text": text} for text in titled])).group
    assert without[3] != without[30]
    assert with_title[3] == with_title[30]


def chain(rows: range) -> np.ndarray:
    return np.stack([np.array(rows)[:-1], np.array(rows)[1:]], axis=1)


def edges(**kinds: np.ndarray) -> Edges:
    given = {"source_id": NONE, "prefix": NONE, "copy": NONE, "near": NONE, **kinds}
    return Edges(**{"levels": np.zeros(len(given["near"]), np.int8), **given})


def test_a_component_above_the_bound_loses_titles_first_then_its_weakest_near_edges() -> None:
    near = np.concatenate([chain(range(0, 4)), chain(range(4, 8)), [[3, 4]]])
    levels = np.array([3, 3, 3, 1, 1, 1, 0], np.int8)
    found = edges(prefix=np.array([[7, 8], [9, 10]]), near=near, levels=levels)
    whole = cut_groups(11, found, bound=9)
    assert (whole.group.tolist(), whole.groups, whole.rows) == ([0] * 9 + [1, 1], 0, 0)
    titles = cut_groups(11, found, bound=8)
    assert (titles.group.tolist(), titles.groups, titles.rows) == ([0] * 8 + [1, 2, 2], 1, 9)
    assert cut_groups(11, found, bound=7).group.tolist() == [0] * 4 + [1] * 4 + [2, 3, 3]
    assert cut_groups(11, found, bound=3).group.tolist() == [0] * 4 + [1, 2, 3, 4, 5, 6, 6]


def test_copies_and_sources_are_never_cut() -> None:
    found = edges(copy=chain(range(0, 5)), source_id=chain(range(4, 9)))
    cut = cut_groups(9, found, bound=2)
    assert (cut.group.tolist(), cut.groups, cut.rows) == ([0] * 9, 1, 9)


def test_a_second_start_loads_no_row_and_damage_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "set", [{"text": text} for text in texts(20)])
    first = find(folder)
    with monkeypatch.context() as patch:
        patch.setattr(train_fn.data, "load_source", lambda _: pytest.fail("the rows were loaded again"))
        assert find(folder).facts == first.facts
    whole = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    assert set(whole) == {"group.npy", "hashes.npy", "facts.json"}
    for name in whole:
        (first.folder / name).write_bytes(whole[name][:-3])
        find(folder)
        assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == whole


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", [{"text": text} for text in texts(20)])
    first = find(folder).folder
    (first / "facts.json").unlink()
    shutil.copytree(first, first.with_name(f".{first.name}.killed.tmp"))
    find(folder)
    assert sorted(path.name for path in first.parent.glob("*groups*")) == [
        f".{first.name}.lock", first.name
    ]  # fmt: skip


@pytest.mark.slow
def test_many_processes_and_another_hash_seed_give_the_same_bytes(
    tmp_path: Path, write_planted: Callable[..., Path]
) -> None:
    """Above row_pool.ALONE rows other processes read them."""
    folder = write_planted(tmp_path / "a" / "set", 9000, 4)
    shutil.copytree(folder, tmp_path / "b" / "set")
    code = (
        "import sys; from pathlib import Path; import train_fn.row_pool as pool\n"
        "from test_groups import find\n"
        "if __name__ == '__main__':\n    pool.ALONE = int(sys.argv[2]); print(find(Path(sys.argv[1])).folder)"
    )
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    found = []
    for part, alone, seed in (("a", "8192", "1"), ("b", "100000", "2")):
        command = [sys.executable, str(script), str(tmp_path / part / "set"), alone]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(Path(done.stdout.splitlines()[-1]))
    for name in ("group.npy", "hashes.npy", "facts.json"):
        assert (found[0] / name).read_bytes() == (found[1] / name).read_bytes()


@pytest.mark.skipif(not Path(REAL or "-").is_dir(), reason="DETECTOR_REAL_DATA names no folder of texts")
def test_planted_copies_of_real_texts_are_found_without_source_ids(tmp_path: Path) -> None:
    rng = random.Random(1)
    real = [row for name in SPLITS for row in pq.read_table(Path(REAL) / f"{name}.parquet").to_pylist()]
    keys = ("text", "label", "domain")
    rows = [{key: row[key] for key in keys} for row in rng.sample(real, 3000)]
    chosen = rng.sample(range(3000), 1000)
    names = [*ATTACKS, "exact"]
    kinds = [names[number % len(names)] for number in range(1000)]
    copied = [ATTACKS.get(kind, lambda text, _: text) for kind in kinds]
    rows += [
        {**rows[row], "text": copy(rows[row]["text"], rng)} for row, copy in zip(chosen, copied, strict=True)
    ]
    group = find(write(tmp_path / "set", rows)).group
    found = group[chosen] == group[3000:]
    exact = np.array([kind not in ("synonym", "perplexity_misspelling") for kind in kinds])
    assert found[exact].all()
    assert found.mean() >= 0.98
    assert np.bincount(group).max() < 60
