"""Do trials that are packed on one base train faster?  python benchmarks/packed_trials.py --model tiny

The same K trials take the same steps in three ways: one after the other in one warm process with all threads;
in two processes at once with half the threads each, as the two slots of a search; and packed in one process,
with the micro-batches of a plain run shared by all, or as large for each. The ways alternate, so that what else
the machine does meets all. A step is the product's, without evaluation. The tiny model trains as it does on the
sample, a folder as it does on 10k: random tokens with the lengths of those sets.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from packed_slots import BEGIN, Order, Setting, Slot
from record import options_of, slug, write_result

from search.space import Point
from train_fn.cli import QUIET
from train_fn.config import TrainConfig, find_dataset, resolve_train
from train_fn.errors import InputError
from train_fn.storage import Paths
from train_fn.values import parse_sets

# Rank and learning rate, from all over the search space; two slots that take every other one get equal work.
TRIALS = ((64, 5e-4), (16, 1e-4), (4, 1e-3), (8, 2e-4), (32, 2e-5))
MEAN_TOKENS = {"sample": 51, "10k": 290}  # counted with the tiny tokenizer; as published
IN_TURN, AT_ONCE, PACKED, WIDE = "one after the other", "two at once", "packed", "packed, more memory"
LEVEL = 0.9

Cost = tuple[float, float]  # seconds, and the processor's seconds of all processes
Costs = dict[str, list[Cost]]  # by way, of each round


def main() -> int:
    """Measure, print and write the figures; 2 for a bad input."""
    options = _options()
    os.environ.update({**QUIET, **os.environ})
    try:
        figures = measure(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, rates in figures["samples_per_second"].items():
        processor = np.median(figures["samples_per_processor_second"][name])
        print(
            f"{name:<20} {np.median(rates):8.1f} samples/s ({min(rates):.1f} to {max(rates):.1f}), "
            f"{processor:.1f} a second of the processor"
        )
    for name, found in figures["gain"].items():
        print(
            f"{name} against {figures['better']}: {found['ratio']:.2f} times "
            f"({LEVEL:.0%} interval {found['low']:.2f} to {found['high']:.2f})"
        )
    print(write_result(options.results, f"packed-trials-{slug(Path(options.model).name)}", figures))
    return 0


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--model", default="tiny", help="tiny, or a Transformers folder")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps of each trial")
    parser.add_argument("--repeats", type=int, default=10, help="rounds of all ways, after one to warm up")
    parser.add_argument("--set", action="append", default=[], help="key=value, of configs/train.yaml")
    options = parser.parse_args()
    for name, least in (("trials", 2), ("steps", 1), ("repeats", 2)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, but is {getattr(options, name)}")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Samples a second of each way in each round, and what packing gains. Raises InputError."""
    import torch

    from train_fn.model import resolve_model

    dataset = "sample" if options.model == "tiny" else "10k"
    given = {"model": options.model, **parse_sets(options.set), "epochs": 1}  # of rows for all steps
    config = resolve_train(find_dataset(dataset), given)
    config = config.on_device("cuda" if torch.cuda.is_available() else "cpu")
    configs, threads = trial_configs(config, options.trials), torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        model = resolve_model(config.model, Paths.of(Path(folder) / "output"))
        setting = Setting(model, config, MEAN_TOKENS[dataset], options.steps)
        costs, about = alternate(ways(setting, configs, threads), options.repeats)
    samples = options.trials * options.steps * config.batch_size
    rates = {way: [samples / seconds for seconds, _ in rounds] for way, rounds in costs.items()}
    return {
        "config": config.model_dump(mode="json"),
        "trials": [Point.of(each).model_dump() for each in configs],
        "steps": options.steps,
        "threads": threads,
        **about,
        **compare(rates),
        "samples_per_second": rates,
        "samples_per_processor_second": {
            way: [samples / processor for _, processor in rounds] for way, rounds in costs.items()
        },
    }


def ways(setting: Setting, configs: list[TrainConfig], threads: int) -> dict[str, dict[Slot, Order]]:
    """Who is ordered what, by the name of the way."""
    whole, budget = Slot(setting, threads), setting.config.token_budget
    halves = [Slot(setting, max(1, threads // 2)) for _ in range(2)]
    return {
        IN_TURN: {whole: Order(configs)},
        AT_ONCE: {slot: Order(configs[n::2]) for n, slot in enumerate(halves)},
        PACKED: {whole: Order(configs, budget)},
        WIDE: {whole: Order(configs, budget * len(configs))},
    }


def trial_configs(config: TrainConfig, count: int) -> list[TrainConfig]:
    """`count` trials that differ in rank, alpha (twice the rank) and learning rate; after five they repeat."""
    own = [TRIALS[number % len(TRIALS)] for number in range(count)]
    return [
        Point(learning_rate=rate, lora_rank=rank, lora_alpha=2 * rank).apply(config) for rank, rate in own
    ]


def alternate(orders: Mapping[str, Mapping[Slot, Order]], repeats: int) -> tuple[Costs, dict[str, Any]]:
    """The costs of each way in each round but the first, which warms up; and what a slot trains on."""
    names, about = list(orders), {}
    costs: Costs = {name: [] for name in names}
    for number in range(repeats + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            cost, about = timed(orders[name])
            if number:
                costs[name].append(cost)
    return costs, about


def timed(orders: Mapping[Slot, Order]) -> tuple[Cost, dict[str, Any]]:
    """What the orders cost, from the moment when all slots are prepared until all have carried them out."""
    for slot, order in orders.items():
        slot.tell(order)
    about = [slot.wait() for slot in orders]
    started = time.perf_counter()
    for slot in orders:
        slot.tell(BEGIN)
    processor = sum([slot.wait() for slot in orders])
    return (time.perf_counter() - started, processor), about[0]


def compare(rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The better of the two unpacked ways, and the ratio of each packed one to it: the geometric mean over the
    rounds, with Student's interval of its logarithm at LEVEL."""
    from scipy.stats import ttest_1samp

    logs = {way: np.log(values) for way, values in rates.items()}
    better = max((IN_TURN, AT_ONCE), key=lambda way: logs[way].mean())
    gain = {}
    for way in (PACKED, WIDE):
        paired = logs[way] - logs[better]
        low, high = ttest_1samp(paired, 0).confidence_interval(LEVEL)
        ratio, low, high = (math.exp(value) for value in (paired.mean(), low, high))
        gain[way] = {"ratio": ratio, "low": low, "high": high}
    return {"better": better, "gain": gain}


if __name__ == "__main__":
    sys.exit(main())
