"""Real tokens a second of whole optimiser steps on a device, and the peak memory they take."""

import functools
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from qwen3 import Workload, linear_weights, random_data, random_lengths, train_config
from step_check import SEED
from step_profile import costs
from torch import nn

from train_fn.batching import Rows, micro_batches
from train_fn.config import TrainConfig
from train_fn.loop import Learner, Quiet, make_learner, step_gradient
from train_fn.model import attach, load_base
from train_fn.state import TrainingData
from train_fn.workload import batch_tokens

SETTINGS = (("always", "sdpa"), ("never", "sdpa"), ("always", "varlen"))
WARM_UP = 2  # steps: allocator, library handles, and the first fused optimiser step
CEILING_SIZE = {"cuda": 8192, "cpu": 1024}  # of a square bf16 product that fills the device


def measure(folder: str, workload: Workload, device: torch.device, kinds: Collection[str]) -> dict[str, Any]:
    """Time steps with these kinds of attention as a run takes them: dropout on, tf32 for what is fp32."""
    torch.backends.cuda.matmul.allow_tf32 = True
    count = workload.batch_size * (WARM_UP + workload.steps)
    lengths = random_lengths(count, workload.mean_length, workload.max_length, SEED)
    data = random_data(lengths, workload.shape["vocab_size"], SEED)
    ceiling, flops = _ceiling(device), 4 * linear_weights(workload.shape)
    rows = []
    settings = [setting for setting in SETTINGS if setting[-1] in kinds]
    for (expand, attention), budget in itertools.product(settings, workload.budgets):
        config = train_config(
            expand_base=expand,
            attention=attention,
            micro_batch_tokens=budget,
            batch_size=workload.batch_size,
            max_length=workload.max_length,
        )
        row = _speed(folder, config, data, device)
        if "tokens_per_second" in row:
            row["product_share"] = row["tokens_per_second"] * flops / ceiling
        rows.append(row)
        gc.collect()
        torch.cuda.empty_cache()
    return {
        "batch_size": workload.batch_size,
        "mean_tokens": float(lengths.mean()),
        "cut_share": float((lengths == workload.max_length).mean()),
        "product_flops_per_second": ceiling,  # of a large bf16 product, measured
        "flops_per_token": flops,  # of the projections: forward, and backward without their own gradients
        "speed": [{key: value for key, value in row.items() if key != "costs"} for row in rows],
        "profiles": _extremes(rows),
    }


def _extremes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the slowest and the fastest step spend their time on."""
    timed = sorted((row for row in rows if "costs" in row), key=lambda row: row["tokens_per_second"])
    kept = ("expand_base", "attention", "micro_batch_tokens", "tokens_per_second", "costs")
    return [{key: row[key] for key in kept} for row in (timed[0], timed[-1])]


def _speed(folder: str, config: TrainConfig, data: TrainingData, device: torch.device) -> dict[str, Any]:
    """Medians over the timed steps; an error in their place where the memory does not suffice."""
    base = load_base(folder, config, device)
    row: dict[str, Any] = {
        "expand_base": config.expand_base,
        "micro_batch_tokens": config.micro_batch_tokens,
        "compute_dtype": str(base.dtype).removeprefix("torch."),
        "attention": base.attention,
    }
    detector = attach(base, config)
    detector.train()
    learner = make_learner(detector, detector.trainable(), config)
    try:
        return row | _medians(learner, config, data, device)
    except torch.OutOfMemoryError:
        return row | {"error": "out of memory"}


def _medians(
    learner: Learner, config: TrainConfig, data: TrainingData, device: torch.device
) -> dict[str, Any]:
    steps = np.split(data.train_rows, len(data.train_rows) // config.batch_size)
    for step in steps[:WARM_UP]:
        _step(learner, data, step, config)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    rates = [
        float(data.train.lengths[step].sum())
        / _timed(device, functools.partial(_step, learner, data, step, config))
        for step in steps[WARM_UP:]
    ]
    return {
        "costs": costs(functools.partial(_step, learner, data, steps[-1], config), device),
        "tokens_per_second": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "real_share": _real_share(data, steps, config),
        "peak_memory_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    }


def _step(learner: Learner, data: TrainingData, rows: Rows, config: TrainConfig) -> None:
    learner.optimizer.zero_grad(set_to_none=True)
    share = step_gradient(learner.model, data, rows, config, Quiet())
    norm = nn.utils.clip_grad_norm_(learner.parameters.values(), config.max_grad_norm)
    torch.stack([share, norm]).tolist()  # as the loop does to see a NaN: a wait for the device
    learner.optimizer.step()


def _timed(device: torch.device, work: Callable[[], Any]) -> float:
    """Seconds of `work`. The clock is read when the device has nothing left to do."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _real_share(data: TrainingData, steps: list[Rows], config: TrainConfig) -> float:
    """The share of the processed positions that is not padding."""
    lengths = data.train.lengths
    processed = sum(
        batch_tokens(data.train, batch, config)
        for step in steps
        for batch in micro_batches(step, lengths[step], config.token_budget, packed=config.packed)
    )
    return float(lengths.sum()) / processed


def _ceiling(device: torch.device) -> float:
    """FLOP/s of a large bf16 product of random matrices: what this device's multipliers give."""
    size = CEILING_SIZE[device.type]
    left, right = (torch.randn(size, size, device=device).to(torch.bfloat16) for _ in range(2))
    seconds = [_timed(device, lambda: left @ right) for _ in range(10)]
    return 2 * size**3 / statistics.median(seconds[3:])
