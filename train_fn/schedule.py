"""What happens when in a run: learning rate and evaluations, both as shares of the run."""

import math

from train_fn.config import TrainConfig


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
