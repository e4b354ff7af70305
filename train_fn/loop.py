"""The training loop: plain PyTorch over its collaborators. It knows no Ray, no W&B, no argv."""

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from train_fn.batching import Rows, Steps, collate, micro_batches, rank_share, ranks
from train_fn.checkpoint import snapshot
from train_fn.config import TrainConfig
from train_fn.evaluation import Scorer
from train_fn.loss import NonFiniteLossError, weight_sum, weighted_loss
from train_fn.schedule import evaluation_points, learning_rate_at
from train_fn.state import Row, TrainingData, TrainState


class Events(Protocol):
    """What the loop tells; any of these may raise to stop the run."""

    def micro_batch(self, rows: int) -> None:
        """Called after every micro-batch, in training and in evaluation."""

    def stepped(self, state: TrainState, total: int, values: Mapping[str, float]) -> None:
        """Called after every optimiser step."""

    def evaluated(self, state: TrainState, row: Row) -> None:
        """Called after every evaluation, when the state is up to date."""

    def shrunk(self, tokens: int) -> None:
        """Called when a micro-batch did not fit into the memory: from now on they have at most `tokens`."""


class Quiet:
    """The Events of a loop that nobody follows."""

    def micro_batch(self, rows: int) -> None:
        """Nobody stops it."""

    def stepped(self, state: TrainState, total: int, values: Mapping[str, float]) -> None:
        """Nobody watches."""

    def evaluated(self, state: TrainState, row: Row) -> None:
        """Nobody watches."""

    def shrunk(self, tokens: int) -> None:
        """Nobody keeps it."""


@dataclass(frozen=True)
class Learner:
    """What is trained: the module, its trainable parameters by name, and their optimiser."""

    model: nn.Module
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer


def make_learner(model: nn.Module, parameters: dict[str, nn.Parameter], config: TrainConfig) -> Learner:
    """Fused AdamW over the trainable parameters; DDP around the module where there are several ranks."""
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    if ranks()[1] > 1:
        # The buffers are constants; exchanging them would also count on every rank's having a batch to score.
        model = DistributedDataParallel(model, broadcast_buffers=False)
    return Learner(model, parameters, optimizer)


def step_gradient(
    model: nn.Module, data: TrainingData, rows: Rows, config: TrainConfig, events: Events
) -> torch.Tensor:
    """Add the gradient of one step's weighted mean loss over all ranks; returns this rank's share of the loss.

    The sum of weights is over the whole step, known to every rank from the plan. DDP averages over ranks, so
    each share is multiplied by their number.
    """
    rank, world = ranks()
    device = next(model.parameters()).device
    total = weight_sum(data.train.labels[rows], data.weights)
    mine = rank_share(rows, data.train.lengths[rows], rank, world)
    idle = len(mine) == 0  # fewer rows than ranks: take part in the exchange with a gradient of zero
    mine = rows[:1] if idle else mine
    batches = micro_batches(mine, data.train.lengths[mine], config.token_budget, packed=config.packed)
    weights = torch.tensor(data.weights, dtype=torch.float64, device=device) * (0 if idle else 1)
    share = torch.zeros((), device=device)
    for number, batch in enumerate(batches, 1):
        wait = isinstance(model, DistributedDataParallel) and number < len(batches)
        with model.no_sync() if wait else nullcontext():  # type: ignore[operator]
            ids, last, labels = collate(data.train, batch, data.pad_id, device, packed=config.packed)
            loss = weighted_loss(model(ids, last), labels, weights, total)
            (loss * world).backward()  # type: ignore[no-untyped-call]
        share = share + loss.detach()
        events.micro_batch(len(batch))
    return share


def train(
    learner: Learner, data: TrainingData, config: TrainConfig, events: Events, state: TrainState
) -> None:
    """Train from `state` to the end, or until patience runs out; `state` then holds the best weights.

    Raises NonFiniteLossError, and whatever `events` raises.
    """
    plan = Steps(data.train_rows, config.batch_size, config.epochs, config.seed)
    points = evaluation_points(plan.total, config.evaluations)
    started = time.monotonic() - state.seconds
    learner.model.train()
    while True:
        # Before the next step, so that a run resumed between a step and its evaluation makes up for it.
        if state.step in points and state.evaluated < state.step:
            row = _evaluate(learner, data, config, events, state) | {
                "progress": points[state.step],
                "learning_rate": learning_rate_at(state.step - 1, plan.total, config),
                "samples": plan.samples(state.step),
                "seconds": time.monotonic() - started,
            }
            state.seconds = row["seconds"]
            state.curve.append(row)
            events.evaluated(state, row)
        if state.step >= plan.total or state.stale >= config.patience:
            return
        values, config = _step_that_fits(learner, data, config, events, plan, state.step)
        state.step += 1
        state.losses.append(values["train_loss"])
        state.seconds = time.monotonic() - started
        events.stepped(state, plan.total, values)


def _step_that_fits(
    learner: Learner, data: TrainingData, config: TrainConfig, events: Events, plan: Steps, step: int
) -> tuple[dict[str, float], TrainConfig]:
    """One step, in micro-batches halved until they fit, and the configuration that has them.

    Raises OutOfMemoryError where one text alone does not fit; also with several ranks, for the others wait in an
    exchange that this one has left: all start again, with what `events` has kept.
    """
    while True:
        try:
            return _optimizer_step(learner, data, config, events, plan, step), config
        except torch.OutOfMemoryError:
            if config.token_budget <= config.max_length:
                raise
            config = config.model_copy(update={"micro_batch_tokens": config.token_budget // 2})
            events.shrunk(config.token_budget)
            if ranks()[1] > 1:
                raise


def _optimizer_step(
    learner: Learner, data: TrainingData, config: TrainConfig, events: Events, plan: Steps, step: int
) -> dict[str, float]:
    rank, world = ranks()
    # Dropout is a function of (seed, step, rank), so that nothing random is carried from step to step.
    torch.manual_seed(int(np.random.SeedSequence([config.seed, step, rank]).generate_state(1)[0]))
    learner.optimizer.zero_grad(set_to_none=True)
    share = step_gradient(learner.model, data, plan[step], config, events)
    if world > 1:
        dist.all_reduce(share)
    norm = nn.utils.clip_grad_norm_(learner.parameters.values(), config.max_grad_norm)
    loss, size = torch.stack([share, norm]).tolist()
    if not (math.isfinite(loss) and math.isfinite(size)):
        raise NonFiniteLossError(f"loss {loss}, gradient norm {size} at step {step}")
    rate = learning_rate_at(step, plan.total, config)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    learner.optimizer.step()
    return {"train_loss": loss, "learning_rate": rate, "grad_norm": size}


def _evaluate(
    learner: Learner, data: TrainingData, config: TrainConfig, events: Events, state: TrainState
) -> Row:
    """Evaluate on the run's validation rows and keep the weights if they are the best so far."""
    started = time.monotonic()
    score = Scorer(learner.model, data.pad_id, config, events.micro_batch)
    metrics = score(data.validation, data.eval_rows).metrics()
    if metrics.log_loss < state.best:
        state.best, state.stale = metrics.log_loss, 0
        state.best_metrics = {**metrics.model_dump(mode="json"), "roc": metrics.roc}
        state.best_weights = snapshot(learner.parameters)
    else:
        state.stale += 1
    train_loss = float(np.mean(state.losses))
    state.losses.clear()
    return {
        "step": state.step,
        "objective": state.best,
        "validation_log_loss": metrics.log_loss,
        "train_loss": train_loss,
        "evaluation_seconds": time.monotonic() - started,
        **metrics.scalars(),
    }
