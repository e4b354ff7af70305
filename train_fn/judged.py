"""What a detector is worth, from predictions.parquet alone: evaluation.json, and thresholds.json for its use.

Thresholds and temperature come from validation, every other figure from test.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from train_fn.calibration import (
    Calibration,
    Temperature,
    calibration,
    fit_temperature,
    row_briers,
    row_log_losses,
    weighted_error,
)
from train_fn.groups import Groups
from train_fn.intervals import (
    DRAWS,
    Interval,
    Share,
    mirrored,
    percentiles,
    resample,
    separated,
    weighted_auroc,
)
from train_fn.metrics import Floats, Ints, Metrics, calibration_error, compute
from train_fn.operating import Operation, Rates, operate
from train_fn.scored import Scored, read_scored
from train_fn.storage import read_json, write_json
from train_fn.thresholds import TARGETS, THRESHOLDS, Points, Thresholds, find_thresholds
from train_fn.tokenized import TokenizedSet
from train_fn.values import Frozen

EVALUATION = "evaluation.json"


class Evaluation(Frozen):
    """evaluation.json. `metrics` are at temperature 1 and threshold 0, P(AI_Generated) = 0.5.

    `intervals` are of a bootstrap in `draws` draws over `groups` groups of related test texts; those of `tpr_*`
    and `fpr_*` are of the global thresholds, that of an AUROC of 1 is from `intervals.separated`, that of the ECE
    from `intervals.mirrored`. The intervals in `operation` take all texts for independent.
    """

    version: Literal[1] = 1
    metrics: Metrics
    intervals: dict[str, Interval | None]
    groups: int
    draws: int = DRAWS
    temperature: Temperature
    calibration: dict[Literal["before", "after"], Calibration]
    thresholds: Thresholds
    operation: dict[str, Operation]
    tfidf_balanced_accuracy: float | None


def judge(folder: Path, data: TokenizedSet, groups: Groups) -> None:
    """Write both files into the folder of a full run, evaluation.json last. Raises InputError."""
    predictions = folder / "predictions.parquet"
    validation, test = (read_scored(predictions, split) for split in ("validation", "test"))
    group = groups.group[data.rows("test")["place"].to_numpy()[test.rows]]
    baseline = read_json(folder / "metrics.json").get("tfidf_balanced_accuracy")
    found = evaluate(validation, test, group, baseline)
    for name, value in ((THRESHOLDS, found.thresholds), (EVALUATION, found)):
        write_json(folder / name, value.model_dump(mode="json", by_alias=True))


def evaluate(validation: Scored, test: Scored, group: Ints, tfidf: float | None) -> Evaluation:
    """Judge the scores. `group` [test rows] numbers groups of related rows; `tfidf` is its balanced accuracy."""
    temperature = fit_temperature(validation.margin, validation.labels)
    domains = sorted({*validation.domain.names, *test.domain.names})
    thresholds = find_thresholds(validation, domains, temperature.value)
    return Evaluation(
        metrics=compute(np.stack([test.margin, np.zeros_like(test.margin)], axis=1), test.labels),
        intervals=_intervals(test, group, thresholds.everywhere),
        groups=len(np.unique(group)),
        temperature=temperature,
        calibration={
            "before": calibration(test.margin, test.labels),
            "after": calibration(test.margin / temperature.value, test.labels),
        },
        thresholds=thresholds,
        operation={key: operate(test, thresholds, key) for key in TARGETS},
        tfidf_balanced_accuracy=tfidf,
    )


def _intervals(test: Scored, group: Ints, points: Points) -> dict[str, Interval | None]:
    names, statistic = _statistic(test, points)
    draws = dict(zip(names, resample(statistic, group).T, strict=True))
    found = {name: percentiles(values) for name, values in draws.items()}
    found["ece"] = mirrored(draws["ece"], calibration_error(test.margin, test.labels))
    if found["auroc"] == Interval(low=1.0, high=1.0):
        found["auroc"] = separated(test.labels, group)
    return found


def _statistic(test: Scored, points: Points) -> tuple[list[str], Callable[[Floats], Floats]]:
    """Names of figures, and the figures as a function of the weights [rows] of the test rows."""
    area, error = (make(test.margin, test.labels) for make in (weighted_auroc, weighted_error))
    right, everything = (test.margin >= 0) == test.ai, np.ones(len(test.margin))
    means = {  # of the first over the rows of the second
        "recall_ai": (right, test.ai),
        "recall_human": (right, test.human),
        "log_loss": (row_log_losses(test.margin, test.labels), everything),
        "brier": (row_briers(test.margin, test.labels), everything),
    }
    for key, point in points.items():
        if point.margin is not None:
            called = test.margin >= point.margin
            means |= {f"tpr_at_{key}": (called, test.ai), f"fpr_at_{key}": (called, test.human)}
    over = np.stack([rows for _, rows in means.values()], axis=1).astype(np.float64)
    summed = np.stack([value for value, _ in means.values()], axis=1) * over

    def statistic(weights: Floats) -> Floats:
        found = weights @ summed / (weights @ over)
        return np.array([area(weights), error(weights), found[:2].mean(), *found])

    return ["auroc", "ece", "balanced_accuracy", *means], statistic


def judged_lines(folder: Path) -> list[str]:
    """What a person reads of evaluation.json at the end of a run: at most 8 lines."""
    found = Evaluation(**read_json(folder / EVALUATION))
    area, before, after = found.intervals["auroc"], found.calibration["before"], found.calibration["after"]
    mended = (
        f"ECE {before.ece:.4f} -> {after.ece:.4f}, log loss {before.log_loss:.4f} -> {after.log_loss:.4f}"
    )
    return [
        f"test     AUROC {found.metrics.auroc:.4f}{_told(area, 4)} over {found.groups:,} groups of texts",
        "test     with thresholds from the human texts of validation (thresholds.json):",
        *(line for key, percent in TARGETS.items() for line in _target_lines(percent, found.operation[key])),
        f"test     temperature {found.temperature.value:.3f}: {found.temperature.why or mended}",
    ]


def _target_lines(percent: int, operation: Operation) -> list[str]:
    whole = operation.global_threshold
    if whole.why:
        return [f"test     {whole.why}"]
    return [
        f"test     FPR {percent} %: TPR {_shown(whole.tpr)}, achieved FPR {_shown(whole.fpr)}",
        *_domain_lines(operation.own_threshold_by_domain),
    ]


def _domain_lines(domains: dict[str, Rates]) -> list[str]:
    """One line of the extremes of the domains, each at its own threshold."""
    found = sorted(
        (each.tpr.value, name) for name, each in domains.items() if each.tpr and each.tpr.value is not None
    )
    if not found:
        return ["test       no domain has a threshold of its own"] if domains else []
    (low, worst), (high, best) = found[0], found[-1]
    lacking = len(domains) - len(found)
    none = f"; none for {lacking} of {len(domains)}" if lacking else ""
    return [f"test       by domain, at its own: TPR {low:.3f} ({worst}) to {high:.3f} ({best}){none}"]


def _shown(share: Share | None) -> str:
    return f"{share.value:.3f}{_told(share.interval)}" if share and share.rows else "unknown"


def _told(interval: Interval | None, digits: int = 3) -> str:
    return f" [{interval.low:.{digits}f}, {interval.high:.{digits}f}]" if interval else ""
