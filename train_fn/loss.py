"""Class weights and the weighted cross-entropy, normalised over a whole optimiser step."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from train_fn.config import LABELS, Weights
from train_fn.errors import InputError


class NonFiniteLossError(ArithmeticError):
    """The loss, its gradient or the logits are NaN or infinite: nothing after it can be trusted."""


def label_counts(labels: NDArray[np.integer]) -> tuple[int, int]:
    """Rows of each class in the order of LABELS."""
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(LABELS))
    return int(counts[0]), int(counts[1])


def inverse_frequency(counts: Sequence[int]) -> Weights:
    """n / (num_classes * count), the `balanced` weights of scikit-learn's compute_class_weight."""
    total = sum(counts)
    return total / (len(counts) * counts[0]), total / (len(counts) * counts[1])


def class_weights(
    mode: Literal["inverse_frequency", "published", "none"], counts: Sequence[int], published: Weights | None
) -> Weights:
    """The weights of AI_Generated and Human_Written. Raises InputError where the mode cannot be served."""
    if mode == "none":
        return 1.0, 1.0
    if mode == "published":
        if published is None:
            raise InputError(
                "class_weights: published needs a published table; use inverse_frequency or none"
            )
        return published
    return inverse_frequency(counts)


def weight_facts(counts: Sequence[int], weights: Weights) -> dict[str, float]:
    """Counts, weights and what the formula would give, by label, for a run's record."""
    formula = inverse_frequency(counts)
    facts: dict[str, float] = {}
    for number, label in enumerate(LABELS):
        facts[f"train_rows_{label}"] = counts[number]
        facts[f"class_weight_{label}"] = weights[number]
        facts[f"inverse_frequency_{label}"] = formula[number]
    return facts


def weight_sum(labels: NDArray[np.integer], weights: Weights) -> float:
    """The sum of the rows' weights: what a step's loss is divided by, over all its micro-batches and ranks."""
    return float(np.asarray(weights, dtype=np.float64)[labels].sum())


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor, total: float) -> Tensor:
    """One micro-batch's share of the step's loss: sum of w * CE over its rows, divided by the step's weights.

    logits [batch, 2]; labels [batch]; weights [2]; `total` is `weight_sum` over the whole step, so that the
    shares add up to the weighted mean whatever the micro-batches.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    losses = functional.cross_entropy(logits.to(dtype), labels, reduction="none")
    return (losses * weights.to(dtype)[labels]).sum() / total
