"""What W&B holds of a trial, read back: every item that people look for, and never more rows than a plot shows."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import auc
from tracking_runs import child, info, offline
from training import Caller
from wandb_files import OfflineRun, read_run, read_runs

from train_fn import wandb_run
from train_fn.metrics import CURVE_POINTS, compute
from train_fn.state import TrainState
from train_fn.tracking import close_all
from train_fn.tracking_charts import judged_charts
from train_fn.tracking_run import TRAIN_ROWS, TrackedRun

LONG = 100_000
EVALUATIONS = 100
CURVE = {"log_loss", "balanced_accuracy", "auroc", "ece"}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> OfflineRun:
    """A tiny trial of a search."""
    from training import make_job

    place = tmp_path_factory.mktemp("trial")
    with pytest.MonkeyPatch.context() as patch:
        offline(patch, place / "logs")
        patch.setattr(wandb_run, "STATS_SECONDS", 0.1)  # a trial of an hour needs no more than one in 30 s
        job = make_job(place / "run", small_model, tokens)
        told = replace(info(place / "logs"), config=job.train.model_dump(mode="json"))
        assert Caller().run(replace(job, tracking=told)) == "COMPLETE"
        close_all()
    (run,) = read_runs(place / "logs")
    return run


def test_a_trial_has_its_curves(trial: OfflineRun) -> None:
    rows = [row for row in trial.history if "validation/log_loss" in row]
    assert len(rows) == 4
    assert all({f"validation/{name}" for name in CURVE} <= set(row) for row in rows)
    steps = [row for row in trial.history if "train/loss" in row]
    assert len(steps) == 8
    assert all(
        {"train/learning_rate", "train/grad_norm", "train/samples_per_second"} <= set(s) for s in steps
    )
    assert {f"before/{name}" for name in CURVE} <= set(trial.history[0])


def test_a_trial_has_its_parameters_class_weights_and_system_metrics(trial: OfflineRun) -> None:
    assert {name: trial.config[name] for name in ("learning_rate", "lora_rank", "lora_alpha", "seed")} == {
        "learning_rate": 1e-2,
        "lora_rank": 4,
        "lora_alpha": 8,
        "seed": 42,
    }
    weights = {trial.summary[f"class_weight_{name}"] for name in ("AI_Generated", "Human_Written")}
    assert min(weights) < 1 < max(weights)
    assert any(key.startswith("proc.memory") for row in trial.system for key in row)
    assert trial.summary["device"] == "cpu"


def test_a_trial_has_its_confusion_matrix_and_both_curves(trial: OfflineRun) -> None:
    counts = {
        (row["Actual"], row["Predicted"]): row["nPredictions"] for row in trial.table("confusion_matrix")
    }
    assert counts == {
        (actual, predicted): count
        for actual, row in trial.summary["confusion"].items()
        for predicted, count in row.items()
    }
    assert sum(counts.values()) == trial.summary["rows"]
    presets = [trial.preset(name) for name in ("confusion_matrix", "roc", "pr")]
    assert presets == ["wandb/confusion_matrix/v1", "wandb/area-under-curve/v0", "wandb/area-under-curve/v0"]
    roc, pr = trial.table("roc"), trial.table("pr")
    area = auc([row["fpr"] for row in roc], [row["tpr"] for row in roc])
    assert area == pytest.approx(trial.summary["auroc"])
    assert pr[-1]["recall"] == 1
    ai = sum(count for (actual, _), count in counts.items() if actual == "AI_Generated")
    assert pr[-1]["precision"] == pytest.approx(ai / sum(counts.values()))


def test_a_curve_of_many_texts_is_thinned_and_keeps_its_area() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    margin = rng.normal(size=20_000) - 1.5 * labels
    metrics = compute(np.stack([margin, 0 * margin], axis=1), labels)
    assert len(metrics.roc) == CURVE_POINTS
    roc = judged_charts(metrics, "validation")["roc"].rows
    area = auc([false for _, false, _ in roc], [true for _, _, true in roc])
    assert area == pytest.approx(metrics.auroc, abs=1e-3)
    assert set(judged_charts(compute(np.zeros((3, 2)), np.zeros(3)), "one class")) == {"confusion_matrix"}


def simulate(run: TrackedRun, total: int, kill: Callable[[int], None] = lambda step: None) -> None:
    """All that a run of `total` steps with the most evaluations tells."""
    metrics = compute(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 1]))
    state = TrainState()
    run.begun({"class_weight_AI_Generated": 1.0})
    run.judged_before(metrics)
    values = {"train_loss": 0.0, "learning_rate": 1e-4, "grad_norm": 1.0, "samples_per_second": 2e3}
    for step in range(1, total + 1):
        state.step = step
        state.losses.append(float(step))
        run.stepped(state, total, 256 * step, {**values, "train_loss": float(step)})
        if step % (total // EVALUATIONS) == 0:
            about = {"step": step, "samples": 256 * step, "progress": 100 * step // total, "seconds": 1.0}
            run.evaluated({**about, **metrics.scalars(), "device": "cpu"})
            state.losses.clear()
        kill(step)
    run.complete(total, {}, metrics)


def test_a_run_of_100k_steps_writes_at_most_1102_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch, tmp_path)
    simulate(TrackedRun(info(tmp_path)), LONG)
    close_all()
    (file,) = tmp_path.rglob("run-*.wandb")
    run = read_run(file)
    assert 1000 <= len(run.history) <= TRAIN_ROWS + EVALUATIONS + 2
    assert file.stat().st_size < 3_000_000
    losses = [(row["_step"], row["train/loss"]) for row in run.history if "train/loss" in row]
    assert losses[:2] == [(100, 50.5), (200, 150.5)]  # the mean of the steps between two rows
    assert [row["samples"] for row in run.history[:-1]] == [256 * row["_step"] for row in run.history[:-1]]


def test_what_a_killed_run_had_told_can_be_read(tmp_path: Path) -> None:
    script = (
        "from test_tracking_run import *\n"
        "def kill(step):\n"
        "    if step == 700:\n"
        "        print(step, flush=True)\n"
        "        time.sleep(600)\n"
        "simulate(TrackedRun(info(folder)), 1000, kill)\n"
    )
    process = child(script, tmp_path, WANDB_MODE="offline")
    assert process.stdout
    assert process.stdout.readline() == "700\n"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(len(run.history) >= 700 for run in read_runs(tmp_path)):
        time.sleep(0.2)
    process.kill()
    process.communicate()
    (run,) = read_runs(tmp_path)
    assert [row["_step"] for row in run.history] == list(range(700))  # that of 700 is not whole yet
    assert run.history[0]["class_weight_AI_Generated"] == 1.0
    assert "validation/log_loss" in run.history[-10]
    assert (run.config["learning_rate"], run.exit_code) == (1e-3, None)
