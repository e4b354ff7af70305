"""How much faster two ranks train than one:  python benchmarks/two_ranks.py --model tiny

The same steps of 256 texts by one process and by two that exchange gradients once a step (gloo), each process on a
core of its own with one thread. The efficiency is the ratio of their tokens a second over two. On two cores; the
rounds are those of train_step.py.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from record import options_of, slug, write_result
from rounds import LEVEL, rates, ratio
from train_step import ENVIRONMENT, rounds_of

ONE, TWO = "one rank", "two ranks"
RANKS = {ONE: 1, TWO: 2}
TARGET = 0.8
PASSED = ("max_length", "steps")  # to the process of a side


def main() -> int:
    """Measure, print and write the figures; 1 when the efficiency is below the target."""
    options = _options()
    os.environ.update({**ENVIRONMENT, **os.environ})
    if options.side:
        run_side(options)
        return 0
    rounds = rounds_of(__file__, list(RANKS), options, PASSED)
    faster = ratio(rates(rounds, TWO), rates(rounds, ONE))
    efficiency = {name: value / 2 for name, value in faster.items()}
    exchanged = 4 * rounds[0][TWO]["trained_parameters"]  # bytes: gradients are fp32
    print(
        f"two ranks train {faster['ratio']:.2f} times as fast as one: an efficiency of "
        f"{efficiency['ratio']:.0%} [{efficiency['low']:.0%}, {efficiency['high']:.0%}]; "
        f"{exchanged / 2**20:.1f} MiB of gradients a step"
    )
    about = {key: getattr(options, key) for key in ("max_length", "steps")} | {"level": LEVEL}
    figures = {
        "times_faster": faster,
        "efficiency": efficiency,
        "gradient_bytes": exchanged,
        "rounds": rounds,
    }
    print(write_result(options.results, f"two-ranks-{slug(Path(options.model).name)}", about | figures))
    return 0 if efficiency["ratio"] >= TARGET else 1


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--model", default="tiny", help="tiny, or a Transformers folder")
    parser.add_argument("--steps", type=int, default=2, help="timed optimiser steps, after one more")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, two at least")
    parser.add_argument("--max-length", type=int, default=384, help="tokens at which texts are cut")
    parser.add_argument("--side", choices=RANKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < max(RANKS.values()):
        parser.error("two cores are needed, one for each rank")
    if options.repeats < 2:
        parser.error(f"--repeats must be 2 or more, for an interval, but is {options.repeats}")
    return options


def run_side(options: argparse.Namespace) -> None:
    """The ranks of one side, each in a process; the first one's figures are the last line."""
    from torch.multiprocessing import spawn

    world = RANKS[options.side]
    with tempfile.TemporaryDirectory() as folder:
        task = (options.folder, options.max_length, options.steps)
        spawn(run_rank, (world, f"file://{folder}/meeting", task), nprocs=world)


def run_rank(rank: int, world: int, meeting: str, task: tuple[str, int, int]) -> None:
    """One rank on its own core."""
    import torch
    import torch.distributed as dist
    from recipe_step import Task, product

    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    folder, max_length, steps = task
    figures = product(Task.of(folder, max_length, "cpu", steps))
    if rank == 0:
        print(json.dumps(figures), flush=True)
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
