"""A promotion as a process of its own: killed and continued, on two ranks, refused where it must be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import write
from safetensors.torch import load_file

from search.choice import Choice
from search.config import SearchConfig
from search.promotion import resolve_promotion
from search.record import DataInfo, StudyConfig, record_of
from search.space import Point
from search.study import Study
from train_fn.config import DatasetSpec, TrainConfig, find_dataset
from train_fn.sample import COLUMNS, sample_rows
from train_fn.storage import PROJECT, Paths, read_json

TRAIN = TrainConfig(
    model="tiny",
    max_length=64,
    batch_size=8,
    epochs=2,
    evaluations=4,
    eval_before_rows=16,
    max_rows=64,
    checkpoint_minutes=0.001,
    micro_batch_tokens=256,
)
POINT = Point(learning_rate=1e-3, lora_rank=8, lora_alpha=16)


def study_in(output: Path, train: TrainConfig = TRAIN, dataset: str = "rows") -> Choice:
    """A study with one complete trial, on record."""
    study = Study(Paths.of(output).studies / "made")
    study.folder.mkdir(parents=True)
    data = DataInfo(name=dataset, builtin=False, source="-", revision=None, fingerprint="-", train_rows=64)
    config = StudyConfig(dataset=data, train=train, search=SearchConfig())
    study.adopt_config(config)
    last = {"progress": 100, "objective": 0.5, "status": "COMPLETE", "done": True}
    record = record_of(study.ask(0, POINT), [last])
    study.end(record)
    np.save(study.texts_file, np.zeros((0, 2), np.uint64))
    return Choice(study, config, record, "made for the test")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "rows"
    for name, count in (("train", 240), ("validation", 60), ("test", 60)):
        columns = zip(*sample_rows()[name][:count], strict=True)
        write(folder / f"{name}.parquet", dict(zip(COLUMNS, map(list, columns), strict=True)))
    return folder


def promote(rows: Path, output: Path, *more: str) -> "subprocess.Popen[str]":
    words = [sys.executable, str(PROJECT / "search" / "promote.py"), "--best", "--dataset", str(rows)]
    words += ["--model", "tiny", "--output", str(output), *more]
    environment = {**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        words,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    told, _ = process.communicate(timeout=200)
    assert process.returncode == code, told
    return told


def adapter(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "qwen3-tiny-rows" / "adapter" / "adapter_model.safetensors")


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
    assert "another command" in refused
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
