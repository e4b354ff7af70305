"""What a search costs beside its trainings, against the usual nested recipe:

    python benchmarks/search_makespan.py
    python benchmarks/search_makespan.py --rows 10000

Ours is search/tune.py as a user gives it, without a confirmation and stopping nobody, W&B offline. The nested
recipe (benchmarks/nested_recipe.py) starts a TorchTrainer for each trial. Both run 16 trials one at a time,
on the same rows, already tokenised, for the same steps of the same training code with the same threads.
A trial's overhead is the whole command's seconds less those that the trainings took themselves (their steps
and evaluations), over the trials. A search in which no trial gets on for STARVED_SECONDS is ended; its
finished trials count, until the last of them ended. Without --rows the built-in sample; with it a set of that
size is made.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from nested_recipe import nested_search, trials_folder
from record import options_of, write_result
from supervised import Figures, supervised

from search.config import resolve
from search.study import Study
from train_fn.cli import QUIET
from train_fn.config import find_dataset
from train_fn.storage import PROJECT, Paths

TARGET = 8  # times less overhead a trial
TARGET_TRIALS = 16  # what it is promised from: a start, paid once, weighs the more the fewer trials share it
STARVED_SECONDS = (
    180.0  # a nested trial takes up to 28 s to its first step, and its steps to the first evaluation
)
SEED = 1
SETTINGS: dict[str, Any] = {
    "model": "tiny",
    "max_length": 64,
    "epochs": 1,
    "batch_size": 32,
    "lora_dropout": 0,
    "evaluations": 5,
    "eval_rows": 256,
    "eval_before_rows": 0,
    "patience": 100,  # every run is whole
}
OURS = {"grace_percent": 100, "cpus_per_trial": None}  # nobody is stopped; one trial at a time, on all cores
STUDY = "ours"


def main() -> int:
    """Search both ways, print and write the figures; 1 when ours missed the target or a trial."""
    options = _options()
    os.environ.update({**QUIET, "WANDB_MODE": "offline", "PYTHONPATH": str(PROJECT), **os.environ})
    if options.nested:
        nested_search(options.dataset, Paths.of(options.nested), SETTINGS, options.trials)
        return 0
    sides: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths.of(Path(folder) / "output")
        for name, (words, trials) in searches(prepared(options.rows, paths), paths, options.trials).items():
            sides[name] = supervised(words, trials, STARVED_SECONDS, options.limit)
            print(_line(name, sides[name], options.trials), flush=True)
    less = times_less(sides)
    print(
        "the nested recipe finished no trial" if less is None else f"{less:.1f} times less overhead a trial"
    )
    figures = {
        "rows": options.rows or "sample",
        "trials": options.trials,
        "settings": SETTINGS,
        "starved_seconds": STARVED_SECONDS,
        "times_less_overhead": less,
    }
    print(write_result(options.results, f"search-makespan-{figures['rows']}", figures | sides))
    met = less is None or less >= TARGET or options.trials < TARGET_TRIALS
    return 0 if sides["ours"]["finished"] == options.trials and met else 1


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument(
        "--rows", type=int, help="make a set of so many rows, four fifths of them to train on"
    )
    parser.add_argument("--limit", type=float, default=7200, help="seconds after which a search is ended")
    parser.add_argument("--dataset", help=argparse.SUPPRESS)
    parser.add_argument("--nested", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def prepared(rows: int | None, paths: Paths) -> str:
    """The data set, tokenised and audited, so that both searches find that done."""
    from planted import write_planted

    from train_fn.inputs import prepare_inputs

    dataset = str(write_planted(paths.output.parent / "set", rows, SEED)) if rows else "sample"
    spec = find_dataset(dataset)
    prepare_inputs(spec, resolve(spec, SETTINGS, {})[0], paths, print)
    return dataset


def searches(dataset: str, paths: Paths, trials: int) -> dict[str, tuple[list[str], Path]]:
    """Both commands, and where the trials of each have their folders."""
    given = ["--dataset", dataset, "--trials", str(trials)]
    sets = [f"--set={key}={json.dumps(value)}" for key, value in {**SETTINGS, **OURS}.items()]
    own = ["--study", STUDY, "--confirm-seeds", "0", "--output", str(paths.output)]
    return {
        "ours": (
            [sys.executable, str(PROJECT / "search" / "tune.py"), *given, *own, *sets],
            Study(paths.studies / STUDY).folder / "trials",
        ),
        "nested": (
            [
                sys.executable,
                str(PROJECT / "benchmarks" / "search_makespan.py"),
                *given,
                "--nested",
                str(paths.output),
            ],
            trials_folder(paths),
        ),
    }


def times_less(sides: dict[str, Figures]) -> float | None:
    """How many times the nested recipe's overhead a trial is ours; None where it finished no trial."""
    ours, nested = (sides[name]["overhead_seconds"] for name in ("ours", "nested"))
    return nested / ours if ours and nested else None


def _line(name: str, side: Figures, trials: int) -> str:
    beside = side["overhead_seconds"]
    return (
        f"{name:<7}{side['finished']:>3} of {trials} trials in {side['seconds']:.0f} s ({side['ended']}); "
        f"training {side['training_seconds']:.0f} s"
        + (f", {beside:.2f} s a trial beside it" if beside else "")
    )


if __name__ == "__main__":
    sys.exit(main())
