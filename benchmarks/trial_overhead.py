"""What a trial costs beside its own training:  python benchmarks/trial_overhead.py

A real search (Ray Tune, Optuna, ASHA, W&B offline, TorchTrainer) of 24 tiny trials on the built-in sample runs in
one warm worker. From the end of one trial to the end of the next, what is not the next one's training is
overhead: drawing it, handing it over, its adapter, head and optimiser, its files, its W&B run, recording it.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ray.tune import Callback
from record import options_of, write_result

from search.config import resolve
from search.runner import run_search
from search.study import Study
from train_fn.cli import QUIET
from train_fn.config import find_dataset
from train_fn.storage import Paths

TARGET_SECONDS = 1.0
SETTINGS = {
    "model": "tiny",
    "max_rows": 64,
    "max_length": 64,
    "batch_size": 32,
    "epochs": 2,
    "evaluations": 2,
    "eval_rows": 1000,  # all of validation: its evaluations are a trial's training, and none follows them
    "eval_before_rows": 0,
    "cpus_per_trial": None,  # all cores: one trial after the other
}


class Clock(Callback):  # type: ignore[misc]
    """Notes when trials begin and end, as Tune's loop sees it."""

    def __init__(self) -> None:
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial was handed to the worker."""
        self.began[trial.config["number"]] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended, by itself or stopped by the scheduler, and is recorded."""
        self.ended[trial.config["number"]] = time.monotonic()


def main() -> int:
    """Search, print and write the figures; 1 when the median is over the target."""
    parser = options_of(__doc__)
    parser.add_argument("--trials", type=int, default=24)
    options = parser.parse_args()
    os.environ.update({**QUIET, "WANDB_MODE": "offline", **os.environ})
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        study = search(Paths.of(Path(folder) / "output"), options.trials, clock)
        figures = overhead(study, clock, time.monotonic() - started)
    print(
        f"{figures['trials']} trials in {figures['wall_seconds']:.1f} s; first result after "
        f"{figures['cold_start_seconds']:.1f} s; in the warm worker {figures['median_training_seconds']:.2f} s of "
        f"training a trial and {figures['median_overhead_seconds']:.2f} s beside it (median; at most "
        f"{figures['largest_overhead_seconds']:.2f}, target {TARGET_SECONDS:g})"
    )
    print(write_result(options.results, "trial-overhead", figures))
    return 0 if figures["median_overhead_seconds"] < TARGET_SECONDS else 1


def search(paths: Paths, trials: int, clock: Clock) -> Study:
    """Run the search as tune.py does, with the clock in the place of the live table."""
    spec = find_dataset("sample")
    train, config = resolve(spec, SETTINGS, {"trials": trials, "confirm_seeds": 0})
    return run_search(
        spec, train, config, paths=paths, name=None, say=print, watch=lambda *about: [clock]
    ).study


def overhead(study: Study, clock: Clock, wall: float) -> dict[str, Any]:
    """The figures of a search whose trials ran one after the other."""
    records = sorted(study.records(), key=lambda record: clock.ended[record.number])
    ends = [clock.ended[record.number] for record in records]
    rows = [
        {
            "number": record.number,
            "status": record.status,
            "training_seconds": record.seconds,
            "overhead_seconds": end - before - record.seconds,
        }
        for record, before, end in zip(records[1:], ends, ends[1:], strict=False)
    ]
    beside = [row["overhead_seconds"] for row in rows]
    return {
        "trials": len(records),
        "settings": SETTINGS,
        "wall_seconds": wall,
        "cold_start_seconds": wall - (ends[-1] - ends[0]),
        "median_training_seconds": statistics.median(row["training_seconds"] for row in rows),
        "median_overhead_seconds": statistics.median(beside),
        "largest_overhead_seconds": max(beside),
        "warm_trials": rows,
    }


if __name__ == "__main__":
    sys.exit(main())
