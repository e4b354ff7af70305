"""The usual search: every trial of Ray Tune starts a TorchTrainer of its own, which starts a worker.

As Ray's guide sets it up for Train V2 (docs.ray.io, "Hyperparameter Tuning with Ray Tune"): a driver
function, `TuneReportCallback`, and `max_concurrent_trials` so that no more trials start than find room;
OptunaSearch draws them. What the worker runs is the product's own training. It keeps no W&B run, which a trial
of ours does.
"""

import os
import time
from pathlib import Path
from typing import Any

from supervised import WAITED

from search.config import resolve
from search.machine import CHOICES
from search.scheduler import METRIC, MODE
from search.space import Point, distributions
from train_fn.config import TrainConfig, find_dataset
from train_fn.job import Job
from train_fn.state import Row
from train_fn.storage import Paths, write_json


def nested_search(dataset: str, paths: Paths, settings: dict[str, Any], trials: int) -> None:
    """Search as a user's script does, one trial at a time; trials leave their files in `trials_folder`."""
    import ray
    from ray.tune import RunConfig, TuneConfig, Tuner
    from ray.tune.search.optuna import OptunaSearch

    from train_fn.hardware import gpu_names
    from train_fn.inputs import prepare_inputs

    spec = find_dataset(dataset)
    train, about = resolve(spec, settings, {})
    inputs = prepare_inputs(spec, train, paths, print)
    os.environ.update(CHOICES)
    ray.init(address="local")  # never another's cluster
    constants = {
        "train": train.model_dump(mode="json"),
        "model": inputs.model,
        "data": str(inputs.data),
        "folder": str(trials_folder(paths)),
        "gpu": bool(gpu_names()),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),  # as a trial of ours has
    }
    Tuner(
        train_driver_fn,
        param_space=constants,
        tune_config=TuneConfig(
            search_alg=OptunaSearch(distributions(about.space), metric=METRIC, mode=MODE, seed=train.seed),
            num_samples=trials,
            max_concurrent_trials=1,
        ),
        run_config=RunConfig(name="tune", storage_path=str(paths.output / "nested")),
    ).fit()


def trials_folder(paths: Paths) -> Path:
    """Where each trial has a folder."""
    return paths.output / "nested" / "trials"


def train_driver_fn(config: dict[str, Any]) -> None:
    """A trial: a Train run of its own."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune import get_context
    from ray.tune.integration.ray_train import TuneReportCallback

    trial = get_context().get_trial_id()
    folder = Path(config["folder"])
    job = Job(
        run_id=trial,
        folder=folder / trial,
        train=Point.from_drawn(config).apply(TrainConfig.model_validate(config["train"])),
        model=config["model"],
        data=Path(config["data"]),
        tracking=None,
        kind="trial",
    )
    TorchTrainer(
        train_fn_per_worker,
        train_loop_config={"job": job, "threads": config["threads"]},
        scaling_config=ScalingConfig(num_workers=1, use_gpu=config["gpu"]),
        run_config=RunConfig(
            name=f"train-{trial}", storage_path=str(folder.parent), callbacks=[TuneReportCallback()]
        ),
    ).fit()


def train_fn_per_worker(config: dict[str, Any]) -> None:
    """What the worker of a trial runs."""
    import torch

    from train_fn.worker import run

    torch.set_num_threads(config["threads"])
    run(config["job"], Reports(config["job"].folder), lambda: "")


class Reports:
    """Hands rows to Train, which takes one a poll, and notes for how long the training stood still for it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._waited = folder, 0.0

    def __call__(self, row: Row) -> None:
        """Hand over a row; what comes after the last one is no longer the training's time."""
        from ray.train import report

        if row.get("done"):
            write_json(self._folder / WAITED, {"seconds": self._waited})
        started = time.monotonic()
        report({METRIC: row["objective"]})
        self._waited += time.monotonic() - started
