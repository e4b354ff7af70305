"""The training loop: plain PyTorch over its collaborators. It knows no Ray, no W&B, no argv."""

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from train_fn.batching import Rows, Steps, collate, micro_batches, rank_share
from train_fn.cache import Split
from train_fn.checkpoint import Tensors, snapshot
from train_fn.config import TrainConfig, Weights
from train_fn.evaluation import predict
from train_fn.loss import weight_sum, weighted_loss
from train_fn.metrics import compute

Row = dict[str, Any]


class NonFiniteLossError(ArithmeticError):
    """The loss or its gradient is NaN or infinite: nothing after it can be trusted."""


@dataclass(frozen=True)
class TrainingData:
    """The rows that a run trains and is evaluated on, and their class weights."""

    train: Split
    train_rows: Rows
    validation: Split
    eval_rows: Rows
    pad_id: int
    weights: Weights


@dataclass
class TrainState:
    """What a resumed run must know; the parameters and the optimiser hold the rest."""

    step: int = 0
    best: float = math.inf
    best_metrics: dict[str, Any] = field(default_factory=dict)
    best_weights: Tensors | None = None
    stale: int = 0
    seconds: float = 0.0
    curve: list[Row] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)


class Events(Protocol):
    """What the loop tells; any of these may raise to stop the run."""

    def micro_batch(self, rows: int) -> None:
        """Called after every micro-batch, in training and in evaluation."""

    def stepped(self, state: TrainState, total: int, values: Mapping[str, float]) -> None:
        """Called after every optimiser step."""

    def evaluated(self, state: TrainState, row: Row) -> None:
        """Called after every evaluation, when the state is up to date."""


def learning_rate_at(step: int, total: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to zero, both as shares of the run; `step` counts from 0."""
    warmup = math.ceil(config.warmup_ratio * total)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def evaluation_points(total: int, evaluations: int) -> dict[int, int]:
    """The steps after which to evaluate, and the percent of the run that each stands for."""
    points = {
        max(1, round(total * n / evaluations)): round(100 * n / evaluations) for n in range(1, evaluations)
    }
    return {step: percent for step, percent in points.items() if step < total} | {total: 100}


def make_optimizer(parameters: dict[str, nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """Fused AdamW over all trainable parameters."""
    return torch.optim.AdamW(
        parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def step_gradient(
    model: nn.Module, data: TrainingData, rows: Rows, config: TrainConfig, events: Events
) -> torch.Tensor:
    """Add the gradient of one step's weighted mean loss over all ranks; returns this rank's share of the loss.

    The sum of weights is over the whole step, known to every rank from the plan. DDP averages over ranks, so
    each share is multiplied by their number.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    device = next(model.parameters()).device
    total = weight_sum(data.train.labels[rows], data.weights)
    mine = rank_share(rows, data.train.lengths[rows], rank, world)
    idle = len(mine) == 0  # fewer rows than ranks: take part in the exchange with a gradient of zero
    batches = micro_batches(
        rows[:1] if idle else mine, data.train.lengths[rows[:1] if idle else mine], config.micro_batch_tokens
    )
    weights = torch.tensor(data.weights, dtype=torch.float64, device=device)
    share = torch.zeros((), device=device)
    for number, batch in enumerate(batches, 1):
        wait = isinstance(model, DistributedDataParallel) and number < len(batches)
        with model.no_sync() if wait else nullcontext():  # type: ignore[operator]
            ids, last, labels = collate(data.train, batch, data.pad_id, device)
            loss = weighted_loss(model(ids, last), labels, weights * (0 if idle else 1), total)
            (loss * world).backward()  # type: ignore[no-untyped-call]
        share = share + loss.detach()
        events.micro_batch(len(batch))
    return share


def train(
    model: nn.Module,
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    data: TrainingData,
    config: TrainConfig,
    events: Events,
    state: TrainState,
) -> TrainState:
    """Train from `state` to the end, or until patience runs out; `state` then holds the best weights.

    Raises NonFiniteLossError, and whatever `events` raises.
    """
    plan = Steps(data.train_rows, config.batch_size, config.epochs, config.seed)
    points = evaluation_points(plan.total, config.evaluations)
    losses: list[float] = []
    started = time.monotonic() - state.seconds
    model.train()
    while state.step < plan.total and state.stale < config.patience:
        rate = learning_rate_at(state.step, plan.total, config)
        loss, norm = _optimizer_step(
            model, parameters, optimizer, data, plan[state.step], config, events, state, rate
        )
        losses.append(loss)
        state.step += 1
        state.seconds = time.monotonic() - started
        events.stepped(state, plan.total, {"train_loss": loss, "learning_rate": rate, "grad_norm": norm})
        if state.step in points:
            row = evaluate(model, parameters, data, config, events, state)
            row |= {
                "progress": points[state.step],
                "train_loss": float(np.mean(losses)),
                "learning_rate": rate,
                "samples": min(state.step * config.batch_size, round(config.epochs * len(data.train_rows))),
                "seconds": time.monotonic() - started,
            }
            losses.clear()
            state.seconds = row["seconds"]
            state.curve.append(row)
            events.evaluated(state, row)
    return state


def _optimizer_step(
    model: nn.Module,
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    data: TrainingData,
    rows: Rows,
    config: TrainConfig,
    events: Events,
    state: TrainState,
    rate: float,
) -> tuple[float, float]:
    rank = dist.get_rank() if dist.is_initialized() else 0
    # Dropout is a function of (seed, step, rank), so that nothing random is carried from step to step.
    torch.manual_seed(int(np.random.SeedSequence([config.seed, state.step, rank]).generate_state(1)[0]))
    optimizer.zero_grad(set_to_none=True)
    share = step_gradient(model, data, rows, config, events)
    if dist.is_initialized():
        dist.all_reduce(share)
    norm = nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
    loss, size = torch.stack([share, norm]).tolist()
    if not (math.isfinite(loss) and math.isfinite(size)):
        raise NonFiniteLossError(f"loss {loss}, gradient norm {size} at step {state.step}")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return loss, size


def evaluate(
    model: nn.Module,
    parameters: dict[str, nn.Parameter],
    data: TrainingData,
    config: TrainConfig,
    events: Events,
    state: TrainState,
) -> Row:
    """Evaluate on the run's validation rows and keep the weights if they are the best so far."""
    logits = predict(
        model,
        data.validation,
        data.eval_rows,
        pad_id=data.pad_id,
        device=next(model.parameters()).device,
        budget=config.micro_batch_tokens,
        check=events.micro_batch,
    )
    if not np.isfinite(logits).all():
        raise NonFiniteLossError(f"validation logits are not finite at step {state.step}")
    metrics = compute(logits, data.validation.labels[data.eval_rows])
    if metrics.log_loss < state.best:
        state.best, state.stale = metrics.log_loss, 0
        state.best_metrics, state.best_weights = metrics.model_dump(), snapshot(parameters)
    else:
        state.stale += 1
    numbers = {k: v for k, v in metrics.model_dump().items() if isinstance(v, int | float)}
    return {"step": state.step, "validation_log_loss": metrics.log_loss, "objective": state.best} | numbers
