"""The two commands of a user on real text with a real pretrained model, against TF-IDF on the same rows:

    python benchmarks/real_text.py --model FOLDER --data FOLDER

FOLDER of the model: a Transformers decoder of about 135M parameters (default: $DETECTOR_REAL_MODEL); of the data:
train, validation and test as parquet, csv or jsonl (default: $DETECTOR_REAL_DATA). A search of 4 trials on 1,000
rows, then a promotion on 2,000 rows for 2 epochs: about 45 minutes on 2 cores. Stopped, it goes on by the same
command with the same --output.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from record import options_of, slug, write_result

from train_fn.config import find_dataset
from train_fn.run_folder import run_name
from train_fn.storage import PROJECT, Paths, read_json, read_lines

MARGIN = 0.05  # of balanced accuracy on test, by which the detector must beat TF-IDF
SEARCH = ("--trials", "4", "--max-rows", "1000")
CHEAP = (
    "batch_size=32",
    "max_length=128",
    "epochs=1",
    "evaluations=4",
    "eval_rows=200",
    "eval_before_rows=0",
)
PROMOTION = ("--best", "--max-rows", "2000", "--set", "epochs=2")


def main() -> int:
    """Search, promote, compare; 1 when the detector does not beat TF-IDF by the margin."""
    options = _options()
    environment = {"WANDB_MODE": "offline", **os.environ}
    common = ("--dataset", options.data, "--model", options.model, "--output", str(options.output))
    overrides = [word for pair in CHEAP for word in ("--set", pair)]
    search_seconds = run(("search/tune.py", *common, *SEARCH, *overrides), environment)
    promotion_seconds = run(("search/promote.py", *common, *PROMOTION), environment)
    figures = compare(options, search_seconds, promotion_seconds)
    print(
        f"test balanced accuracy: detector {figures['detector']['balanced_accuracy']:.4f}, "
        f"TF-IDF {figures['tfidf_balanced_accuracy']:.4f}, ahead by {figures['ahead']:.4f} (needed {MARGIN:g}); "
        f"search {search_seconds / 60:.1f} min, promotion {promotion_seconds / 60:.1f} min"
    )
    print(write_result(options.results, f"real-text-{slug(Path(options.model).name)}", figures))
    return 0 if figures["ahead"] >= MARGIN else 1


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--model", default=os.environ.get("DETECTOR_REAL_MODEL"))
    parser.add_argument("--data", default=os.environ.get("DETECTOR_REAL_DATA"))
    parser.add_argument("--output", type=Path, default=PROJECT / "output" / "real-text" / "output")
    options = parser.parse_args()
    for name in ("model", "data"):
        value = getattr(options, name)
        if value is None or not Path(value).is_dir():
            parser.error(f"--{name} (or DETECTOR_REAL_{name.upper()}) must be a folder, but is {value!r}")
        setattr(options, name, str(Path(value).absolute()))
    return options


def run(words: tuple[str, ...], environment: dict[str, str]) -> float:
    """Run one of the project's commands as a user does; returns its seconds. Ends this one when it fails."""
    print("$", shlex.join(["python", *words]), flush=True)
    started = time.monotonic()
    code = subprocess.run([sys.executable, *words], cwd=PROJECT, env=environment, check=False).returncode
    if code:
        sys.exit(f"{words[0]} ended with exit code {code}")
    return time.monotonic() - started


def compare(options: argparse.Namespace, search_seconds: float, promotion_seconds: float) -> dict[str, Any]:
    """The figures, read from what the two commands left on disk."""
    paths, spec = Paths.of(options.output), find_dataset(options.data)
    folder = paths.output / run_name(options.model, spec, "published")
    found, lineage = read_json(folder / "metrics.json"), read_json(folder / "lineage.json")
    trials = read_lines(paths.studies / lineage["study"] / "trials.jsonl")
    kept = ("number", "status", "cause", "params", "value", "seconds")
    baseline = found["tfidf_balanced_accuracy"]
    return {
        "search": {
            "options": [*SEARCH, *CHEAP],
            "wall_seconds": search_seconds,
            "trials": [{key: trial[key] for key in kept} for trial in trials],
        },
        "promotion": {
            "options": PROMOTION,
            "wall_seconds": promotion_seconds,
            "training_seconds": read_json(folder / "result.json")["seconds"],
            "trial": lineage["trial"],
            "params": lineage["params"],
        },
        "detector": found["test"],
        "tfidf_balanced_accuracy": baseline,
        "ahead": found["test"]["balanced_accuracy"] - baseline,
        "margin": MARGIN,
    }


if __name__ == "__main__":
    sys.exit(main())
