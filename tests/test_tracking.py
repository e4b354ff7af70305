"""Run: pytest tests/test_tracking.py

What W&B is told, read back from its offline files.
"""

import json
import time
from pathlib import Path

import pytest
from tracking_runs import CONFUSION, info
from wandb_files import OfflineRun, read_run, read_runs

from train_fn import tracking, wandb_run
from train_fn.tracking import NullTracker, close_all, open_tracker, submit, sync_hint


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A folder for offline runs of this process."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "logs" / "staging"))
    monkeypatch.setattr(tracking, "_said", set())
    monkeypatch.setattr(wandb_run, "_online_failed", False)
    yield tmp_path / "logs"
    close_all()


def record(folder: Path, number: int = 0, status: str = "COMPLETE", confusion=CONFUSION) -> OfflineRun:
    """One whole run of three rows, read back."""
    tracker = open_tracker(info(folder, number))
    for step in (0, 256, 512):
        tracker.log({"train_loss": 1 / (step + 1), "validation/log_loss": 0.5}, step)
    tracker.finish(status, {"seconds": 1.5, "class_weights": {"AI_Generated": 0.9}}, confusion)
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
    rows = [row for row in record(logs).history if "train_loss" in row]
    assert [(row["_step"], row["train_loss"]) for row in rows] == [(0, 1), (256, 1 / 257), (512, 1 / 513)]
    assert {row["validation/log_loss"] for row in rows} == {0.5}


def test_summary_holds_status_duration_weights_and_confusion_counts(logs):
    summary = record(logs).summary
    assert summary["status"] == "COMPLETE"
    assert summary["seconds"] == 1.5
    assert summary["class_weights"] == {"AI_Generated": 0.9}
    assert summary["confusion"] == {
        "AI_Generated": {"AI_Generated": 5, "Human_Written": 1},
        "Human_Written": {"AI_Generated": 2, "Human_Written": 7},
    }


def test_the_confusion_chart_is_made_of_the_counts_in_its_table(logs):
    run = record(logs)
    assert "wandb/confusion_matrix/v1" in str(run.config["_wandb.visualize.confusion_matrix"])
    (table,) = logs.rglob("media/table/confusion_matrix*.json")
    assert json.loads(table.read_text())["data"] == [
        ["AI_Generated", "AI_Generated", 5],
        ["AI_Generated", "Human_Written", 1],
        ["Human_Written", "AI_Generated", 2],
        ["Human_Written", "Human_Written", 7],
    ]


def test_a_run_without_confusion_has_no_chart(logs):
    run = record(logs, status="PRUNED", confusion=None)
    assert "confusion" not in str(run.summary) + str(run.config) + str(run.history)


@pytest.mark.parametrize(
    ("status", "exit_code"), [("COMPLETE", 0), ("PRUNED", 0), ("FAILED", 1), ("INTERRUPTED", 255)]
)
def test_a_run_ends_as_its_status(logs, status, exit_code):
    run = record(logs, status=status, confusion=None)
    assert (run.exit_code, run.summary["status"], run.tags[-1]) == (exit_code, status, status.lower())


def test_runs_of_one_process_do_not_mix(logs):
    for number, status in enumerate(("COMPLETE", "PRUNED", "FAILED")):
        tracker = open_tracker(info(logs, number))
        for step in range(number + 1):
            tracker.log({"loss": float(number)}, step)
        tracker.finish(status, {}, None)
    close_all()
    runs = read_runs(logs)
    assert [[row["loss"] for row in run.history] for run in runs] == [[0], [1, 1], [2, 2, 2]]
    assert [run.summary["status"] for run in runs] == ["COMPLETE", "PRUNED", "FAILED"]


def test_a_resumed_run_keeps_its_id(logs):
    record(logs, status="INTERRUPTED", confusion=None)
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
    tracker.finish("COMPLETE", {}, CONFUSION)
    own = time.perf_counter() - begin
    close_all()
    assert own < 0.1
    assert time.perf_counter() - begin < 2.0


def test_disabled_tracks_nothing(logs, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = open_tracker(info(logs))
    tracker.log({"loss": 1.0}, 0)
    tracker.finish("COMPLETE", {}, CONFUSION)
    assert isinstance(tracker, NullTracker)
    assert not logs.exists()


def test_an_error_of_tracking_is_said_once_and_fails_nothing(logs, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    for number in range(2):
        tracker = open_tracker(info(tmp_path / "file", number))  # no folder can be made there
        tracker.log({"loss": 1.0}, 0)
        tracker.finish("COMPLETE", {}, CONFUSION)
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
