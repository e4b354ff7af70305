"""Class weights, and a loss whose shares add up to the step's."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from train_fn.config import find_dataset
from train_fn.errors import InputError
from train_fn.loss import class_weights, inverse_frequency, label_counts, weight_sum, weighted_loss

FORMULA = {
    "10k": (1.0001, 0.9999),
    "100k": (1.0023, 0.9977),
    "1M": (0.9585, 1.0453),
    "2M": (0.9162, 1.1006),
}


@pytest.mark.parametrize("name", FORMULA)
def test_the_weights_of_the_published_counts(name: str) -> None:
    counts = find_dataset(name).published_train_counts
    assert counts is not None
    assert tuple(round(weight, 4) for weight in inverse_frequency(counts)) == FORMULA[name]


def test_the_formula_is_scikit_learns_balanced() -> None:
    labels = np.array([0] * 30 + [1] * 70)
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    assert inverse_frequency(label_counts(labels)) == pytest.approx(tuple(expected))


def test_labels_are_counted_in_the_order_of_the_classes() -> None:
    assert label_counts(np.array([1, 1, 0, 1], dtype=np.int8)) == (1, 3)


@pytest.mark.parametrize(("name", "published"), [("1M", (0.9167, 1.0909)), ("2M", (0.8324, 1.2009))])
def test_published_takes_the_table_of_the_set(name: str, published: tuple[float, float]) -> None:
    table = find_dataset(name).published_weights
    assert class_weights("published", (1, 3), table) == table == published


def test_the_other_modes() -> None:
    assert class_weights("none", (1, 3), None) == (1.0, 1.0)
    assert class_weights("inverse_frequency", (1, 3), (5.0, 5.0)) == (2.0, 4 / 6)


def test_published_without_a_table_is_refused() -> None:
    with pytest.raises(InputError, match="published needs a published table"):
        class_weights("published", (1, 3), find_dataset("100k").published_weights)


@pytest.mark.parametrize("cuts", [[9], [1, 2, 6], [3, 3, 3], [8, 1]])
def test_the_shares_of_micro_batches_add_up_to_the_weighted_mean(cuts: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 1, 0, 1, 1, 1, 1])
    weights = (2.0, 0.7)
    whole = torch.nn.functional.cross_entropy(
        logits, labels, weight=torch.tensor(weights, dtype=torch.float64)
    )
    total = weight_sum(labels.numpy(), weights)
    parts = zip(logits.split(cuts), labels.split(cuts), strict=True)
    shares = [weighted_loss(some, of, torch.tensor(weights), total) for some, of in parts]
    assert float(sum(shares)) == pytest.approx(float(whole), rel=1e-7)


def test_the_loss_of_bf16_logits_is_computed_in_fp32() -> None:
    logits = torch.tensor([[3.0, -2.0]], dtype=torch.bfloat16)
    loss = weighted_loss(logits, torch.tensor([1]), torch.ones(2), 1.0)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(np.log1p(np.exp(5.0)), rel=1e-6)
