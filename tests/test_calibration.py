"""Calibration against scikit-learn, against definitions written out, and on planted temperatures."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from train_fn.calibration import calibration, fit_temperature, reliability, row_briers, row_log_losses
from train_fn.metrics import ECE_BINS

AI, HUMAN = 0, 1


def planted(temperature: float, rows: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins that are `temperature` times the log odds by which the labels were drawn."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 2, rows)
    labels = np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), AI, HUMAN)
    return temperature * odds, labels


@pytest.mark.parametrize("temperature", [0.02, 0.5, 1.0, 3.0, 200.0])
def test_the_planted_temperature_is_found(temperature):
    margin, labels = planted(temperature)
    found = fit_temperature(margin, labels)
    assert found.value == pytest.approx(temperature, rel=0.1)
    assert found.why == ""


@pytest.mark.parametrize("seed", range(3))
def test_the_temperature_is_one_over_scikit_learns_logistic_coefficient(seed):
    margin, labels = planted(3.0, rows=300, seed=seed)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    model.fit(margin[:, None], labels == AI)
    assert fit_temperature(margin, labels).value == pytest.approx(1 / model.coef_[0, 0], rel=1e-4)


def test_no_temperature_near_it_has_a_lower_log_loss():
    margin, labels = planted(3.0, rows=300)
    best = fit_temperature(margin, labels).value
    losses = [
        row_log_losses(margin / t, labels).mean()
        for t in (best, best * 0.999, best * 1.001, best / 3, best * 3)
    ]
    assert min(losses) == losses[0]


@pytest.mark.parametrize(
    ("margin", "why"),
    [
        ([2.0, 0.5, -0.5, -2.0], "no validation text is misclassified"),
        ([0.0, 0.0, 0.0, 0.0], "no validation text is misclassified"),
        ([-2.0, 0.5, -0.5, 2.0], "the wrong way"),
    ],
)
def test_a_temperature_that_cannot_be_fitted_is_one_and_says_why(margin, why):
    found = fit_temperature(np.array(margin), np.array([AI, AI, HUMAN, HUMAN]))
    assert found.value == 1.0
    assert why in found.why


def test_log_loss_and_brier_are_scikit_learns():
    margin, labels = planted(2.0)
    found, probability = calibration(margin, labels), 1 / (1 + np.exp(-margin))
    assert found.log_loss == pytest.approx(log_loss(labels == AI, probability))
    assert found.brier == pytest.approx(brier_score_loss(labels == AI, probability))


def test_margins_that_round_to_certainty_have_finite_figures():
    margin, labels = np.array([800.0, -800.0, 800.0]), np.array([AI, HUMAN, HUMAN])
    assert row_log_losses(margin, labels).tolist() == [0.0, 0.0, 800.0]
    assert row_briers(margin, labels).tolist() == [0.0, 0.0, 1.0]
    assert calibration(margin, labels).ece == pytest.approx(1 / 3)


def test_the_bins_are_those_written_out_and_add_up_to_the_calibration_error():
    margin, labels = planted(2.0, rows=500)
    margin[:3] = 0.0, 50.0, -50.0  # confidences of exactly a half and of one
    confidence = np.maximum(1 / (1 + np.exp(-margin)), 1 / (1 + np.exp(margin)))
    right = (margin >= 0) == (labels == AI)
    bins = reliability(margin, labels)
    for found in bins:
        inside = (confidence > found.low) & (confidence <= found.high)
        assert found.rows == inside.sum() > 0
        assert found.confidence == pytest.approx(confidence[inside].mean())
        assert found.accuracy == pytest.approx(right[inside].mean())
        assert found.high - found.low == pytest.approx(1 / ECE_BINS)
    assert sum(found.rows for found in bins) == 500
    error = sum(found.rows * abs(found.accuracy - found.confidence) for found in bins) / 500
    assert calibration(margin, labels).ece == pytest.approx(error)


def test_dividing_by_the_temperature_mends_what_was_planted_and_moves_no_verdict():
    margin, labels = planted(3.0)
    found = fit_temperature(margin, labels)
    before, after = calibration(margin, labels), calibration(margin / found.value, labels)
    assert before.ece > 0.05 > 0.02 > after.ece
    assert before.brier > after.brier
    assert before.log_loss > after.log_loss
    assert ((margin >= 0) == (margin / found.value >= 0)).all()
