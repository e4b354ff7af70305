"""Run: pytest tests/test_tracking.py

What W&B is told, read back from its offline files.
"""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tracking_runs import CHARTS, info, offline
from wandb_files import OfflineRun, read_run, read_runs

from train_fn.tracking import Files, NullTracker, close_all, open_tracker, submit, sync_hint


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A folder for offline runs of this process."""
    offline(monkeypatch, tmp_path / "logs")
    yield tmp_path / "logs"
    close_all()


def record(folder: Path, number: int = 0, status: str = "COMPLETE") -> OfflineRun:
    """One whole run of three rows and a table, read back."""
    tracker = open_tracker(info(folder, number))
    for step in (0, 256, 512):
        tracker.log({"train/loss": 1 / (step + 1), "validation/log_loss": 0.5, "samples": 2 * step}, step)
    tracker.log(CHARTS, 513)
    tracker.finish(status, {"seconds": 1.5, "class_weights": {"AI_Generated": 0.9}})
    close_all()
    return next(run for run in read_runs(folder) if run.id == f"study-{number}")


def test_a_run_is_named_and_placed_as_told(logs):
    run = record(logs)
    assert (run.id, run.name, run.group, run.job_type) == ("study-0", "trial 0", "study", "trial")
    assert run.project == "A Project"
    assert run.tags == ("10k", "search", "complete")
    assert {name: run.config[name] for name in ("learning_rate", "lora_rank")} == {
        "learning_rate": 1e-3,
        "lora_rank": 16,
    }


def test_history_holds_every_row_at_its_step(logs):
    rows = [row for row in record(logs).history if "train/loss" in row]
    assert [(row["_step"], row["train/loss"]) for row in rows] == [(0, 1), (256, 1 / 257), (512, 1 / 513)]
    assert {row["validation/log_loss"] for row in rows} == {0.5}


def test_curves_are_drawn_over_samples_and_the_lowest_log_loss_stays(logs):
    run = record(logs)
    over = {name: run.metrics[name].step_metric for name in ("train/*", "validation/*", "before/*")}
    assert set(over.values()) == {"samples"}
    assert run.metrics["validation/log_loss"].summary.min
    assert run.summary["validation/log_loss"] == {"min": 0.5}


def test_summary_holds_status_and_what_else_is_told(logs):
    summary = record(logs).summary
    assert summary["status"] == "COMPLETE"
    assert summary["seconds"] == 1.5
    assert summary["class_weights"] == {"AI_Generated": 0.9}


def test_a_table_is_kept_with_its_rows(logs):
    assert record(logs).table("called") == [{"text": "one", "score": 0.5}, {"text": "two", "score": None}]


def test_files_are_kept_as_they_were_when_they_were_told_of(logs, tmp_path):
    (tmp_path / "weights").write_text("1")
    files = Files("some", "checkpoint", {"in/it": tmp_path / "weights"}, {"step": 3}, ("step-3",))
    tracker = open_tracker(info(logs))
    tracker.used(replace(files, name="other", type="dataset"))
    tracker.made(files)
    (tmp_path / "weights").unlink()  # as a run does with its checkpoints
    tracker.finish("COMPLETE", {})
    close_all()
    (run,) = read_runs(logs)
    (used,), (made,) = run.used("dataset"), run.made("checkpoint")
    assert (used.name, made.name, made.metadata) == ("other", "some", {"step": 3})
    assert sorted(made.aliases) == ["latest", "step-3"]  # W&B keeps them in no order
    assert made.files["in/it"].read_text() == "1"
    assert logs in made.files["in/it"].parents


@pytest.mark.parametrize(
    ("status", "exit_code"), [("COMPLETE", 0), ("PRUNED", 0), ("FAILED", 1), ("INTERRUPTED", 255)]
)
def test_a_run_ends_as_its_status(logs, status, exit_code):
    run = record(logs, status=status)
    assert (run.exit_code, run.summary["status"], run.tags[-1]) == (exit_code, status, status.lower())


def test_runs_of_one_process_do_not_mix(logs):
    for number, status in enumerate(("COMPLETE", "PRUNED", "FAILED")):
        tracker = open_tracker(info(logs, number))
        for step in range(number + 1):
            tracker.log({"loss": float(number)}, step)
        tracker.finish(status, {})
    close_all()
    runs = read_runs(logs)
    assert [[row["loss"] for row in run.history] for run in runs] == [[0], [1, 1], [2, 2, 2]]
    assert [run.summary["status"] for run in runs] == ["COMPLETE", "PRUNED", "FAILED"]


def test_a_resumed_run_keeps_its_id(logs):
    record(logs, status="INTERRUPTED")
    time.sleep(1.1)  # W&B names its folders by the second
    record(logs)
    files = sorted(logs.rglob("run-*.wandb"))
    assert [read_run(file).id for file in files] == ["study-0", "study-0"]
    assert [read_run(file).summary["status"] for file in files] == ["INTERRUPTED", "COMPLETE"]


def test_a_warm_run_costs_the_trial_milliseconds(logs):
    record(logs, 0)  # starts W&B's service
    begin = time.perf_counter()
    tracker = open_tracker(info(logs, 1))
    tracker.log({"loss": 1.0}, 0)
    tracker.log(CHARTS, 1)
    tracker.finish("COMPLETE", {})
    own = time.perf_counter() - begin
    close_all()
    assert own < 0.1
    assert time.perf_counter() - begin < 2.0


def test_disabled_tracks_nothing(logs, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = open_tracker(info(logs))
    tracker.log({"loss": 1.0}, 0)
    tracker.finish("COMPLETE", {})
    assert isinstance(tracker, NullTracker)
    assert not logs.exists()


def test_an_error_of_tracking_is_said_once_and_fails_nothing(logs, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    for number in range(2):
        tracker = open_tracker(info(tmp_path / "file", number))  # no folder can be made there
        tracker.log({"loss": 1.0}, 0)
        tracker.finish("COMPLETE", {})
    close_all()
    assert len(caplog.records) == 1
    assert "record on disk is complete" in caplog.text
    assert record(logs).summary["status"] == "COMPLETE"  # and the next run is tracked again


def test_calls_are_done_in_order_and_after_a_close(logs):
    done = []
    for number in range(50):
        submit(lambda number=number: done.append(number))
    close_all()
    submit(lambda: done.append(50))
    close_all()
    assert done == list(range(51))


def test_the_sync_command_names_every_folder_with_runs_left_to_upload(logs):
    assert sync_hint(logs) is None
    record(logs / "with space", 0)
    record(logs / "b", 1)
    assert (
        sync_hint(logs) == f"wandb sync {logs}/b/wandb/offline-run-* '{logs}/with space/wandb'/offline-run-*"
    )
    for file in logs.rglob("run-*.wandb"):
        file.with_suffix(".wandb.synced").touch()  # as `wandb sync` does
    assert sync_hint(logs) is None
