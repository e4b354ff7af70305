"""What the tests of the training ask of a run on the small model and set."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from train_fn.batching import collate
from train_fn.config import TrainConfig
from train_fn.job import Kind
from train_fn.loop import Quiet, make_learner, step_gradient
from train_fn.model import Base, Detector, attach, load_base
from train_fn.rows import training_data
from train_fn.state import TrainingData
from train_fn.tokenized import open_set
from train_fn.worker import Job, run

CPU = torch.device("cpu")
Tensors = dict[str, torch.Tensor]


def settings(model: Path, **changes: Any) -> TrainConfig:
    """8 steps of 48 rows in several micro-batches, an evaluation after every other one, with dropout."""
    values = {
        "model": str(model),
        "lora_rank": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "max_rows": 192,
        "epochs": 2,
        "batch_size": 48,
        "micro_batch_tokens": 1024,
        "learning_rate": 1e-2,
        "evaluations": 4,
        "eval_before_rows": 32,
    }
    return TrainConfig.model_validate({**values, **changes})


def make_job(folder: Path, model: Path, tokens: Path, *, kind: Kind = "trial", **changes: Any) -> Job:
    return Job(folder.name, folder, settings(model, **changes), str(model), tokens, None, kind)


class Caller:
    """The caller of a run: keeps the rows, and says stop at the micro-batches it is told to."""

    def __init__(self, stop_at: int | None = None, reason: str = "INTERRUPTED") -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked = 0
        self._stop_at, self._reason = stop_at, reason

    def stopped(self) -> str:
        self.asked += 1
        return self._reason if self.asked == self._stop_at else ""

    def run(self, job: Job) -> str:
        return run(job, self.rows.append, self.stopped).status


def without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in rows]


def adapter(folder: Path) -> Tensors:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def equal(one: Tensors, other: Tensors) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def distance(one: Tensors, other: Tensors) -> float:
    """The norm of the difference, relative to the norm."""
    assert one.keys() == other.keys()
    difference = sum((one[name] - other[name]).double().square().sum() for name in one)
    return float((difference / sum(tensor.double().square().sum() for tensor in one.values())).sqrt())


def bent(base: Base, config: TrainConfig) -> Detector:
    """A detector whose lora_B are not zero, so that every lora_A has a gradient too."""
    detector = attach(base, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in detector.trainable().items():
            if "lora_B" in name:
                parameter.normal_(0, 0.05, generator=generator)
    return detector


def gradient(detector: Detector, data: TrainingData, rows: Any, config: TrainConfig) -> Tensors:
    """The gradient of one step, over all ranks."""
    detector.zero_grad(set_to_none=True)
    detector.train()
    model = make_learner(detector, detector.trainable(), config).model
    step_gradient(model, data, np.asarray(rows), config, Quiet())
    return {name: p.grad.clone() for name, p in detector.trainable().items() if p.grad is not None}


def load(model: Path, **changes: Any) -> Base:
    return load_base(str(model), settings(model, **changes), CPU)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def in_process(target: Callable[..., None], *arguments: Any) -> int:
    """Run an importable function in a process that has run nothing before; returns its exit code."""
    process = get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def run_quietly(job: Job) -> None:
    torch.set_num_threads(1)
    assert run(job, lambda row: None, lambda: "").status == "COMPLETE"


def run_killed(job: Job, write: int) -> None:
    """Run, and die as by kill -9 in the middle of the `write`-th file of a checkpoint."""
    from train_fn import checkpoint

    torch.set_num_threads(1)
    whole, written = checkpoint.save_file, []

    def save_file(tensors: Tensors, path: Path) -> None:
        whole(tensors, path)
        written.append(path)
        if len(written) == write:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.save_file = save_file
    run(job, lambda row: None, lambda: "")


def training_of(tokens: Path, config: TrainConfig) -> TrainingData:
    return training_data(config, open_set(tokens))


def batch(data: TrainingData, rows: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    ids, last, _ = collate(data.train, np.arange(rows), data.pad_id, CPU)
    return ids, last


def logits(detector: Detector, data: TrainingData) -> torch.Tensor:
    """In evaluation."""
    detector.eval()
    with torch.no_grad():
        return detector(*batch(data))
