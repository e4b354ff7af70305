"""The learning rate over the horizon: what a search of few steps says about a run of many.

At each size the log loss is taken as a quadratic in the log learning rate, with its own level, curvature and
noise, and the optima lie on a line over the log of the steps; the line's slope is the exponent of the law
`optimum ~ steps ** exponent`. Bjorck et al., Scaling Optimal LR Across Token Horizons (arXiv:2409.19913), find
about -0.32 for pretraining. Level, curvature and noise are integrated out at each size, which leaves a likelihood
of the optimum; optimum and exponent are then a grid. Two priors of the exponent:

- the proposal takes one whose mode is no change (CAUTION). It moves as far as the trials ask for it;
- the intervals take a flat one, between Bjorck's exponent and none and as wide again on both sides (OPEN). With
  the cautious prior the exponent's interval held -0.32, where that was the truth, in 69 % of simulated cases.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.observations import Observation, Size, sizes_of
from train_fn.errors import InputError
from train_fn.values import Frozen

Floats = NDArray[np.float64]
Interval = tuple[float, float]

BJORCK = -0.32
CAUTION = (0.25, 0.10)  # sd of the exponent below 0 and above it: -0.32 is not unlikely, a rise nearly is
OPEN = (2 * BJORCK, -BJORCK)
BEYOND = math.log(2)  # an optimum is looked for up to twice beyond the rates that were tried
LEVEL = 0.90
CURVATURE_POWER = 2  # of the curvature's prior; 1, flat in the quadratic's coefficients, covers 95 %, not 90
OPTIMA, EXPONENTS = 400, 145  # grid points; 0 is one of the exponents, so that no change can be proposed
STUDENT = np.sinh(np.linspace(-5, 5, 81))  # curvatures in standard errors, close together in the middle
STEP = np.sqrt(1 + STUDENT**2)


class Transfer(Frozen):
    """A learning rate for a run of `target_steps`, and why.

    `copied` is the rate without a change: the fitted optimum at `reference`, the size of the most steps. `rate`
    is the proposal, `change` their ratio. Intervals are 90 %. `left_out` trials diverged, or were too few at
    their size; `why` names the others and what they say.
    """

    rate: float
    rate_interval: Interval
    exponent: float
    exponent_interval: Interval
    reference: str
    copied: float
    change: float
    target_steps: int
    left_out: int
    why: str


def propose(trials: Sequence[Observation], target_steps: int) -> Transfer:
    """Propose the learning rate for `target_steps` from complete trials at one or more sizes.

    With one size the trials say nothing of the exponent: the proposal is that size's fitted optimum, and the
    interval is as wide as the flat prior makes it.

    Raises:
        InputError: when no size has LEAST trials that did not diverge, a size has more than one number of steps,
            or a value is not finite.
    """
    sizes = sizes_of(trials)
    if target_steps < 1:
        raise InputError(f"the target needs at least one step, but got {target_steps}")
    reference = sizes[-1]
    span = [rate for size in sizes for rate in size.log_rates]
    optima = np.linspace(min(span) - BEYOND, max(span) + BEYOND, OPTIMA)
    exponents = np.linspace(*OPEN, EXPONENTS).round(9) + 0.0  # exactly 0, and not -0, at no change
    evidence = np.sum([_evidence(size, optima, exponents, reference.steps) for size in sizes], axis=0)
    cautious = evidence - 0.5 * (exponents / np.where(exponents < 0, *CAUTION)) ** 2
    row, column = np.unravel_index(cautious.argmax(), cautious.shape)
    horizon = math.log(target_steps / reference.steps)
    weights = np.exp(evidence - evidence.max())
    targets = (optima[:, None] + exponents * horizon).ravel()
    rates = _shortest(targets, weights.ravel(), float(optima[1] - optima[0]))
    copied, exponent = float(np.exp(optima[row])), float(exponents[column])
    change = math.exp(exponent * horizon)
    interval = _shortest(exponents, weights.sum(axis=0), float(exponents[1] - exponents[0]))
    return Transfer(
        rate=copied * change,
        rate_interval=(math.exp(rates[0]), math.exp(rates[1])),
        exponent=exponent,
        exponent_interval=interval,
        reference=reference.name,
        copied=copied,
        change=change,
        target_steps=target_steps,
        left_out=len(trials) - sum(len(size.log_rates) for size in sizes),
        why=_why(sizes, exponent, interval),
    )


def _evidence(size: Size, optima: Floats, exponents: Floats, steps: int) -> Floats:
    """The log likelihood [optima, exponents] of the optimum at `steps` and of the exponent, from one size."""
    here = optima[:, None] + exponents * math.log(size.steps / steps)
    # An optimum further beyond the rates than the grid is as good as excluded, by 1 in e ** 50.
    found: Floats = np.interp(here, optima, _likelihood(size, optima), left=-50.0, right=-50.0)
    return found


def _likelihood(size: Size, optima: Floats) -> Floats:
    """The log likelihood of each optimum m under loss = level + c * (log rate - m) ** 2 + noise.

    The level (flat prior) and the noise (prior 1 / sd) are integrated out in closed form, which leaves the sum of
    squares to the power -(n - 1) / 2. It is quadratic in c: a Student t in c, summed over its points above 0.
    """
    rates, losses = np.array(size.log_rates), np.array(size.log_losses)
    bends = (rates - optima[:, None]) ** 2
    bends -= bends.mean(axis=1, keepdims=True)
    losses = losses - losses.mean()
    freedom = len(rates) - 2
    square = (bends**2).sum(axis=1)
    fitted = bends @ losses / square
    # A hair of noise: equal losses, or losses without any, have no scale of their own.
    rest = np.maximum(losses @ losses - fitted**2 * square, 0) + 1e-9 * (losses @ losses) + 1e-18
    error = np.sqrt(rest / square / freedom)
    curvature = np.maximum(fitted[:, None] + error[:, None] * STUDENT, 0)
    density = STEP * (1 + STUDENT**2 / freedom) ** (-(freedom + 1) / 2)
    weight = (curvature**CURVATURE_POWER * density).sum(axis=1) * error
    found: Floats = np.log(np.maximum(weight, 1e-300)) - (freedom + 1) / 2 * np.log(rest)
    found -= found.max()
    return found


def _shortest(values: Floats, weights: Floats, step: float) -> Interval:
    """The shortest interval that holds LEVEL of the weights; the grid's `step` is the least width."""
    order = np.argsort(values, kind="stable")
    ordered, share = values[order], np.cumsum(weights[order]) / weights.sum()
    before = np.concatenate([[0.0], share[:-1]])
    ends = np.searchsorted(share, np.minimum(before + LEVEL, share[-1]))
    starts = np.flatnonzero(before + LEVEL <= share[-1])
    best = starts[np.argmin(ordered[ends[starts]] - ordered[starts])]
    return float(ordered[best] - step / 2), float(ordered[ends[best]] + step / 2)


def _why(sizes: Sequence[Size], exponent: float, interval: Interval) -> str:
    low, high = interval
    told = f"the exponent {exponent:.2f} (90 % interval {low:.2f} to {high:.2f})"
    about = " and ".join(
        f"{len(size.log_rates)} trials of {size.steps:,} steps ({size.name})" for size in sizes
    )
    if len({size.steps for size in sizes}) == 1:
        return f"{about}: one horizon says nothing about another, so the rate is kept"
    if low <= 0 <= high:
        return f"{about}: {told} may be none, so it is shrunk towards no change"
    return f"{about}: the optimum moves with {told}"
