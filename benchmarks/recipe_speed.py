"""The training step against the usual recipe's, in real (not padding) tokens a second:

    python benchmarks/recipe_speed.py --model tiny
    python benchmarks/recipe_speed.py --model FOLDER --max-length 128 --steps 2

The usual recipe is transformers' Trainer with a weighted loss, bitsandbytes' NF4, PEFT, and batches of 32
padded texts in random order, 8 to a step. Both take the same steps of the same rows with the same threads.
Every side runs in a fresh process, the sides in turn and every other round backwards, so that what slows the
machine down slows all of them; ratios are taken within a round. Three more sides say where the difference
comes from: the base expanded at every product, micro-batches cut without sorting by length, and the recipe
without the gradient checkpointing that prepare_model_for_kbit_training switches on.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processes import watched
from record import RESULTS, slug, write_result

TARGET = {"cpu": 1.5, "cuda": 4.0}  # times the usual recipe's tokens a second
LEVEL = 0.9
STEADY = ("compute_dtype", "attention", "threads", "micro_batches", "real_share", "trained_parameters")
# Huge pages and threads that wait, as the product's commands set them: for all sides alike.
ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1", "OMP_WAIT_POLICY": "PASSIVE", "TRANSFORMERS_VERBOSITY": "error"}
OURS, RECIPE = "ours", "recipe"
PASSED = ("folder", "device", "max_length", "steps")  # to the process of a side

Run = dict[str, Any]


def main() -> int:
    """Measure, print and write the figures; 1 when ours is not faster than the recipe by the target."""
    options = _options()
    os.environ.update({**ENVIRONMENT, **os.environ})
    if options.side:
        run_side(options)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = model_folder(options.model, Path(scratch))
        rounds = [measure(options, number) for number in range(options.repeats)]
    figures = summary(rounds)
    for name, side in figures["sides"].items():
        print(_line(name, side, figures["ours_against"].get(name)))
    about = {key: getattr(options, key) for key in ("device", "max_length", "steps")}
    name = f"recipe-speed-{slug(Path(options.model).name)}-{options.device}"
    print(write_result(options.results, name, about | figures | {"rounds": rounds}))
    return 0 if figures["ours_against"][RECIPE]["ratio"] >= TARGET[options.device] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="tiny", help="tiny, qwen3 (its shapes, random weights) or a folder"
    )
    parser.add_argument("--device", default="cpu", choices=TARGET)
    parser.add_argument(
        "--steps", type=int, default=3, help="timed optimiser steps of 256 texts, after one more"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds, two at least")
    parser.add_argument(
        "--max-length", type=int, default=384, help="tokens at which texts are cut; their mean follows"
    )
    parser.add_argument("--pair", action="store_true", help="ours and the recipe, without what explains")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for the JSON")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error(f"--repeats must be 2 or more, for an interval, but is {options.repeats}")
    return options


def model_folder(name: str, scratch: Path) -> str:
    """The folder of that model; `tiny` and `qwen3` are written into `scratch`."""
    if name == "tiny":
        from train_fn.tiny import write_tiny_model

        write_tiny_model(scratch / name)
    elif name == "qwen3":
        from qwen3 import FULL, write_model

        write_model(scratch / name, FULL.shape)
    else:
        return str(Path(name).absolute())
    return str(scratch / name)


def run_side(options: argparse.Namespace) -> None:
    """One side in this process; its figures are the last line."""
    from recipe_step import SIDES, Task

    task = Task.of(options.folder, options.max_length, options.device, options.steps)
    print(json.dumps(SIDES[options.side](task)))


def measure(options: argparse.Namespace, number: int) -> dict[str, Run]:
    """One round: each side once, each in a process of its own; odd rounds go backwards."""
    from recipe_step import SIDES

    found = {}
    names = [OURS, RECIPE] if options.pair else list(SIDES)
    for name in names[:: -1 if number % 2 else 1]:
        words = [f"--{key.replace('_', '-')}={getattr(options, key)}" for key in PASSED]
        told, memory = watched([sys.executable, __file__, "--side", name, *words])
        found[name] = told | memory
        print(f"round {number + 1}: {name:<24}{told['tokens_per_second']:>9,.0f} tokens/s", flush=True)
    return found


def summary(rounds: Sequence[dict[str, Run]]) -> dict[str, Any]:
    """Medians of every side, and how many times its tokens a second ours has."""
    sides, against = {}, {}
    for name, run in rounds[0].items():
        rates = [found[name]["tokens_per_second"] for found in rounds]
        memory = max(found[name]["VmHWM"] for found in rounds)
        sides[name] = {key: run[key] for key in STEADY} | {
            "tokens_per_second": statistics.median(rates),
            "VmHWM": memory,
        }
        if name != OURS:
            against[name] = ratio([found[OURS]["tokens_per_second"] for found in rounds], rates)
    return {"sides": sides, "ours_against": against, "level": LEVEL}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The geometric mean of paired ratios, and its interval at LEVEL: Student's t over their logarithms."""
    from scipy.stats import ttest_1samp

    logs = [math.log(one / other) for one, other in zip(ours, theirs, strict=True)]
    low, high = ttest_1samp(logs, 0).confidence_interval(LEVEL)
    return {"ratio": math.exp(statistics.mean(logs)), "low": math.exp(low), "high": math.exp(high)}


def _line(name: str, side: Run, against: dict[str, float] | None) -> str:
    line = (
        f"{name:<24}{side['tokens_per_second']:>9,.0f} tokens/s, {side['real_share']:.0%} not padding, "
        f"{side['VmHWM'] / 2**30:.1f} GiB"
    )
    if against is None:
        return line
    return (
        f"{line}; ours has {against['ratio']:.2f} times as many [{against['low']:.2f}, {against['high']:.2f}]"
    )


if __name__ == "__main__":
    sys.exit(main())
