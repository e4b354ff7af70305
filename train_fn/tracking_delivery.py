"""The delivered detector in W&B: a run of its own, which is made from the data and the study, and makes the model.

It cannot be the run of the training, which has ended in another process: of a run in two parts, `wandb sync` keeps
the summary and the duration of the later part only.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from train_fn.config import PROJECT_NAME, TrainConfig
from train_fn.metrics import Metrics, compute
from train_fn.run_folder import RunFolder
from train_fn.scored import read_scored
from train_fn.storage import Paths, read_json
from train_fn.thresholds import THRESHOLDS
from train_fn.tracking import Files, RunInfo, close_all, guarded, open_tracker, tracked
from train_fn.tracking_charts import judged_charts

# Small, and all that `predict.py --run` and a reader need beside the adapter.
RECORDS = (
    "README.md config.yaml lineage.json metrics.json evaluation.json thresholds.json confusion_matrix.json "
    "audit.json facts.json result.json merged/agreement.json"
).split()
STUDY_FILES = ("config.yaml", "trials.jsonl", "confirm.jsonl", "best.json")


def track_delivery(run: RunFolder, config: TrainConfig, data: Path, paths: Paths) -> None:
    """Show a finished run, trained on the tokenised `data`. Waits until that is done; an error is a warning."""
    if tracked():
        guarded(lambda: _track(run, config, data, paths))
        close_all()


def study_files(folder: Path) -> Files:
    """A study's record, as the study's own run makes it and a promotion uses it."""
    return Files(_name("study", folder.name), "study", _there(folder, STUDY_FILES), {"study": folder.name})


def data_files(data: Path) -> Files:
    """What was tokenised, and how: the set's own description, not its rows."""
    meta = read_json(data / "meta.json")
    about = {key: meta[key] for key in ("dataset", "source", "revision", "fingerprint", "split_hash")}
    return Files(_name("data", meta["dataset"]), "dataset", {"meta.json": data / "meta.json"}, about)


def model_files(run: RunFolder) -> Files:
    """The detector without `merged/`, a folder that `predict.py --run` takes."""
    adapter = [f"adapter/{file.name}" for file in sorted((run.folder / "adapter").iterdir())]
    about = {"run": run.run_id, **_lineage(run)}
    return Files(_name("detector", run.name), "model", _there(run.folder, [*adapter, *RECORDS]), about)


def _track(run: RunFolder, config: TrainConfig, data: Path, paths: Paths) -> None:
    lineage = _lineage(run)
    study, dataset = lineage.get("study"), str(lineage["dataset"]["name"])
    charts = judged_charts(_test_metrics(run), "test")
    found, thresholds = read_json(run.folder / "metrics.json"), read_json(run.folder / THRESHOLDS)
    tracker = open_tracker(
        RunInfo(
            id=f"{run.run_id}-delivery",
            name=f"{run.name}, delivered",
            group=str(study or run.name),
            job_type="delivery",
            project=PROJECT_NAME,
            config={**config.model_dump(mode="json"), "lineage": lineage},
            tags=(dataset, "delivery"),
            folder=run.logs,
        )
    )
    tracker.used(data_files(data))
    if study and (paths.studies / study).is_dir():
        tracker.used(study_files(paths.studies / study))
    if config.wandb_log_model != "none":
        tracker.made(model_files(run))
    tracker.log(charts, 0)
    tracker.finish("COMPLETE", {**found, "thresholds": thresholds["global"]})


def _lineage(run: RunFolder) -> dict[str, Any]:
    """From which trial, study and revision of the data; the command line is nobody's business."""
    found = dict(read_json(run.folder / "lineage.json"))
    del found["command"]
    return found


def _test_metrics(run: RunFolder) -> Metrics:
    test = read_scored(run.folder / "predictions.parquet", "test")
    return compute(np.stack([test.margin, np.zeros_like(test.margin)], axis=1), test.labels)


def _there(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    return {name: folder / name for name in names if (folder / name).is_file()}


def _name(*parts: str) -> str:
    """As W&B allows: at most 128 letters, digits, '-', '_' and '.'."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))[:128]
