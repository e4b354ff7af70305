"""Rows that a search trained on are counted in a bigger set's scored splits, and left out where asked."""

from pathlib import Path

import numpy as np
import pytest
from folders import rows, write
from letters import write_tokenizer

from search.guard import find_seen, record_texts
from search.study import Study
from train_fn.cache import open_set
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.contamination import Overlap, left_out_file, scored_rows, write_left_out
from train_fn.errors import InputError
from train_fn.inputs import Inputs, prepare_inputs
from train_fn.storage import Paths, read_json

SMALL = [f"the lamp of number {'abcdefgh'[index]} stood beside the old harbour wall" for index in range(8)]
NEW = [f"a kettle of kind {'abcdefgh'[index]} sang on the stove in the kitchen" for index in range(8)]


class Sets:
    """A small set that was searched and a large one that is promoted to."""

    def __init__(self, folder: Path, test: list[str]) -> None:
        self.paths = Paths.of(folder / "output")
        self.config = TrainConfig(
            model=str(write_tokenizer(folder / "model", ["<pad>", "<end>", "a"])), max_length=16
        )
        self.said: list[str] = []
        for name, texts in (("train", SMALL), ("validation", NEW), ("test", NEW)):
            write(folder / "small" / f"{name}.parquet", rows(text=texts))
        for name, texts in (("train", SMALL), ("validation", NEW), ("test", test)):
            write(folder / "large" / f"{name}.parquet", rows(text=texts))
        self.folder = folder
        self.study = Study(self.paths.studies / "made")
        self.study.folder.mkdir(parents=True)

    def spec(self, name: str) -> DatasetSpec:
        return DatasetSpec(name=name, path=self.folder / name)

    def inputs(self, name: str) -> Inputs:
        return prepare_inputs(self.spec(name), self.config, self.paths, self.said.append)

    def search(self, max_rows: int | None = None) -> None:
        train = self.config.model_copy(update={"max_rows": max_rows})
        record_texts(
            self.study, self.spec("small"), train, self.inputs("small"), self.paths, self.said.append
        )

    def seen(self, *, decontaminate: bool = False) -> Overlap:
        return find_seen(
            self.study,
            self.spec("large"),
            self.inputs("large"),
            self.paths,
            self.said.append,
            decontaminate=decontaminate,
        )


def test_scored_rows_that_the_search_trained_on_are_counted_also_when_attacked(tmp_path: Path) -> None:
    sets = Sets(tmp_path, [SMALL[0], SMALL[5].upper(), *NEW[:6]])
    sets.search()
    seen = sets.seen()
    assert {split: found.tolist() for split, found in seen.rows.items()} == {"validation": [], "test": [0, 1]}
    assert seen.facts["test"] == {"seen": 2, "exact": 1, "rows": 8}
    assert "seen     2 of 8 test rows were train rows of the search (1 to the letter)" in sets.said
    assert any("--decontaminate leaves them out" in line for line in sets.said)


def test_only_rows_that_the_trials_used_count(tmp_path: Path) -> None:
    sets = Sets(tmp_path, [*SMALL[:6], *NEW[:2]])
    sets.search(max_rows=4)
    used = np.load(sets.study.texts_file)
    assert used.shape == (4, 2)
    assert 0 < len(sets.seen().rows["test"]) <= 4


def test_rows_left_out_are_in_no_score(tmp_path: Path) -> None:
    sets = Sets(tmp_path, [SMALL[0], SMALL[5], *NEW[:6]])
    sets.search()
    write_left_out(sets.seen(decontaminate=True), tmp_path / "run")
    left_out = left_out_file(tmp_path / "run")
    assert left_out is not None
    assert scored_rows("test", 8, left_out).tolist() == [2, 3, 4, 5, 6, 7]
    assert scored_rows("validation", 8, left_out).tolist() == list(range(8))
    assert scored_rows("test", 8, left_out_file(tmp_path)).tolist() == list(range(8))


def test_nothing_left_to_score_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    sets = Sets(tmp_path, [SMALL[0]] * 8)
    sets.search()
    with pytest.raises(InputError, match="of test it leaves 0 of 8 rows"):
        sets.seen(decontaminate=True)
    assert len(sets.seen().rows["test"]) == 8


def test_a_study_that_does_not_tell_what_it_trained_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the search's command again"):
        Sets(tmp_path, NEW).seen()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    overlap = Overlap({"validation": np.array([1]), "test": np.array([0, 3])}, {}, {})
    write_left_out(overlap, tmp_path)
    assert scored_rows("test", 4, left_out_file(tmp_path)).tolist() == [1, 2]
    assert not list(tmp_path.glob(".*"))


def test_the_tokenised_large_set_reuses_the_small_one(tmp_path: Path) -> None:
    sets = Sets(tmp_path, NEW)
    sets.inputs("small")
    folder = sets.inputs("large").data
    assert any("24 of 24 rows were there already" in line for line in sets.said)
    assert read_json(folder / "meta.json")["dataset"] == "large"
    assert open_set(folder).meta.splits["test"].rows == 8
