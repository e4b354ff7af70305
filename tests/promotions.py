"""A promotion of a tiny detector as a process of its own, from a study that is made for it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from folders import write
from safetensors.torch import load_file

from search.choice import Choice
from search.config import SearchConfig
from search.record import DataInfo, StudyConfig, record_of
from search.space import Point
from search.study import Study
from train_fn.config import TrainConfig
from train_fn.sample import COLUMNS, sample_rows
from train_fn.storage import PROJECT, Paths

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


def study_in(
    output: Path,
    train: TrainConfig = TRAIN,
    dataset: str = "rows",
    *,
    name: str = "made",
    rows: int = 64,
    more: Mapping[float, float] | None = None,
) -> Choice:
    """A study with one complete trial, on record; `more` are the log losses of others by their learning rates."""
    study = Study(Paths.of(output).studies / name)
    study.folder.mkdir(parents=True)
    data = DataInfo(name=dataset, builtin=False, source="-", revision=None, fingerprint="-", train_rows=rows)
    config = StudyConfig(dataset=data, train=train, search=SearchConfig())
    study.adopt_config(config)
    for number, (rate, loss) in enumerate({POINT.learning_rate: 0.5, **(more or {})}.items()):
        last = {"progress": 100, "objective": loss, "status": "COMPLETE", "done": True}
        record = record_of(study.ask(number, POINT.model_copy(update={"learning_rate": rate})), [last])
        study.end(record)
    np.save(study.texts_file, np.zeros((0, 2), np.uint64))
    return Choice(study, config, record, "made for the test")


def write_rows(folder: Path) -> Path:
    """240 rows of the sample to train on, 60 to validate and 60 to test."""
    for name, count in (("train", 240), ("validation", 60), ("test", 60)):
        columns = zip(*sample_rows()[name][:count], strict=True)
        write(folder / f"{name}.parquet", dict(zip(COLUMNS, map(list, columns), strict=True)))
    return folder


def promote(rows: Path, output: Path, *more: str, wandb: str = "disabled") -> "subprocess.Popen[str]":
    words = [sys.executable, str(PROJECT / "search" / "promote.py"), "--best", "--dataset", str(rows)]
    words += ["--model", "tiny", "--output", str(output), *more]
    environment = {**os.environ, "WANDB_MODE": wandb, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        words,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    told, _ = process.communicate(timeout=900)
    assert process.returncode == code, told
    return told


def adapter(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "qwen3-tiny-rows" / "adapter" / "adapter_model.safetensors")
