"""The runs of the table of real small runs: which they are, and how one is trained."""

import shutil
import time
from pathlib import Path
from typing import Any

from search.config import resolve_search
from search.draw import spread
from search.space import Point
from train_fn.config import TrainConfig, find_dataset, resolve_train

CONFIGURATIONS = 121  # the default, and for each of the 20 pairs of rank and ratio some 6 learning rates
SEEDS = (1, 2, 3)  # three give each configuration's mean and its noise
# One run takes some 8 s on a free core. In its 168 steps, learning rates near 1e-3 bring the log loss to 0.57 and
# the default's hardly moves it from 0.69.
SETTINGS: dict[str, Any] = {
    "model": "tiny",
    "max_rows": 672,
    "max_length": 64,  # about the mean of the texts: what is cut off would cost as much as it teaches
    "epochs": 2,
    "batch_size": 8,
    "evaluations": 10,  # so that rungs at 10, 30 and 90 % can be replayed
    "eval_rows": 128,
    "eval_before_rows": 0,
    "patience": 10,  # every curve is whole
}

Run = tuple[int, int, Point]  # the number of a configuration, a seed, the configuration's parameters
Row = dict[str, Any]


def config() -> TrainConfig:
    """SETTINGS over the sample's own; learning rate, rank and alpha are the defaults."""
    return resolve_train(find_dataset("sample"), SETTINGS)


def planned() -> list[Run]:
    """Every run of the table. The first part of it is a smaller table: all seeds of a configuration follow
    each other, and each beginning of the design is spread over the space."""
    points = [Point.of(config()), *spread(resolve_search({}).space, 0, CONFIGURATIONS - 1)]
    return [(number, seed, point) for number, point in enumerate(points) for seed in SEEDS]


def prepare_run(folder: Path) -> tuple[str, Path]:
    """Write the tiny model and the tokenised sample below `folder`; returns where they are."""
    from train_fn.cache import prepare
    from train_fn.model import resolve_model
    from train_fn.source import find_source
    from train_fn.storage import Paths

    spec, settings, paths = find_dataset("sample"), config(), Paths.of(folder / "output")
    model = resolve_model(settings.model, paths, settings.model_revision)
    return model, prepare(find_source(spec, paths=paths), spec, settings, model, paths, print)


def train(run: Run, model: str, data: Path, folder: Path) -> Row:
    """Train one configuration with one seed in this process, with one thread; leaves no files.

    `curve` holds (percent of the run, validation log loss on SETTINGS' eval_rows) and `value` the best
    weights' log loss on all validation rows, both in nats; a failed run has neither.
    """
    import torch

    from train_fn.worker import Job
    from train_fn.worker import run as run_job

    torch.set_num_threads(1)
    number, seed, point = run
    settings = point.apply(config()).model_copy(update={"seed": seed})
    # Of kind "full", which is scored on all of validation.
    job = Job(folder.name, folder, settings, model, data, tracking=None, kind="full")
    rows: list[Row] = []
    started = time.monotonic()
    outcome = run_job(job, rows.append, lambda: "")
    seconds = time.monotonic() - started
    shutil.rmtree(folder, ignore_errors=True)
    complete = outcome.status == "COMPLETE"
    return {
        "config": number,
        "seed": seed,
        **point.model_dump(),
        "status": outcome.status,
        "value": rows[-1]["objective"] if complete else None,
        "curve": [[row["progress"], row["validation_log_loss"]] for row in rows] if complete else [],
        "seconds": round(seconds, 2),
    }
