"""The training step against the usual recipe's, in real (not padding) tokens a second:

    python benchmarks/train_step.py --model tiny
    python benchmarks/train_step.py --model FOLDER --max-length 128 --steps 1

The usual recipe is transformers' Trainer with a weighted loss, bitsandbytes' NF4, PEFT, and batches of 32
padded texts in random order, 8 to a step. Both take the same steps of the same rows with the same threads.
Every side runs in a fresh process, the sides in turn and every other round backwards, so that what slows the
machine down slows all of them; ratios are taken within a round. Three more sides say where the difference
comes from: the base expanded at every product, micro-batches cut without sorting by length, and the recipe
without the gradient checkpointing that prepare_model_for_kbit_training switches on. One more step of each side
is profiled.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record import options_of, slug, write_result
from rounds import LEVEL, Run, measure, rates, ratio

TARGET = {"cpu": 1.5, "cuda": 4.0}  # times the usual recipe's tokens a second
STEADY = (
    "compute_dtype",
    "attention",
    "threads",
    "micro_batches",
    "real_share",
    "trained_parameters",
    "costs",
)
# Huge pages and threads that wait, as the product's commands set them: for all sides alike.
ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1", "OMP_WAIT_POLICY": "PASSIVE", "TRANSFORMERS_VERBOSITY": "error"}
OURS, RECIPE = "ours", "recipe"
LARGEST = 3  # costs of a step that are named
PASSED = ("device", "max_length", "steps")  # to the process of a side


def main() -> int:
    """Measure, print and write the figures; 1 when ours is not faster than the recipe by the target."""
    options = _options()
    os.environ.update({**ENVIRONMENT, **os.environ})
    if options.side:
        run_side(options)
        return 0
    rounds = rounds_of(__file__, sides(options), options, PASSED)
    figures = summary(rounds)
    for name, side in figures["sides"].items():
        print(_line(name, side, figures["ours_against"].get(name)))
        print("    " + ", ".join(f"{cost['name']} {cost['share']:.0%}" for cost in side["costs"][:LARGEST]))
    about = {key: getattr(options, key) for key in ("device", "max_length", "steps")}
    name = f"train-step-{slug(Path(options.model).name)}-{options.device}"
    print(write_result(options.results, name, about | figures | {"rounds": rounds}))
    return 0 if figures["ours_against"][RECIPE]["ratio"] >= TARGET[options.device] else 1


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
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
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error(f"--repeats must be 2 or more, for an interval, but is {options.repeats}")
    return options


def rounds_of(
    script: str, names: Sequence[str], options: argparse.Namespace, passed: Sequence[str]
) -> list[dict[str, Run]]:
    """The rounds of a script's sides, each of which is given the `passed` options and the model's folder."""
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = model_folder(options.model, Path(scratch))
        given = {key: getattr(options, key) for key in ("folder", *passed)}
        return measure(script, names, given, options.repeats)


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


def sides(options: argparse.Namespace) -> list[str]:
    """Their names."""
    from recipe_step import SIDES

    return [OURS, RECIPE] if options.pair else list(SIDES)


def run_side(options: argparse.Namespace) -> None:
    """One side in this process; its figures are the last line."""
    from recipe_step import SIDES, Task

    task = Task.of(options.folder, options.max_length, options.device, options.steps)
    print(json.dumps(SIDES[options.side](task)))


def summary(rounds: Sequence[dict[str, Run]]) -> dict[str, Any]:
    """Medians of every side, and how many times its tokens a second ours has."""
    found, against = {}, {}
    for name, run in rounds[0].items():
        memory = max(each[name]["VmHWM"] for each in rounds)
        found[name] = {key: run[key] for key in STEADY} | {
            "tokens_per_second": statistics.median(rates(rounds, name)),
            "VmHWM": memory,
        }
        if name != OURS:
            against[name] = ratio(rates(rounds, OURS), rates(rounds, name))
    return {"sides": found, "ours_against": against, "level": LEVEL}


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
