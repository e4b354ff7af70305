"""What a probe might have measured, and the work of a run, for the tests of the forecast."""

from typing import Any

import numpy as np

from train_fn.measured import Measured, Pace
from train_fn.workload import Work


def found(**changes: Any) -> Measured:
    """1,000 tokens/s in training at a width of 100, half of that at 200; 4,000 in evaluation."""
    values: dict[str, Any] = {
        "device": "cpu",
        "attention": "sdpa",
        "micro_batch_tokens": 2048,
        "threads": 1,
        "start": 3.0,
        "load": 4.0,
        "warm_up": 1.0,
        "attach": 0.5,
        "paces": (Pace(width=100, seconds_per_token=0.001), Pace(width=200, seconds_per_token=0.002)),
        "update": 0.25,
        "evaluation": 0.00025,
        "checkpoint": 0.5,
        "deliver": 2.0,
    }
    return Measured.model_validate({**values, **changes})


def work(**changes: Any) -> Work:
    """40 steps of 1,000 tokens at three widths, ten evaluations of 2,000 tokens."""
    values: dict[str, Any] = {
        "steps": 40,
        "widths": np.array([96, 152, 200]),
        "tokens": np.array([10_000.0, 20_000.0, 10_000.0]),
        "percents": tuple(range(10, 101, 10)),
        "eval_tokens": 2_000,
        "before_tokens": 1_000,
        "after_tokens": 4_000,
        "covered": False,
    }
    return Work(**{**values, **changes})
