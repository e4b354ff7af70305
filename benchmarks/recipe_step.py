"""The product's training step and the usual recipe's on the same rows, each in its own loop."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from qwen3 import FULL, random_data, random_lengths, train_config
from step_check import SEED
from step_profile import StepProfile
from usual_recipe import ACCUMULATION, BATCH, quantized_lora, train_usual

from train_fn import loop
from train_fn.batching import Rows, Steps, micro_batches, padded
from train_fn.config import SDPA, TrainConfig
from train_fn.loop import Quiet
from train_fn.memory import keep_freed_memory
from train_fn.model import attach, compute_dtype, load_base
from train_fn.state import TrainingData, TrainState
from train_fn.workload import batch_tokens

STEP_ROWS = BATCH * ACCUMULATION
WARM_UP = 1  # steps: allocator, library handles, and the first fused optimiser step
PROFILED = 1  # steps after the timed ones


class DoneError(Exception):
    """The last step was taken."""


@dataclass
class Clock(Quiet):
    """Reads the time after each step, when the device has nothing left to do; the last of `steps` is profiled."""

    device: torch.device
    steps: int
    times: list[float] = field(default_factory=list)
    costs: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._profile = StepProfile(self.device)

    def stepped(self, *about: Any) -> None:
        """A step was taken. Raises DoneError after the last, so that no evaluation follows."""
        if len(self.times) == self.steps - PROFILED:
            self.costs = self._profile.end()
            raise DoneError
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.times.append(time.perf_counter())
        if len(self.times) == self.steps - PROFILED:
            self._profile.start()


@dataclass(frozen=True)
class Task:
    """What every side trains: whole steps of random rows with the lengths of RAID's texts."""

    folder: str
    data: TrainingData
    device: torch.device
    steps: int

    @classmethod
    def of(cls, folder: str, max_length: int, device: str, steps: int) -> "Task":
        """Rows for `steps` timed steps and those beside them; the share of texts cut at `max_length` is RAID's."""
        from transformers import AutoConfig

        mean = FULL.mean_length * max_length / FULL.max_length
        steps += WARM_UP + PROFILED
        lengths = random_lengths(STEP_ROWS * steps, mean, max_length, SEED)
        data = random_data(lengths, AutoConfig.from_pretrained(folder).vocab_size, SEED)
        return cls(folder, data, torch.device(device), steps)

    def config(self, **overrides: Any) -> TrainConfig:
        """One epoch of the default configuration but for `overrides`, evaluated after the last step only."""
        longest = int(self.data.train.lengths.max())
        config = train_config(batch_size=STEP_ROWS, epochs=1, evaluations=1, max_length=longest, **overrides)
        return config.on_device(self.device.type)

    def plan(self, config: TrainConfig) -> list[Rows]:
        """The rows of each step, as the product draws them."""
        plan = Steps(self.data.train_rows, STEP_ROWS, config.epochs, config.seed)
        return [plan[step] for step in range(plan.total)]


def product(task: Task, sort: bool = True, **overrides: Any) -> dict[str, Any]:
    """The product's loop. Without `sort`, micro-batches are cut from rows in random order."""
    config, clock = task.config(**overrides), Clock(task.device, task.steps)
    torch.backends.cuda.matmul.allow_tf32 = True
    if task.device.type == "cpu":
        keep_freed_memory()  # as a run does
    base = load_base(task.folder, config, task.device)
    config = base.resolve(config)
    detector = attach(base, config)
    learner = loop.make_learner(detector, detector.trainable(), config)
    cut = micro_batches if sort else unsorted_batches
    with patch.object(loop, "micro_batches", cut), suppress(DoneError):
        loop.train(learner, task.data, config, clock, TrainState())
    lengths = task.data.train.lengths
    batches = [
        batch
        for step in task.plan(config)
        for batch in cut(step, lengths[step], config.token_budget, packed=config.packed)
    ]
    return _figures(task, config, clock, batches, learner.parameters.values())


def usual(task: Task, checkpointing: bool = True) -> dict[str, Any]:
    """The usual recipe's loop on the rows of the same steps."""
    config, clock = task.config(), Clock(task.device, task.steps)
    rows = np.concatenate(task.plan(config))
    model = quantized_lora(task.folder, config, task.device, task.data.pad_id, checkpointing)
    with suppress(DoneError):
        train_usual(model, task.data.train, rows, task.data.weights, config, clock.stepped)
    batches = np.split(rows, len(rows) // BATCH)
    found = _figures(task, config, clock, batches, (p for p in model.parameters() if p.requires_grad))
    return found | {"attention": model.config._attn_implementation}


SIDES: dict[str, Callable[[Task], dict[str, Any]]] = {
    "ours": product,
    "ours-never-expanded": partial(product, expand_base="never"),
    "ours-unsorted": partial(product, sort=False, attention=SDPA),
    "recipe": usual,
    "recipe-no-checkpointing": partial(usual, checkpointing=False),
}


def unsorted_batches(rows: Rows, lengths: NDArray[np.int64], budget: int, **_: bool) -> list[Rows]:
    """As padded `micro_batches`, blind to length: rows in random order, as many as fit were each the longest."""
    size = max(1, budget // padded(int(lengths.max())))
    mixed = np.random.default_rng(SEED).permutation(rows)
    return np.split(mixed, range(size, len(mixed), size))


def _figures(
    task: Task, config: TrainConfig, clock: Clock, batches: list[Rows], trained: Iterable[Any]
) -> dict[str, Any]:
    """Real tokens a second over the timed steps, and what decided it."""
    lengths = task.data.train.lengths
    timed = task.plan(config)[WARM_UP:-PROFILED]
    tokens = sum(int(lengths[step].sum()) for step in timed)
    seconds = np.diff(clock.times)[WARM_UP - 1 :]
    positions = sum(batch_tokens(task.data.train, batch, config) for batch in batches)
    dtype = compute_dtype(config.compute_dtype, task.device)
    cuda = task.device.type == "cuda"
    return {
        "tokens_per_second": tokens / float(seconds.sum()),
        "step_seconds": seconds.round(4).tolist(),
        "tokens": tokens,
        "compute_dtype": str(dtype).removeprefix("torch."),
        "attention": config.attention,
        "micro_batches": len(batches) / task.steps,
        "real_share": float(lengths.sum()) / positions,
        "trained_parameters": sum(parameter.numel() for parameter in trained),
        "threads": torch.get_num_threads(),
        "costs": clock.costs,
        "peak_device_bytes": torch.cuda.max_memory_allocated(task.device) if cuda else None,
    }
