"""What W&B shows of a run beside its numbers: tables, the charts drawn from them, and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from train_fn.config import LABELS
from train_fn.metrics import Metrics

CONFUSION, AREA, BARS = "wandb/confusion_matrix/v1", "wandb/area-under-curve/v0", "wandb/bar/v0"


@dataclass(frozen=True)
class Chart:
    """A table; with a `preset`, W&B's own chart of it, whose `fields` are columns and whose `texts` are titles."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    preset: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """An HTML page, shown as it is."""

    html: str


Shown = Chart | Page


def judged_charts(metrics: Metrics, rows: str) -> dict[str, Chart]:
    """Confusion matrix, ROC and precision-recall curve of an evaluation on such `rows`; no curves of one class."""
    charts = {"confusion_matrix": _confusion(metrics, rows)}
    if not metrics.roc:
        return charts
    positives, negatives = map(sum, metrics.confusion_matrix)
    called = [
        (false, true) for false, true in metrics.roc if false + true
    ]  # without any there is no precision
    roc = [(LABELS[0], false / negatives, true / positives) for false, true in metrics.roc]
    precision = [(LABELS[0], true / positives, true / (false + true)) for false, true in called]
    charts["roc"] = _curve("ROC", rows, roc, {"fpr": "False positive rate", "tpr": "True positive rate"})
    charts["pr"] = _curve("Precision-recall", rows, precision, {"recall": "Recall", "precision": "Precision"})
    return charts


def confusion_counts(metrics: Metrics) -> dict[str, dict[str, int]]:
    """Texts by true label, then by predicted one."""
    return {
        label: dict(zip(LABELS, row, strict=True))
        for label, row in zip(LABELS, metrics.confusion_matrix, strict=True)
    }


def _confusion(metrics: Metrics, rows: str) -> Chart:
    """From counts: `wandb.plot.confusion_matrix` takes predictions only."""
    columns = ("Actual", "Predicted", "nPredictions")
    cells = [
        (actual, predicted, count)
        for actual, row in confusion_counts(metrics).items()
        for predicted, count in row.items()
    ]
    fields = {name: name for name in columns}
    return Chart(columns, cells, CONFUSION, fields, {"title": f"Confusion matrix, {rows}"})


def _curve(name: str, rows: str, points: list[tuple[str, float, float]], axes: dict[str, str]) -> Chart:
    """From points, as `wandb.plot.roc_curve` and `pr_curve` draw theirs."""
    (x, x_title), (y, y_title) = axes.items()
    texts = {"title": f"{name}, {rows}", "x-axis-title": x_title, "y-axis-title": y_title}
    return Chart(("class", x, y), points, AREA, {"x": x, "y": y, "class": "class"}, texts)
