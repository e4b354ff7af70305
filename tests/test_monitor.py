"""What a run tells W&B, through a tracker that keeps what it is given."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training import Caller

from train_fn.storage import read_json
from train_fn.tracking import Files, RunInfo
from train_fn.worker import Job

Maker = Callable[..., Job]


class Told:
    """A Tracker."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.files: list[tuple[Files, set[str]]] = []
        self.ends: list[tuple[str, dict[str, Any]]] = []

    def log(self, values: dict[str, Any], step: int) -> None:
        self.rows.append((step, values))

    def used(self, files: Files) -> None:
        raise AssertionError("a training run is made from no files")

    def made(self, files: Files) -> None:
        self.files.append((files, {name for name, path in files.paths.items() if path.is_file()}))

    def finish(self, status: str, summary: dict[str, Any]) -> None:
        self.ends.append((status, summary))

    def steps(self, kind: str) -> list[int]:
        return [step for step, values in self.rows if any(key.startswith(kind) for key in values)]


def evaluations(told: Told) -> list[tuple[int, dict[str, Any]]]:
    """The rows of evaluations without what the training put into them."""
    return [
        (step, {key: value for key, value in values.items() if not key.startswith("train/")})
        for step, values in told.rows
        if "validation/log_loss" in values
    ]


@pytest.fixture
def tracked(
    new_job: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Job, Told]]:
    def make(*, keeps_weights: bool = False, **changes: Any) -> tuple[Job, Told]:
        told = Told()
        monkeypatch.setattr("train_fn.tracking_run.open_tracker", lambda info: told)
        info = RunInfo("run", "run", "study", "trial", "project", {}, (), tmp_path / "logs", keeps_weights)
        return replace(new_job(**changes), tracking=info), told

    return make


def test_a_run_is_tracked_over_time_and_to_its_end(tracked: Callable[..., tuple[Job, Told]]) -> None:
    job, told = tracked()
    assert Caller().run(job) == "COMPLETE"
    assert (told.steps("before/"), told.steps("validation/")) == ([0], [2, 4, 6, 8])
    assert told.steps("train/") == list(range(1, 9))
    assert [step for step, _ in told.rows] == list(range(10))  # the last are the charts
    numbers = [value for _, values in told.rows[:-1] for value in values.values()]
    assert {type(value) for value in numbers} == {int, float}
    assert set(told.rows[-1][1]) == {"confusion_matrix", "roc", "pr"}
    assert told.files == []
    [(status, summary)] = told.ends
    metrics = read_json(job.folder / "metrics.json")["after"]
    assert (status, summary["objective"]) == ("COMPLETE", metrics["log_loss"])
    assert [list(row.values()) for row in summary["confusion"].values()] == metrics["confusion_matrix"]
    assert {"class_weight_AI_Generated", "train_rows_Human_Written", "seconds", "dtype"} <= set(summary)


def test_rows_lie_over_the_samples_that_were_trained_on(tracked: Callable[..., tuple[Job, Told]]) -> None:
    """192 rows in steps of 48; at the end of an epoch a step may be smaller, so steps alone would not tell."""
    job, told = tracked()
    assert Caller().run(job) == "COMPLETE"
    assert [values["samples"] for _, values in told.rows[:-1]] == [48 * step for step in range(9)]


def test_the_class_weights_are_told_at_the_start_for_a_run_may_be_killed(
    tracked: Callable[..., tuple[Job, Told]],
) -> None:
    job, told = tracked()
    assert Caller(stop_at=12).run(job) == "STOPPED"
    step, values = told.rows[0]
    assert step == 0
    assert {"class_weight_AI_Generated", "class_weight_Human_Written", "before/log_loss"} <= set(values)


def test_the_weights_of_each_evaluation_are_kept_where_that_is_wanted(
    tracked: Callable[..., tuple[Job, Told]],
) -> None:
    job, told = tracked(keeps_weights=True)
    assert Caller().run(job) == "COMPLETE"
    assert {files.name for files, _ in told.files} == {"run-weights"}
    assert [files.metadata["step"] for files, _ in told.files] == [2, 4, 6, 8]
    assert all(there == {"weights.safetensors", "position.json"} for _, there in told.files)
    losses = [files.metadata["validation_log_loss"] for files, _ in told.files]
    best = [min(losses[: at + 1]) == loss for at, loss in enumerate(losses)]
    assert ["best" in files.aliases for files, _ in told.files] == best


def test_a_resumed_run_is_tracked_from_its_beginning(tracked: Callable[..., tuple[Job, Told]]) -> None:
    """The first attempt's own records may be lost with its process."""
    job, first = tracked()
    assert Caller(stop_at=12).run(job) == "STOPPED"
    _, second = tracked()
    assert Caller().run(job) == "COMPLETE"
    assert first.ends[0][0] == "INTERRUPTED"
    assert (second.steps("before/"), second.steps("validation/")) == ([0], [2, 4, 6, 8])
    seen = evaluations(first)
    assert seen
    assert evaluations(second)[: len(seen)] == seen


def test_stopped_and_failed_runs_end_as_such(tracked: Callable[..., tuple[Job, Told]]) -> None:
    job, told = tracked()
    assert Caller(stop_at=1, reason="PRUNED").run(job) == "STOPPED"
    assert told.ends == [("PRUNED", {"cause": ""})]
    job, told = tracked()
    assert Caller().run(replace(job, model="/nowhere")) == "FAILED"
    [(status, summary)] = told.ends
    assert (status, summary["cause"].startswith("InputError")) == ("FAILED", True)
