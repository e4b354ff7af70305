"""The record of a search, and which trial is promoted."""

import json
import math
import shutil
import threading
import time
from pathlib import Path

import pytest
import yaml
from fake_trial import config_of
from folders import write_sample

from search.choice import find_best
from search.config import SearchConfig
from search.foreseen import Foreseen
from search.record import LOCK, DataInfo, StudyConfig, TrialRecord, record_of
from search.runner import run_search
from search.space import Point
from search.study import Study, open_study
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.errors import InputError
from train_fn.rows import HALVES
from train_fn.storage import Paths, write_json

LAST = {"progress": 100, "status": "COMPLETE", "done": True}
POINT = Point(learning_rate=3e-4, lora_rank=8, lora_alpha=16)


def study_at(folder: Path, config: StudyConfig | None = None) -> Study:
    study = Study(folder)
    folder.mkdir(parents=True)
    study.adopt_config(config or config_of(4))
    return study


def end(study: Study, number: int, value: float, status: str = "COMPLETE") -> TrialRecord:
    trial = study.ask(number, POINT.model_copy(update={"learning_rate": 1e-4 * (number + 1)}))
    record = record_of(trial, [{"progress": 100, "objective": value, "accuracy": 0.9}], status)
    study.end(record)
    return record


def test_best_json_names_the_lowest_complete_trial_beside_the_default(tmp_path: Path) -> None:
    study = study_at(tmp_path / "s")
    for number, (value, status) in enumerate([(0.5, "COMPLETE"), (0.1, "PRUNED"), (0.3, "COMPLETE")]):
        end(study, number, value, status)
    best = json.loads((study.folder / "best.json").read_text())
    assert (best["number"], best["value"], best["trial_id"]) == (2, 0.3, "s-0002")
    assert best["default"]["value"] == 0.5
    assert best["params"]["learning_rate"] == pytest.approx(3e-4)
    assert best["metrics"] == {"accuracy": 0.9}


def test_what_a_killed_search_left_is_mended_and_no_trial_is_judged_by_its_own_end(tmp_path: Path) -> None:
    study = study_at(tmp_path / "s")
    kept = end(study, 0, 0.5)
    for number in (1, 2):
        study.ask(number, POINT)
    last = {"progress": 100, "objective": 0.3, "status": "COMPLETE", "done": True}
    write_json(study.trial_folder(1) / "result.json", last)
    with (study.folder / "trials.jsonl").open("a") as file:
        file.write('{"trial_id": "s-0002", "num')
    study.stop_file.touch()
    stale = [study.trial_folder(0) / "checkpoints" / "step-1", study.trial_folder(2) / ".step-2.x.tmp"]
    for folder in stale:
        folder.mkdir(parents=True)

    study.repair()
    study.repair()  # twice is once
    assert study.records() == [kept]
    assert (study.folder / "trials.jsonl").read_bytes().endswith(b"\n")
    assert [trial.number for trial in study.unfinished()] == [1, 2]  # the scheduler has not seen trial 1
    assert json.loads((study.folder / "best.json").read_text())["number"] == 0
    assert not study.stop_file.exists()
    assert not any(folder.exists() for folder in stale)


def test_reading_beside_a_writer_changes_nothing(tmp_path: Path) -> None:
    study = study_at(tmp_path / "s")
    end(study, 0, 0.5)
    file = study.folder / "trials.jsonl"
    file.write_bytes(file.read_bytes() + b'{"half')
    before = file.read_bytes()
    assert len(study.records()) == 1
    assert file.read_bytes() == before


def test_a_new_search_waits_for_the_last_worker_of_a_killed_one(tmp_path: Path) -> None:
    from filelock import FileLock

    study = study_at(tmp_path / "s")
    study.ask(0, POINT)
    lock = FileLock(study.trial_folder(0) / LOCK, thread_local=False)
    lock.acquire()
    released: list[float] = []

    def orphan() -> None:
        released.append(time.monotonic())
        lock.release()

    timer = threading.Timer(0.3, orphan)
    timer.start()
    study.repair()
    timer.join()
    assert released
    assert time.monotonic() >= released[0]
    assert not (study.trial_folder(0) / LOCK).exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_complete_trial_without_a_finite_loss_is_a_failed_one(tmp_path: Path, value: float) -> None:
    study = study_at(tmp_path / "s")
    record = end(study, 0, value)
    assert (record.status, record.value, record.curve) == ("FAILED", None, ())
    assert "NaN" not in (study.folder / "trials.jsonl").read_text()


def test_other_settings_are_refused_with_the_differing_keys_and_others_may_change(tmp_path: Path) -> None:
    study = study_at(tmp_path / "s")
    study.adopt_config(config_of(40, time_budget=60, gpus_per_trial=0.5, hang_minutes=1))
    assert study.config().search.trials == 40
    before = (study.folder / "config.yaml").read_text()
    other = config_of(4, grace_percent=20)
    other = other.model_copy(update={"train": other.train.model_copy(update={"epochs": 1.0})})
    with pytest.raises(InputError, match=r"epochs: 3.0 in the study, 1.0 now\n  grace_percent: 10 .*, 20"):
        study.adopt_config(other)
    assert (study.folder / "config.yaml").read_text() == before


def test_a_study_whose_halves_were_cut_otherwise_does_not_go_on(tmp_path: Path) -> None:
    new = config_of(4).model_copy(update={"halves": 2})
    study = study_at(tmp_path / "s", new)
    study.adopt_config(new)
    older = new.model_dump(mode="json")
    del older["halves"]
    (study.folder / "config.yaml").write_text(yaml.safe_dump(older))
    with pytest.raises(InputError, match=r"made for other settings:\n  halves: None in the study, 2 now"):
        study.adopt_config(new)


def test_a_search_knows_the_groups_before_its_halves_are_cut_wherever_they_had_gone(tmp_path: Path) -> None:
    class SeenError(Exception):
        pass

    def seen(study: Study, config: StudyConfig, inputs: object) -> tuple[StudyConfig, Foreseen]:
        raise SeenError(config.halves)

    paths, spec = Paths(tmp_path / "output"), DatasetSpec(name="rows", path=write_sample(tmp_path / "rows"))
    train = TrainConfig(model="tiny", max_length=64)
    for _ in range(2):  # the audit of the first is kept
        with pytest.raises(SeenError, match=str(HALVES)):
            run_search(
                spec,
                train,
                SearchConfig(),
                paths=paths,
                name=None,
                say=print,
                watch=lambda *_: [],
                foresee=seen,
            )
        (folder,) = (paths.tokenized_cache / "rows").glob("groups-*")
        shutil.rmtree(folder)


def test_the_default_name_follows_the_settings_and_survives_the_disk(tmp_path: Path) -> None:
    spec = DatasetSpec(name="2M")
    config = config_of(4)
    study = study_at(tmp_path / "s", config)
    assert study.config().default_name(spec) == config.default_name(spec)
    assert config.default_name(spec).startswith("2m-")
    assert config_of(9, time_budget=5).default_name(spec) == config.default_name(spec)
    changed = [
        config_of(4, reduction_factor=4),
        config.model_copy(update={"train": config.train.model_copy(update={"seed": 1})}),
        config.model_copy(update={"dataset": config.dataset.model_copy(update={"fingerprint": "1"})}),
    ]
    assert len({config.default_name(spec) for config in [config, *changed]}) == 4


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "a b", "x" * 65, "a\n"])
def test_a_study_cannot_escape_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="--study"):
        open_study(Paths.of(tmp_path), name)


def library(paths: Paths, *studies: tuple[str, str, int, bool, float | None]) -> None:
    for name, model, rows, builtin, value in studies:
        config = config_of(4)
        data = DataInfo(
            name=name, builtin=builtin, source="", revision=None, fingerprint=name, train_rows=rows
        )
        train = config.train.model_copy(update={"model": model})
        study = study_at(paths.studies / name, config.model_copy(update={"dataset": data, "train": train}))
        if value is not None:
            end(study, 0, value + 1)
            end(study, 1, value)


def test_the_best_is_of_the_same_model_the_larger_set_and_never_the_samples(tmp_path: Path) -> None:
    paths, real = Paths.of(tmp_path), DatasetSpec(name="2M", hub_id="x/y")
    library(
        paths,
        ("sample", "qwen", 10**9, True, 0.01),
        ("10k", "qwen", 8_000, False, 0.05),
        ("100k", "qwen", 80_000, False, 0.20),
        ("100k-b", "qwen", 80_000, False, 0.10),
        ("other", "llama", 10**8, False, 0.01),
        ("empty", "qwen", 10**8, False, None),
    )
    best = find_best(paths, "qwen", real)
    assert (best.study.name, best.trial.number, best.trial.value) == ("100k-b", 1, 0.10)
    assert "80000 training rows" in best.reason
    assert "0.1000" in best.reason
    assert find_best(paths, "qwen", DatasetSpec(name="sample")).study.name == "sample"
    assert find_best(paths, "qwen", real, study="10k").trial.number == 1
    assert find_best(paths, "qwen", real, study="10k", trial=0).trial.number == 0


def test_no_study_to_promote_says_what_is_there_and_how_to_make_one(tmp_path: Path) -> None:
    paths, real = Paths.of(tmp_path), DatasetSpec(name="2M", hub_id="x/y")
    with pytest.raises(InputError, match=r"none\nmake one: python search/tune.py"):
        find_best(paths, "qwen", real)
    library(paths, ("sample", "qwen", 10, True, 0.1), ("empty", "qwen", 10, False, None))
    with pytest.raises(InputError, match=r"sample: sample, qwen\nmake one"):
        find_best(paths, "qwen", real)
    with pytest.raises(InputError, match="there are: empty, sample"):
        find_best(paths, "qwen", real, study="gone")
    with pytest.raises(InputError, match="no complete trial yet"):
        find_best(paths, "qwen", real, study="empty")
    with pytest.raises(InputError, match="complete trials: 0, 1"):
        find_best(paths, "qwen", real, study="sample", trial=7)
    with pytest.raises(InputError, match="needs --study"):
        find_best(paths, "qwen", real, trial=7)


def test_a_study_that_hardly_began_and_one_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    """A search of more rows that was stopped at its first trial knows less than one that came through."""
    paths, real = Paths.of(tmp_path), DatasetSpec(name="2M", hub_id="x/y")
    library(paths, ("100k", "qwen", 80_000, False, 0.10), ("1m", "qwen", 800_000, False, 0.20))
    small, large = (Study(paths.studies / name) for name in ("100k", "1m"))
    small.adopt_config(small.config().model_copy(update={"search": config_of(2).search}))
    large.adopt_config(large.config().model_copy(update={"search": config_of(2).search}))
    assert find_best(paths, "qwen", real).study.name == "1m"
    large.adopt_config(large.config().model_copy(update={"search": config_of(20).search}))
    assert find_best(paths, "qwen", real).study.name == "100k"
    (paths.studies / "1m" / "trials.jsonl").write_text('{"of": "another version"}\n')
    assert find_best(paths, "qwen", real).study.name == "100k"
    with pytest.raises(InputError, match=r"trials.jsonl must be a record of this version"):
        find_best(paths, "qwen", real, study="1m")
