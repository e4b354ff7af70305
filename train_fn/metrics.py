"""How well a detector does, from its logits: one function, plain Python numbers.

The positive class is AI_Generated (label 0); the score of a text is P(AI_Generated) = softmax(logits)[0].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from train_fn.config import LABELS
from train_fn.values import Frozen

ECE_BINS = 15
CURVE_POINTS = 101  # of an ROC curve: more than a plot shows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Metrics(Frozen):
    """One evaluation. Shares lie in [0, 1]; log loss is in nats.

    `auroc`, `tpr_at_fpr_5` and `tpr_at_fpr_1` are None when the rows hold one class only (a subset such as
    one domain): no ROC curve exists there. A split of a run holds both classes, so a run's metrics have them.
    """

    rows: int = Field(ge=1)
    log_loss: float
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    precision_ai: float
    recall_ai: float
    precision_human: float
    recall_human: float
    auroc: float | None
    tpr_at_fpr_5: float | None
    tpr_at_fpr_1: float | None
    ece: float
    confusion_matrix: tuple[tuple[int, int], tuple[int, int]] = Field(
        description=f"rows true, columns predicted, both in the order {', '.join(LABELS)}"
    )
    roc: tuple[tuple[int, int], ...] = Field(
        default=(), exclude=True, description="false and true positives at falling thresholds; for plots"
    )

    def scalars(self) -> dict[str, float]:
        """The numbers of one row of a curve: everything but the confusion matrix and what is undefined."""
        values = self.model_dump(exclude={"confusion_matrix"})
        return {name: value for name, value in values.items() if value is not None}


def compute(logits: NDArray[Any], labels: NDArray[Any]) -> Metrics:
    """Judge `logits` [n, 2] against `labels` [n], which are indices into LABELS.

    A text is predicted AI_Generated when its logit is at least the human one. With one class in `labels`,
    balanced accuracy is the recall of that class. A precision, recall or F1 without any row to count is 0.

    Raises:
        ValueError: on other shapes, no rows, logits that are not finite, or labels other than 0 and 1.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(np.int64)
    _check(scores, truth)
    losses = row_losses(scores, truth)
    predicted = scores.argmax(axis=1)  # a tie goes to index 0, AI_Generated
    matrix = confusion_matrix(truth, predicted, labels=[0, 1])
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=[0, 1], zero_division=0
    )
    margin = scores[:, 0] - scores[:, 1]
    auroc, at_5, at_1, roc = _ranking(margin, truth)
    return Metrics(
        rows=len(truth),
        log_loss=float(losses.mean()),
        accuracy=float((predicted == truth).mean()),
        balanced_accuracy=float(recall[support > 0].mean()),
        macro_f1=float(f1.mean()),
        precision_ai=float(precision[0]),
        recall_ai=float(recall[0]),
        precision_human=float(precision[1]),
        recall_human=float(recall[1]),
        auroc=auroc,
        tpr_at_fpr_5=at_5,
        tpr_at_fpr_1=at_1,
        ece=calibration_error(margin, truth),
        confusion_matrix=((int(matrix[0, 0]), int(matrix[0, 1])), (int(matrix[1, 0]), int(matrix[1, 1]))),
        roc=roc,
    )


def row_losses(logits: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """The unweighted log loss of every row (nats), float64 [n], of `logits` [n, 2] and `labels` [n]."""
    scores = np.asarray(logits, dtype=np.float64)
    losses: Floats = np.logaddexp(scores[:, 0], scores[:, 1]) - scores[np.arange(len(labels)), labels]
    return losses


def calibration_error(margin: Floats, labels: Ints) -> float:
    """Expected calibration error of the predicted class, as Guo et al. 2017 (arXiv:1706.04599, eq. 3).

    `margin` [n] is the AI logit less the human one; the confidence is the larger of the two probabilities,
    sigmoid(|margin|). The sum over bins of (rows in bin / n) * |accuracy - mean confidence|, with 15 bins of
    equal width over (0, 1], right edges inside.
    """
    confidence = 1 / (1 + np.exp(-np.abs(margin)))
    correct = (margin >= 0) == (labels == 0)
    bins = np.ceil(confidence * ECE_BINS).astype(np.int64)
    return float(np.abs(np.bincount(bins, weights=confidence - correct)).sum() / len(labels))


def tpr_at_fpr(labels: Ints, margin: Floats, target: float) -> float:
    """The largest true positive rate on the ROC curve whose false positive rate is at most `target`.

    Positive is AI_Generated (label 0), a false positive is a human's text called AI. Only thresholds that
    exist count, no interpolation between them: the rate can be had on these rows, and never flatters.
    Needs both classes. `margin` [n] orders the rows as the score does.
    """
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(labels == 0, margin, drop_intermediate=False)
    return float(true_rate[false_rate <= target].max())


def _ranking(
    margin: Floats, labels: Ints
) -> tuple[float | None, float | None, float | None, tuple[tuple[int, int], ...]]:
    """AUROC, the two rates and the curve by logit difference: the order of P(AI_Generated) without its rounding
    to 1."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(labels)) < 2:
        return None, None, None, ()
    area = float(roc_auc_score(labels == 0, margin))
    return area, tpr_at_fpr(labels, margin, 0.05), tpr_at_fpr(labels, margin, 0.01), _roc(margin, labels)


def _roc(margin: Floats, labels: Ints) -> tuple[tuple[int, int], ...]:
    """The corners of the ROC curve from (0, 0) on, as counts; of many, CURVE_POINTS at even steps along it."""
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(labels == 0, margin)
    positives = int((labels == 0).sum())
    false, true = np.rint(false_rate * (len(labels) - positives)), np.rint(true_rate * positives)
    some = np.unique(np.linspace(0, len(false) - 1, CURVE_POINTS).round().astype(int))
    return tuple((int(false[at]), int(true[at])) for at in some)


def _check(logits: Floats, labels: Ints) -> None:
    if (
        logits.ndim != 2
        or logits.shape[1] != len(LABELS)
        or labels.shape != logits.shape[:1]
        or not len(labels)
    ):
        raise ValueError(
            f"logits must be [n, 2] and labels [n], n > 0, but got {logits.shape} and {labels.shape}"
        )
    if not np.isfinite(logits).all():
        raise ValueError(f"logits must be finite, but {int((~np.isfinite(logits)).sum())} values are not")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, but hold {np.unique(labels)[:5].tolist()}")
