"""A promotion as a process of its own: killed and continued, on two ranks, refused where it must be."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from faults import fault
from promotions import TRAIN, adapter, finish, promote, study_in, write_rows

from search.promotion import resolve_promotion
from train_fn.config import DatasetSpec, find_dataset
from train_fn.storage import read_json


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "rows")


def test_a_promotion_trains_the_winners_model_whatever_the_target_says(tmp_path: Path) -> None:
    choice = study_in(
        tmp_path / "output", TRAIN.model_copy(update={"model": "/models/real"}), dataset="sample"
    )
    config, _ = resolve_promotion(choice, find_dataset("sample"), {}, {})
    assert (config.model, config.batch_size, config.epochs) == ("/models/real", 8, 2)
    assert (config.learning_rate, config.lora_rank, config.lora_alpha) == (1e-3, 8, 16)
    assert config.max_rows is None
    other = DatasetSpec(name="other", train={"model": "/models/other", "max_length": 32})
    config, _ = resolve_promotion(choice, other, {"epochs": 3}, {"max_rows": 100})
    assert (config.model, config.max_length, config.epochs, config.max_rows) == ("/models/real", 32, 3, 100)


@pytest.mark.slow
@fault("driver of a promotion")
def test_a_promotion_killed_in_the_middle_ends_with_the_same_bits(rows: Path, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm" / "output", tmp_path / "killed" / "output"
    for output in (calm, killed):
        study_in(output)
    finish(promote(rows, calm))

    process = promote(rows, killed)
    run = killed / "qwen3-tiny-rows"
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/step-*[1-9]")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    refused = finish(promote(rows, killed), code=2)
    assert f"is being trained by process {process.pid}" in refused
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    told = finish(promote(rows, killed))
    assert "resumes at step" in told
    assert "bit for bit" in told
    assert "not bit for bit" not in told

    left, right = adapter(calm), adapter(killed)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert read_json(run / "metrics.json") == read_json(calm / run.name / "metrics.json")

    assert "finished already" in finish(promote(rows, killed))
    assert "other settings" in finish(promote(rows, killed, "--set", "epochs=1"), code=2)
    assert read_json(run / "metrics.json") == read_json(calm / run.name / "metrics.json")


@pytest.mark.slow
def test_two_ranks_train_what_one_trains_up_to_rounding(rows: Path, tmp_path: Path) -> None:
    single, double = tmp_path / "single" / "output", tmp_path / "double" / "output"
    settings = ("--set", "compute_dtype=float32", "--set", "lora_dropout=0", "--set", "epochs=0.5")
    for output in (single, double):
        study_in(output)
    finish(promote(rows, single, *settings))
    finish(promote(rows, double, *settings, "--workers", "2"))
    one, two = adapter(single), adapter(double)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-2, atol=1e-4)
    losses = [
        read_json(output / "qwen3-tiny-rows" / "metrics.json")["test"]["log_loss"]
        for output in (single, double)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
def test_more_workers_than_the_machine_has_are_refused(rows: Path, tmp_path: Path) -> None:
    study_in(tmp_path / "output")
    told = finish(promote(rows, tmp_path / "output", "--workers", "999"), code=2)
    assert "use fewer --workers" in told
    assert "Traceback" not in told
