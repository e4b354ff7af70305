"""The leakage premium: what a detector's test score owes to rows whose twins it was trained on."""

import math
from collections.abc import Mapping
from typing import Any

from train_fn.run_folder import RunFolder
from train_fn.storage import Paths, read_json
from train_fn.values import read_yaml

GROUPED = "-grouped"
SHOWN = ("balanced_accuracy", "auroc", "log_loss")


def premium_lines(run: RunFolder, paths: Paths) -> list[str]:
    """Lines for the reader when the run exists on published and on grouped splits; else none.

    The premium is the metric on published minus the metric on grouped splits.
    """
    name = run.name.removesuffix(GROUPED)
    pair = [RunFolder.of(paths, name), RunFolder.of(paths, name + GROUPED)]
    if not all(one.finished and (one.folder / "metrics.json").exists() for one in pair):
        return []
    published, grouped = (read_json(one.folder / "metrics.json")["test"] for one in pair)
    doubt = 1.96 * math.hypot(_standard_error(published), _standard_error(grouped))
    lines = [
        f"leakage  {key}: {published[key]:.4f} on published splits, {grouped[key]:.4f} on grouped: "
        f"premium {published[key] - grouped[key]:+.4f}"
        + (f" (95 %: +- {doubt:.4f})" if key == "balanced_accuracy" else "")
        for key in SHOWN
    ]
    settings = [read_yaml(one.folder / "config.yaml")["train"] for one in pair]
    others = sorted(
        key for key in settings[0] if settings[0][key] != settings[1].get(key) and key != "splits"
    )
    if others:
        lines.append(f"leakage  the two runs differ in {', '.join(others)} too, so not all of it is leakage")
    return lines


def _standard_error(metrics: Mapping[str, Any]) -> float:
    """Of the balanced accuracy: half of each class's recall, each a binomial share of its rows."""
    variance = 0.0
    for row, counts in enumerate(metrics["confusion_matrix"]):
        recall = counts[row] / sum(counts)
        variance += recall * (1 - recall) / sum(counts)
    return math.sqrt(variance) / 2
