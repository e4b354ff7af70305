"""Trials trained by themselves, in the product's loop, and packed in one process.

A packed trial is the product's own detector with its own optimiser, clipping and learning rate, and takes the
same rows; so K packed trials end where K plain runs end, up to rounding.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from packed import Pack, Trial
from torch import Tensor, nn

from train_fn.batching import Rows, Steps, collate, micro_batches
from train_fn.loop import Quiet, train
from train_fn.loss import weight_sum, weighted_loss
from train_fn.schedule import learning_rate_at
from train_fn.state import TrainingData, TrainState


class EndedError(Exception):
    """A plain run has taken the steps that it was to take."""


class Until(Quiet):
    """Ends a plain run after so many steps, before it is evaluated."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def stepped(self, state: TrainState, *about: Any) -> None:
        """Raises EndedError after the last step."""
        if state.step == self._steps:
            raise EndedError


def plain_run(trial: Trial, data: TrainingData, steps: int) -> None:
    """Train one trial by itself in the product's loop, without evaluation."""
    config = trial.config.model_copy(update={"evaluations": 1})  # at the end, which is not reached
    with suppress(EndedError):
        train(trial.learner, data, config, Until(steps), TrainState())


def packed_run(
    pack: Pack,
    data: TrainingData,
    budget: int,
    stopped: Callable[[int, Trial], bool] = lambda steps, trial: False,
) -> None:
    """Train the trials together, without evaluation.

    After each step, those that `stopped` names for that number of steps, and those that diverged, are dropped.
    """
    config = pack.trials[0].config
    plan = Steps(data.train_rows, config.batch_size, config.epochs, config.seed)
    for step in range(plan.total):
        finite = packed_step(pack, data, plan, step, budget)
        going = [
            trial
            for trial, sound in zip(pack.trials, finite, strict=True)
            if sound and not stopped(step + 1, trial)
        ]
        if not going:
            return
        if len(going) < len(pack.trials):
            pack = pack.of(going)


def packed_step(pack: Pack, data: TrainingData, plan: Steps, step: int, budget: int) -> list[bool]:
    """One optimiser step of every trial, as train_fn.loop takes it; whether each may go on.

    A trial whose loss or gradient is not finite is not stepped. `budget` is the padded tokens of one micro-batch
    over all trials, which is what decides the memory.
    """
    seed = np.random.SeedSequence([pack.trials[0].config.seed, step, 0])
    torch.manual_seed(int(seed.generate_state(1)[0]))
    losses = _add_gradients(pack, data, plan[step], budget)
    norms = [
        nn.utils.clip_grad_norm_(trial.learner.parameters.values(), trial.config.max_grad_norm)
        for trial in pack.trials
    ]
    found = (losses + torch.stack(norms)).tolist()  # one wait for the device
    finite = [math.isfinite(value) for value in found]
    for trial, sound in zip(pack.trials, finite, strict=True):
        if sound:
            optimizer = trial.learner.optimizer
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, plan.total, trial.config)
            optimizer.step()
    return finite


def _add_gradients(pack: Pack, data: TrainingData, rows: Rows, budget: int) -> Tensor:
    """Each trial's gradient of the step's weighted mean loss; returns the losses [K]."""
    for trial in pack.trials:
        trial.learner.optimizer.zero_grad(set_to_none=True)
    device = next(pack.parameters()).device
    total = weight_sum(data.train.labels[rows], data.weights)
    weights = torch.tensor(data.weights, dtype=torch.float64, device=device)
    losses = torch.zeros(len(pack.trials), device=device)
    for batch in micro_batches(rows, data.train.lengths[rows], budget // len(pack.trials)):
        ids, last, labels = collate(data.train, batch, data.pad_id, device)
        found = torch.stack([weighted_loss(logits, labels, weights, total) for logits in pack(ids, last)])
        found.sum().backward()  # no parameter is shared, so each gets its own loss's gradient
        losses += found.detach()
    return losses
