"""A table of real small runs over the search space:  python benchmarks/tiny_table.py --jobs 2

The default configuration and a scrambled Halton design, each with three seeds, train the tiny model on the
built-in sample; every run's whole curve is kept, so that searches can be replayed on it (search_quality.py).
Each process trains with one thread and keeps the base warm. A run's line is appended when it has ended:
killed at any moment, the same command goes on with what is missing.
"""

import argparse
import fcntl
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path

from record import circumstances
from tiny_run import Run, config, planned, prepare_run, train

from search.config import resolve_search
from train_fn.cli import QUIET
from train_fn.errors import InputError
from train_fn.storage import PROJECT, append_line, read_lines

TABLE = PROJECT / "benchmarks" / "data" / "tiny-table.jsonl"


def main() -> int:
    """Compute what is missing of the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--table", type=Path, default=TABLE, help="where the runs are kept")
    options = parser.parse_args()
    os.environ.update({**QUIET, "OMP_NUM_THREADS": "1"})
    try:
        with opened(options.table) as done:
            missing = [run for run in planned() if run[:2] not in done]
            print(f"{len(done)} runs are there, {len(missing)} are missing", flush=True)
            compute(options.table, missing, options.jobs)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what ended is kept, the same command goes on", file=sys.stderr)
        return 130
    print(options.table)
    return 0


@contextmanager
def opened(table: Path) -> Iterator[set[tuple[int, int]]]:
    """Be the only one that adds to the table; yields (configuration, seed) of the runs that it holds. Its
    first line says what it is a table of.

    Raises InputError when another process is adding to it, or when it is of other settings.
    """
    space = resolve_search({}).space.model_dump()
    about = {"train": config().model_dump(mode="json"), "space": space}
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is adding to {table}; wait for it, or end it") from error
        lines = read_lines(table)
        if not lines:
            append_line(table, {"about": about, "made": circumstances()})
        elif lines[0].get("about") != about:
            raise InputError(
                f"{table} must be of these settings and this space, but is of others; "
                "move it away, or give another --table"
            )
        yield {(row["config"], row["seed"]) for row in lines[1:]}


def compute(table: Path, missing: list[Run], jobs: int) -> None:
    """Train the missing runs in `jobs` processes and append each when it has ended; raises what a run raises."""
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        model, data = prepare_run(Path(folder))
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_obey_parent)
        started = time.monotonic()
        try:
            futures = [
                pool.submit(train, run, model, data, Path(folder) / f"{run[0]}-{run[1]}") for run in missing
            ]
            for number, future in enumerate(as_completed(futures), 1):
                row = future.result()
                append_line(table, row)
                rate = number / (time.monotonic() - started)
                print(
                    f"{number}/{len(missing)}  configuration {row['config']}, seed {row['seed']}: "
                    f"{row['status']}, log loss {row['value']}, {row['seconds']:.1f} s; {60 * rate:.1f} runs "
                    f"a minute, about {(len(missing) - number) / rate / 60:.0f} min left",
                    flush=True,
                )
        finally:
            pool.shutdown(cancel_futures=True)


def _obey_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it: a process whose parent was killed would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
