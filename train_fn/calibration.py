"""Whether P(AI_Generated) means what it says, and the temperature that mends it."""

import math
from collections.abc import Callable

import numpy as np

from train_fn.metrics import ECE_BINS, Floats, Ints, calibration_error
from train_fn.values import Frozen

WIDEST = 10.0  # of log T either way: a temperature beyond e^10 is none


class Temperature(Frozen):
    """What margins are divided by. It is 1 where none can be fitted, and `why` says so."""

    value: float
    why: str = ""


class Bin(Frozen):
    """The `rows` whose confidence lies above `low` and at most at `high`: their mean confidence and accuracy."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


class Calibration(Frozen):
    """Log loss in nats; Brier score, the mean squared error of P(AI_Generated); ECE and the bins it sums."""

    log_loss: float
    brier: float
    ece: float
    reliability: tuple[Bin, ...]


def fit_temperature(margin: Floats, labels: Ints) -> Temperature:
    """The T with the least log loss of sigmoid(margin / T), as Guo et al. 2017 (arXiv:1706.04599, section 4.2).

    `margin` [rows] is the AI logit less the human one. The log loss is convex in 1 / T. It has no least value at a
    T above 0 where no text lies on the wrong side, for then it falls with T for ever, and none at a finite T where
    the margins do not point the right way in the mean.
    """
    from scipy.optimize import minimize_scalar

    right = _towards_truth(margin, labels)
    if right.min() >= 0:
        return Temperature(value=1.0, why="no validation text is misclassified")
    if right.mean() <= 0:
        return Temperature(value=1.0, why="the scores of validation point the wrong way")
    found = minimize_scalar(
        lambda log_t: np.logaddexp(0, -right / math.exp(log_t)).mean(),
        bounds=(-WIDEST, WIDEST),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return Temperature(value=math.exp(found.x))


def calibration(margin: Floats, labels: Ints) -> Calibration:
    """How far probabilities sigmoid(margin) can be believed; `margin` and `labels` are [rows]."""
    return Calibration(
        log_loss=float(row_log_losses(margin, labels).mean()),
        brier=float(row_briers(margin, labels).mean()),
        ece=calibration_error(margin, labels),
        reliability=tuple(reliability(margin, labels)),
    )


def row_log_losses(margin: Floats, labels: Ints) -> Floats:
    """The log loss of each row in nats, [rows]."""
    losses: Floats = np.logaddexp(0, -_towards_truth(margin, labels))
    return losses


def row_briers(margin: Floats, labels: Ints) -> Floats:
    """The squared error of P(AI_Generated) of each row, [rows] (Brier 1950, of one class)."""
    from scipy.special import expit

    errors: Floats = expit(-_towards_truth(margin, labels)) ** 2
    return errors


def weighted_error(margin: Floats, labels: Ints) -> Callable[[Floats], float]:
    """`metrics.calibration_error` as a function of the weights [rows] of the rows."""
    from scipy.special import expit

    confidence, right = expit(np.abs(margin)), (margin >= 0) == (labels == 0)
    number, gap = np.ceil(confidence * ECE_BINS).astype(np.int64), confidence - right

    def error(weights: Floats) -> float:
        return float(np.abs(np.bincount(number, weights=weights * gap)).sum() / weights.sum())

    return error


def reliability(margin: Floats, labels: Ints) -> list[Bin]:
    """The bins of `metrics.calibration_error` that hold rows: of the confidence in the predicted class."""
    from scipy.special import expit

    confidence, right = expit(np.abs(margin)), (margin >= 0) == (labels == 0)
    number = np.ceil(confidence * ECE_BINS).astype(np.int64)
    return [
        Bin(
            low=(each - 1) / ECE_BINS,
            high=each / ECE_BINS,
            rows=int((number == each).sum()),
            confidence=float(confidence[number == each].mean()),
            accuracy=float(right[number == each].mean()),
        )
        for each in np.unique(number).tolist()
    ]


def _towards_truth(margin: Floats, labels: Ints) -> Floats:
    """How far each score lies on the side of its label."""
    return np.where(labels == 0, margin, -margin)
