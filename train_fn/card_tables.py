"""The figures of a model card, as rows of its tables: what evaluation.json says, each number with its interval."""

from collections.abc import Iterable, Mapping
from typing import Any

from train_fn.intervals import Interval, Share
from train_fn.judged import Evaluation
from train_fn.operating import Operation
from train_fn.thresholds import TARGETS

NONE = "-"
SHOWN = {  # of metrics.json
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "tpr_at_fpr_5": "TPR at FPR 5 %, threshold from these rows",
    "tpr_at_fpr_1": "TPR at FPR 1 %, threshold from these rows",
    "log_loss": "log loss, nats",
    "ece": "calibration error (ECE)",
}
INTERVALS = ("balanced_accuracy", "auroc", "log_loss", "ece")  # those that evaluation.json has of them

Row = tuple[str, ...]


def number(value: float | None, decimals: int = 4) -> str:
    """With so many decimals; a dash where there is none."""
    return NONE if value is None else f"{value:.{decimals}f}"


def figures(metrics: Mapping[str, Any], found: Evaluation | None) -> list[Row]:
    """Title, before training, after, 95 % interval, of the figures on test that metrics.json holds."""
    before, intervals = metrics.get("test_before") or {}, found.intervals if found else {}
    keys: Iterable[str] = INTERVALS if found else SHOWN
    rows = [
        (SHOWN[key], number(before.get(key)), number(metrics["test"][key]), _between(intervals.get(key)))
        for key in keys
    ]
    return rows + (_operating(found) if found else [])


def _operating(found: Evaluation) -> list[Row]:
    """What the thresholds of validation and its temperature do on test."""
    rows: list[Row] = []
    for key, percent in TARGETS.items():
        rates = found.operation[key].global_threshold
        told = f"at the threshold for FPR {percent} %"
        if rates.why:
            rows.append((f"TPR {told}", NONE, rates.why, NONE))
            continue
        for name, short, share in (("TPR", "tpr", rates.tpr), ("FPR reached", "fpr", rates.fpr)):
            value = number(share.value if share else None)
            rows.append((f"{name} {told}", NONE, value, _between(found.intervals.get(f"{short}_at_{key}"))))
    after = found.calibration["after"]
    rows.append(("ECE of calibrated probabilities", NONE, number(after.ece), NONE))
    return rows


def domains(operation: Operation) -> list[Row]:
    """Domain, TPR and FPR at its own threshold, TPR and FPR at the global one; nothing where none has one."""
    own, common = operation.own_threshold_by_domain, operation.global_threshold_by_domain
    if operation.global_threshold.why and all(rates.why for rates in own.values()):
        return []
    return [
        (name, own[name].why or _told(own[name].tpr), *map(_told, (own[name].fpr, rates.tpr, rates.fpr)))
        for name, rates in common.items()
    ]


def generators(operation: Mapping[str, Operation]) -> list[Row]:
    """Generator, its texts, and their share that is found at the global threshold of each target."""
    by_target = [operation[key].global_threshold.generators for key in TARGETS]
    names = sorted({name for found in by_target for name in found})
    return [
        (name, f"{_texts(name, by_target):,}", *(_told(found.get(name)) for found in by_target))
        for name in names
    ]


def _texts(name: str, by_target: Iterable[Mapping[str, Share]]) -> int:
    return next(found[name].rows for found in by_target if name in found)


def _told(share: Share | None) -> str:
    return f"{share.value:.3f} {_between(share.interval, 3)}" if share and share.rows else NONE


def _between(interval: Interval | None, decimals: int = 4) -> str:
    return f"[{interval.low:.{decimals}f}, {interval.high:.{decimals}f}]" if interval else NONE
