"""Rows that a search trained on are counted in a bigger set's scored splits, and left out where asked."""

from pathlib import Path

import numpy as np
import pytest
from folders import rows, write
from letters import write_tokenizer

from search.guard import find_seen, leave_out, record_texts
from search.study import Study
from train_fn.cache import open_set, prepare
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.contamination import Overlap, left_out_file, scored_rows, write_left_out
from train_fn.errors import InputError
from train_fn.job import Job
from train_fn.storage import Paths, read_json

SMALL = [f"the lamp of number {'abcdefgh'[index]} stood beside the old harbour wall" for index in range(8)]
NEW = [f"a kettle of kind {'abcdefgh'[index]} sang on the stove in the kitchen" for index in range(8)]


class Sets:
    """A small set that was searched and a large one that is promoted to."""

    def __init__(self, folder: Path, test: list[str]) -> None:
        self.paths = Paths.of(folder / "output")
        self.config = TrainConfig(model=str(write_tokenizer(folder / "model", ["<pad>", "<end>", "a"])))
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

    def tokens(self, name: str) -> Path:
        return prepare(
            self.spec(name),
            model=self.config.model,
            model_revision=None,
            max_length=16,
            splits="published",
            split_seed=42,
            paths=self.paths,
            say=self.said.append,
        )

    def search(self, max_rows: int | None = None) -> None:
        train = self.config.model_copy(update={"max_rows": max_rows})
        record_texts(
            self.study, self.spec("small"), train, self.tokens("small"), self.paths, self.said.append
        )

    def seen(self, *, decontaminate: bool = False) -> Overlap:
        return find_seen(
            self.study,
            self.spec("large"),
            self.tokens("large"),
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
    job = Job("run", tmp_path / "run", sets.config, "", tmp_path, None, score_test=True)
    job = leave_out(job, sets.seen(decontaminate=True))
    assert job.left_out == left_out_file(job.folder) is not None
    assert scored_rows("test", 8, job.left_out).tolist() == [2, 3, 4, 5, 6, 7]
    assert scored_rows("validation", 8, job.left_out).tolist() == list(range(8))
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
    sets.tokens("small")
    folder = sets.tokens("large")
    assert any("24 of 24 rows were there already" in line for line in sets.said)
    assert read_json(folder / "meta.json")["dataset"] == "large"
    assert open_set(folder).meta.splits["test"].rows == 8
