"""Does a search find what is to be found?  python benchmarks/search_quality.py --jobs 2

Replays our search, random search and the plain recipe of Ray's example, with 50 seeds each, on made-up
landscapes (landscapes.py) and on the table of real small runs (tiny_table.py). Regret is the true mean log
loss (nats) of what a searcher hands over, less the lowest of the space; cost counts full runs, those of our
confirmation too. The development family is there to improve the search on, the reported one to judge it by,
once.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from landscapes import FAMILIES, KINDS, make
from quality_figures import BUDGETS, TRIALS, Scores, draw, summary, told
from record import options_of, write_result
from tiny_run import config
from tiny_table import TABLE

from search.config import SearchConfig, resolve_search
from search.space import Point
from train_fn.cli import QUIET
from train_fn.errors import InputError
from train_fn.values import parse_sets

SEEDS = 50
REAL = "table"  # of real runs


@dataclass(frozen=True)
class Task:
    """One replay of every searcher."""

    world: str
    family: str
    replay: int
    search: SearchConfig
    noise: float
    table: Path

    @property
    def seed(self) -> int:
        """Of the search; its confirmation takes the next ones."""
        return 100_000 * FAMILIES[self.family] + 100 * self.replay


def main() -> int:
    """Replay, print and write the figures."""
    parser = options_of(__doc__, "the folder for JSON and plot")
    parser.add_argument("--family", choices=list(FAMILIES), default="reported", help="which landscapes")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--noise", type=float, help="of the noisy landscapes, nats [that of the table]")
    parser.add_argument("--table", type=Path, default=TABLE, help="the table of real runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in search.yaml")
    options = parser.parse_args()
    os.environ.update(
        {**QUIET, "OMP_NUM_THREADS": "1"}
    )  # of the processes: their threads fight for the cores
    try:
        measure(options, resolve_search(parse_sets(options.set)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measure(options: argparse.Namespace, search: SearchConfig) -> None:
    """Replay on every world of the family; the reported one has the table too. Raises InputError."""
    real = options.family == "reported"
    about = _about(options, search, real)
    found, started = {}, time.monotonic()
    print(f"{options.family} family; regret (nats), its mean and 90 % interval over {SEEDS} replays")
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for world in (*KINDS, *([REAL] if real else [])):
            tasks = [
                Task(world, options.family, replay, search, about["noise"], options.table.absolute())
                for replay in range(SEEDS)
            ]
            found[world] = list(pool.map(replayed, tasks))
            print(f"\n{world} ({time.monotonic() - started:.0f} s)\n" + told(found[world]), flush=True)
    figures = {**about, "worlds": {world: summary(replays) for world, replays in found.items()}}
    name = f"search-quality-{options.family}"
    path = write_result(options.results, name, figures)
    draw(found, path.with_suffix(".png"))
    print(f"\n{path}\n{path.with_suffix('.png')}")


def _about(options: argparse.Namespace, search: SearchConfig, real: bool) -> dict[str, Any]:
    """What the figures depend on, and how well the table is interpolated."""
    about = {
        "family": options.family,
        "noise": options.noise,
        "replays": SEEDS,
        "trials": TRIALS,
        "budgets": BUDGETS,
        "search": search.model_dump(mode="json"),
    }
    if real or options.noise is None:
        from table_surface import surface

        table = surface(options.table.absolute(), search.space)
        about["table"] = {
            "seed_difference": table.seed_difference,
            "left_out_error": table.left_out_error,
            "best": {**table.best.model_dump(), "loss": table.loss(table.best)},
            "default": table.loss(Point.of(config())),
        }
        about["noise"] = table.seed_difference if options.noise is None else options.noise
    return about


def replayed(task: Task) -> Scores:
    """The scores of every searcher in one replay; a function of the task alone."""
    import optuna
    from replays import replay

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    world: Any
    if task.world == REAL:
        from table_surface import surface

        world = surface(task.table, task.search.space)
    else:
        world = make(task.world, task.family, task.replay, task.search.space, task.noise)
    return replay(world, task.search, Point.of(config()), task.seed)


if __name__ == "__main__":
    sys.exit(main())
