"""The default configuration beside the promoted one: figures of both from the same rows, and named by them.

A promotion makes no run of the default on all rows, which would double its cost. What there is without one, the
search says in lineage.json; a full run of the default that lies in the same output folder is added here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from train_fn.errors import InputError
from train_fn.storage import read_json, write_json
from train_fn.values import Frozen, read_yaml

if TYPE_CHECKING:
    from train_fn.run_folder import RunFolder

FIGURES = ("log_loss", "balanced_accuracy", "auroc")
Figures = dict[str, float]


class Beside(Frozen):
    """Both configurations, trained on `train_rows` rows and scored on the same `rows` of a split; `where` says in
    which runs."""

    where: str
    split: Literal["validation", "test"]
    train_rows: int
    rows: int
    promoted: Figures
    default: Figures


def figures(metrics: Mapping[str, Any]) -> Figures:
    """Those of FIGURES that the metrics have."""
    return {key: metrics[key] for key in FIGURES if metrics.get(key) is not None}


def add_default(run: "RunFolder") -> list[str]:
    """Put the default beside the detector in metrics.json, as `default`; returns the lines to show."""
    lineage, found = read_json(run.folder / "lineage.json"), read_json(run.folder / "metrics.json")
    if "default" not in lineage:
        return []
    beside = [Beside(**each) for each in lineage["default"]["beside"]]
    if lineage["default"]["params"] != lineage["params"]:
        beside += _full_runs(run, lineage, found["test"])
    found["default"] = [each.model_dump() for each in beside]
    write_json(run.folder / "metrics.json", found)
    return [_line(each) for each in beside]


def _line(beside: Beside) -> str:
    ours, theirs = beside.promoted["log_loss"], beside.default["log_loss"]
    return f"default  log loss {theirs:.4f}, promoted {ours:.4f}: {beside.where}"


def _full_runs(run: "RunFolder", lineage: Mapping[str, Any], test: Mapping[str, Any]) -> list[Beside]:
    """Finished runs of the default, of equal settings but these parameters, on the same data and test rows."""
    mine, found = read_yaml(run.folder / "config.yaml"), []
    wanted = {**mine["train"], **lineage["default"]["params"]}
    for file in sorted(run.folder.parent.glob("*/config.yaml")):
        there = file.parent
        try:
            settings = read_yaml(file) if (there / "result.json").exists() else {}
            theirs = read_json(there / "metrics.json").get("test") if settings else None
        except (InputError, OSError):  # another run's damage, or its end meanwhile, is not this one's
            continue
        if (settings.get("dataset"), settings.get("train")) != (mine["dataset"], wanted):
            continue
        if theirs and theirs["rows"] == test["rows"]:
            found.append(
                Beside(
                    where=f"the full run in {there.name}",
                    split="test",
                    train_rows=mine["train"]["max_rows"] or lineage["rows"]["train"],
                    rows=test["rows"],
                    promoted=figures(test),
                    default=figures(theirs),
                )
            )
    return found
