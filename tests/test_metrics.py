"""Run: pytest tests/test_metrics.py

Metrics against values worked out by hand and against their definitions.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from train_fn.metrics import calibration_error, compute, tpr_at_fpr
from train_fn.plots import confusion_png

AI, HUMAN = 0, 1


def logits_of(*probabilities: float) -> np.ndarray:
    """Logits whose softmax gives these P(AI_Generated)."""
    p = np.array(probabilities)
    return np.log(np.stack([p, 1 - p], axis=1)).astype(np.float32)


# P(AI) 0.9, 0.8 and 0.3 on AI texts, 0.4 and 0.1 on human texts: one AI text is missed.
WORKED = compute(logits_of(0.9, 0.8, 0.3, 0.4, 0.1), np.array([AI, AI, AI, HUMAN, HUMAN], dtype=np.int8))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rows", 5),
        ("log_loss", -(math.log(0.9) + math.log(0.8) + math.log(0.3) + math.log(0.6) + math.log(0.9)) / 5),
        ("accuracy", 4 / 5),
        ("balanced_accuracy", (2 / 3 + 1) / 2),
        ("precision_ai", 1.0),
        ("recall_ai", 2 / 3),
        ("precision_human", 2 / 3),
        ("recall_human", 1.0),
        ("macro_f1", (2 * 1 * (2 / 3) / (1 + 2 / 3) + 2 * (2 / 3) * 1 / (2 / 3 + 1)) / 2),
        ("auroc", 5 / 6),  # of the six pairs only (0.3, 0.4) is the wrong way round
        ("tpr_at_fpr_5", 2 / 3),  # any threshold at or below 0.4 calls a human text AI
        ("tpr_at_fpr_1", 2 / 3),
        # bins of 1/15: 0.9 and 0.9 (right, right), 0.8 (right), 0.7 (wrong), 0.6 (right)
        ("ece", (2 * 0.1 + 0.2 + 0.7 + 0.4) / 5),
    ],
)
def test_worked_example(name, expected):
    assert getattr(WORKED, name) == pytest.approx(expected, abs=1e-6)


def test_confusion_rows_are_true_and_columns_predicted():
    assert WORKED.confusion_matrix == ((2, 1), (0, 2))


def test_numbers_are_plain_and_json_round_trips():
    values = json.loads(json.dumps(WORKED.model_dump(), allow_nan=False))
    assert type(WORKED.rows) is int
    assert all(type(value) is float for name, value in WORKED.scalars().items() if name != "rows")
    assert values["confusion_matrix"] == [[2, 1], [0, 2]]
    assert set(WORKED.scalars()) == set(values) - {"confusion_matrix"}


@pytest.mark.parametrize("label", [AI, HUMAN])
def test_one_class_has_no_roc_curve_and_the_rest_is_defined(label):
    metrics = compute(logits_of(0.9, 0.2), np.array([label, label]))
    assert (metrics.auroc, metrics.tpr_at_fpr_5, metrics.tpr_at_fpr_1) == (None, None, None)
    assert metrics.balanced_accuracy == metrics.accuracy == 0.5
    assert "auroc" not in metrics.scalars()
    json.dumps(metrics.model_dump(), allow_nan=False)


def test_a_class_never_predicted_has_precision_zero():
    metrics = compute(logits_of(0.9, 0.8), np.array([AI, HUMAN]))
    assert (metrics.precision_human, metrics.recall_human, metrics.balanced_accuracy) == (0.0, 0.0, 0.5)


def test_equal_logits_everywhere_are_chance_and_predict_ai():
    metrics = compute(np.zeros((4, 2), dtype=np.float32), np.array([AI, AI, HUMAN, HUMAN]))
    assert metrics.log_loss == pytest.approx(math.log(2))
    assert (metrics.auroc, metrics.tpr_at_fpr_5, metrics.ece) == (0.5, 0.0, 0.0)
    assert metrics.confusion_matrix == ((2, 0), (2, 0))


def test_extreme_logits_keep_a_finite_loss_and_their_order():
    logits = np.array([[3e38, -3e38], [500, -500], [-500, 500], [-3e38, 3e38]], dtype=np.float32)
    metrics = compute(logits, np.array([AI, AI, HUMAN, HUMAN]))
    assert (metrics.log_loss, metrics.auroc, metrics.ece) == (0.0, 1.0, 0.0)
    saturated = compute(np.array([[60, 0], [50, 0]], dtype=np.float32), np.array([AI, HUMAN]))
    assert saturated.auroc == 1.0  # P(AI) is 1.0 for both in floating point
    assert saturated.log_loss == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("target", "expected"), [(0.0, 0.1), (0.049, 0.1), (0.05, 0.5), (0.1, 0.9), (1.0, 1.0)]
)
def test_tpr_at_fpr_takes_the_largest_rate_within_the_target(target, expected):
    # 20 human texts; 1 AI text above all of them, 4 below the best, 4 below the second, 1 below all
    margin = np.concatenate([[9.0], [7.0] * 4, [5.0] * 4, [-1.0], [8.0, 6.0], np.zeros(18)])
    labels = np.array([AI] * 10 + [HUMAN] * 20)
    assert tpr_at_fpr(labels, margin, target) == expected


def test_tpr_at_fpr_sees_the_thresholds_inside_a_straight_part_of_the_curve():
    margin = np.repeat(np.arange(100.0), 2)  # an AI and a human text at every score: the diagonal
    assert tpr_at_fpr(np.tile([AI, HUMAN], 100), margin, 0.05) == 0.05


def test_ece_is_zero_when_shares_match_and_one_when_sure_and_wrong():
    margin = np.full(10, math.log(0.7 / 0.3))
    assert calibration_error(margin, np.array([AI] * 7 + [HUMAN] * 3)) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(np.full(4, 40.0), np.full(4, HUMAN)) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="1 values are not"):
        compute(np.array([[0.0, bad], [0.0, 1.0]]), np.array([0, 1]))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), "n > 0"),
        (np.zeros((2, 3)), np.zeros(2), r"\(2, 3\)"),
        (np.zeros((2, 2)), np.zeros(3), r"\(3,\)"),
        (np.zeros((2, 2)), np.array([0, 2]), r"\[0, 2\]"),
    ],
)
def test_other_shapes_and_labels_are_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        compute(logits, labels)


EIGHTHS = st.integers(-400, 400).map(lambda number: number / 8)  # exact in every step, and with ties
EVALUATIONS = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (n, 2), elements=EIGHTHS), arrays(np.int8, n, elements=st.integers(0, 1))
    )
)


@settings(deadline=None, max_examples=60)
@given(EVALUATIONS)
def test_every_metric_agrees_with_its_definition(evaluation):
    logits, labels = evaluation
    metrics = compute(logits, labels)
    assert all(
        0 <= value <= 1 for name, value in metrics.scalars().items() if name not in ("rows", "log_loss")
    )
    (tp, fn), (fp, tn) = metrics.confusion_matrix
    assert tp + fn + fp + tn == metrics.rows == len(labels)
    assert metrics.accuracy == pytest.approx((tp + tn) / len(labels))
    margin = logits[:, 0].astype(float) - logits[:, 1]
    ai, human = margin[labels == AI], margin[labels == HUMAN]
    assert metrics.log_loss == pytest.approx(
        (np.logaddexp(0, -ai).sum() + np.logaddexp(0, human).sum()) / len(labels)
    )
    assert (metrics.auroc is None) == (len(ai) == 0 or len(human) == 0)
    if metrics.auroc is not None:
        wins = np.sign(ai[:, None] - human[None, :])  # Mann-Whitney: a tie is half a win
        assert metrics.auroc == pytest.approx((wins + 1).mean() / 2)
        within = [t for t in [*margin, np.inf] if (human >= t).mean() <= 0.05]
        assert metrics.tpr_at_fpr_5 == max((ai >= t).mean() for t in within)
        assert metrics.tpr_at_fpr_1 <= metrics.tpr_at_fpr_5


@settings(deadline=None, max_examples=30)
@given(EVALUATIONS, st.randoms(use_true_random=False))
def test_order_of_rows_and_a_constant_on_both_logits_change_nothing(evaluation, random):
    logits, labels = evaluation
    order = random.sample(range(len(labels)), len(labels))
    moved = (logits.astype(np.float64) + 3.0)[order]
    before, after = compute(logits, labels), compute(moved, labels[order])
    assert before.confusion_matrix == after.confusion_matrix
    assert after.scalars() == pytest.approx(before.scalars(), abs=1e-6)


def test_the_confusion_picture_is_an_image_of_these_counts(tmp_path):
    from matplotlib.image import imread

    confusion_png([[90, 10], [20, 80]], tmp_path / "new" / "a.png", "one")
    confusion_png([[10, 90], [80, 20]], tmp_path / "new" / "b.png", "one")
    first, second = (imread(tmp_path / "new" / name) for name in ("a.png", "b.png"))
    assert first.shape == second.shape
    assert min(first.shape[:2]) > 500
    dark = [bool(image[100, 120, 0] < 0.5) for image in (first, second)]
    assert dark == [True, False]  # the cell of AI texts found is dark where most were
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]


def test_an_empty_row_can_be_drawn(tmp_path):
    confusion_png([[5, 1], [0, 0]], tmp_path / "a.png", "no human text")
    assert (tmp_path / "a.png").stat().st_size > 10_000
