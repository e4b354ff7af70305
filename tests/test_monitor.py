"""What a run tells W&B, through a tracker that keeps what it is given."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training import Caller

from train_fn.storage import read_json
from train_fn.tracking import RunInfo
from train_fn.worker import Job

Maker = Callable[..., Job]


class Told:
    """A Tracker."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.ends: list[tuple[str, dict[str, Any], Any]] = []

    def log(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, values))

    def finish(self, status: str, summary: dict[str, Any], confusion: Any) -> None:
        self.ends.append((status, summary, confusion))

    def steps(self, kind: str) -> list[int]:
        return [step for step, values in self.rows if any(key.startswith(kind) for key in values)]


@pytest.fixture
def tracked(
    new_job: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Job, Told]]:
    def make(**changes: Any) -> tuple[Job, Told]:
        told = Told()
        monkeypatch.setattr("train_fn.monitor.open_tracker", lambda info: told)
        info = RunInfo("run", "run", "study", "trial", "project", {}, (), tmp_path / "logs")
        return replace(new_job(**changes), tracking=info), told

    return make


def test_a_run_is_tracked_over_time_and_to_its_end(tracked: Callable[..., tuple[Job, Told]]) -> None:
    job, told = tracked()
    assert Caller().run(job) == "COMPLETE"
    assert (told.steps("before/"), told.steps("validation/")) == ([0], [2, 4, 6, 8])
    assert told.steps("train/")
    assert [step for step, _ in told.rows] == sorted(step for step, _ in told.rows)
    assert all(type(value) in (int, float) for _, values in told.rows for value in values.values())
    [(status, summary, confusion)] = told.ends
    metrics = read_json(job.folder / "metrics.json")["after"]
    assert (status, summary["objective"]) == ("COMPLETE", metrics["log_loss"])
    assert [list(row) for row in confusion] == metrics["confusion_matrix"]
    assert {"class_weight_AI_Generated", "train_rows_Human_Written", "seconds", "dtype"} <= set(summary)


def test_a_resumed_run_is_tracked_from_its_beginning(tracked: Callable[..., tuple[Job, Told]]) -> None:
    """The first attempt's own records may be lost with its process."""
    job, first = tracked()
    assert Caller(stop_at=12).run(job) == "STOPPED"
    _, second = tracked()
    assert Caller().run(job) == "COMPLETE"
    assert first.ends[0][0] == "INTERRUPTED"
    assert (second.steps("before/"), second.steps("validation/")) == ([0], [2, 4, 6, 8])
    seen = [row for row in first.rows if "validation/log_loss" in row[1]]
    assert seen
    assert [row for row in second.rows if "validation/log_loss" in row[1]][: len(seen)] == seen


def test_stopped_and_failed_runs_end_as_such(tracked: Callable[..., tuple[Job, Told]]) -> None:
    job, told = tracked()
    assert Caller(stop_at=1, reason="PRUNED").run(job) == "STOPPED"
    assert told.ends == [("PRUNED", {"cause": ""}, None)]
    job, told = tracked()
    assert Caller().run(replace(job, model="/nowhere")) == "FAILED"
    [(status, summary, _)] = told.ends
    assert (status, summary["cause"].startswith("InputError")) == ("FAILED", True)
