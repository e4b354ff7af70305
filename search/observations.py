"""Trials as a fit of the learning rate sees them: by size, those that diverged left out."""

import math
from collections.abc import Sequence

import numpy as np

from train_fn.errors import InputError
from train_fn.values import Frozen

LEAST = 5  # usable trials at a size: a quadratic and its noise are four numbers
DIVERGED = 5.0  # times further above the best than the median is: a quadratic reaches 4, a diverged trial 100


class Observation(Frozen):
    """One complete trial: where, how long (optimiser steps), natural log of the learning rate, log loss (nats)."""

    size: str
    steps: int
    log_rate: float
    log_loss: float


class Size(Frozen):
    """The usable trials of one size; the rates are natural logs, the losses nats."""

    name: str
    steps: int
    log_rates: tuple[float, ...]
    log_losses: tuple[float, ...]


def sizes_of(trials: Sequence[Observation]) -> list[Size]:
    """The sizes with at least LEAST trials that did not diverge, at three or more rates; the fewest steps first.

    Raises:
        InputError: when there is none, a size has more than one number of steps, or a value is not finite.
    """
    bad = [each for each in trials if not (math.isfinite(each.log_rate) and math.isfinite(each.log_loss))]
    if bad:
        raise InputError(f"rates and losses must be finite, but got {bad[0]}; leave failed trials out")
    names = dict.fromkeys(each.size for each in trials)
    found = [_size(name, [each for each in trials if each.size == name]) for name in names]
    sizes = [size for size in found if len(size.log_rates) >= LEAST and len(set(size.log_rates)) > 2]
    if not sizes:
        raise InputError(
            f"a fit needs a size with {LEAST} complete trials that did not diverge, at three or more rates, "
            f"but none of {len(trials)} trials' sizes has; search more, or copy the learning rate"
        )
    return sorted(sizes, key=lambda size: size.steps)


def _size(name: str, trials: Sequence[Observation]) -> Size:
    steps = {each.steps for each in trials}
    if len(steps) > 1 or min(steps) < 1:
        raise InputError(
            f"the trials of {name} must have one number of steps, at least 1, but have {sorted(steps)}; "
            "give complete trials of one configuration of data, epochs and batch size"
        )
    losses = np.array([each.log_loss for each in trials])
    kept = losses <= losses.min() + DIVERGED * (np.median(losses) - losses.min())
    used = [each for each, keep in zip(trials, kept, strict=True) if keep]
    rates, values = tuple(each.log_rate for each in used), tuple(each.log_loss for each in used)
    return Size(name=name, steps=steps.pop(), log_rates=rates, log_losses=values)
