"""How the work on the data grows with its rows:  python benchmarks/data_scale.py --rows 100000 1000000 2000000

Makes a planted set of each size and runs each stage, as a user's first and second start do, in a process of its
own. A stage's seconds are without its imports; those of the processor, of all its processes together, say more
on a busy machine. Memory is that of the biggest process of the stage: at its peak
(VmHWM, mapped files among it), and the anonymous part (RssAnon, sampled), which no other process can share.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from processes import processor_seconds, watched
from record import options_of, write_result

from train_fn.cache import open_set, prepare
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.source import find_source
from train_fn.storage import Paths

SEED = 1
MAX_LENGTH = 384  # tokens, as the default
CLOCKS = ("seconds", "processor_seconds")


class Bench:
    """The stages on one set, each what a command does."""

    def __init__(self, folder: Path) -> None:
        self.spec = DatasetSpec(name="planted", path=folder / "set")
        self.paths = Paths(folder / "output")
        self.model = str(folder / "model")

    def load(self) -> None:
        """Read the files and check every row."""
        from train_fn.data import load_splits

        load_splits(self.spec, paths=self.paths)

    def groups(self) -> None:
        """Find which rows are related."""
        from train_fn.groups import find_groups

        find_groups(find_source(self.spec, paths=self.paths), self.spec.slug, self.paths, note)

    def tokenise(self) -> None:
        """The first start on the published splits."""
        self._prepare(self._config("published"))

    def audit(self) -> None:
        """Judge the set in full, its rows being grouped and tokenised."""
        from train_fn.inputs import audit

        audit(self.spec, self._config("published"), self.paths, note, True)

    def resplit(self) -> None:
        """The first start on grouped splits, the tokens being there."""
        self._prepare(self._config("grouped"))

    def second_start(self) -> None:
        """The next start on them."""
        self._prepare(self._config("grouped"))

    def trial_start(self) -> None:
        """What a trial does before its first step, of the data."""
        from train_fn.rows import training_data

        config = self._config("grouped")
        (folder,) = (
            file.parent
            for file in self.paths.tokenized_cache.glob("planted/*/meta.json")
            if open_set(file.parent).meta.splits_kind == "grouped"
        )
        started = time.monotonic()
        training_data(config, open_set(folder))
        note(f"open_set and training_data: {time.monotonic() - started:.3f} s")

    def _config(self, splits: str) -> TrainConfig:
        return TrainConfig.model_validate({"model": self.model, "max_length": MAX_LENGTH, "splits": splits})

    def _prepare(self, config: TrainConfig) -> None:
        source = find_source(self.spec, paths=self.paths)
        prepare(source, self.spec, config, self.model, self.paths, note)


STAGES = ("load", "groups", "tokenise", "audit", "resplit", "second_start", "trial_start")


def note(line: str) -> None:
    """What a stage says goes to stderr: its last line on stdout is its time."""
    print(f"  {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print and write the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--scratch", type=Path, help="where the sets are made and removed [a temporary folder]"
    )
    parser.add_argument("--stage", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(*options.stage)
        return
    runs = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            runs += measure(Path(folder), rows)
        growth = {key: exponents(runs, key) for key in CLOCKS}
        found = {"max_length": MAX_LENGTH, "seed": SEED, "runs": runs, "exponents": growth}
        written = write_result(options.results, "data-scale", found)  # after each size: the last take an hour
    for stage in growth["seconds"]:
        powers = " and ".join(f"{growth[key][stage]:.2f} ({key})" for key in CLOCKS)
        print(f"{stage:<14} grows as rows to the power of {powers}")
    print(written)


def run_stage(name: str, folder: str) -> None:
    """One stage in this process: its libraries first, then its work against the clock."""
    import datasets  # noqa: F401
    from transformers import PreTrainedTokenizerFast  # noqa: F401

    import train_fn.model
    import train_fn.splits
    import train_fn.worker  # noqa: F401

    work: Callable[[], None] = getattr(Bench(Path(folder)), name)
    started, used = time.monotonic(), processor_seconds()
    work()
    found = {"seconds": time.monotonic() - started, "processor_seconds": processor_seconds() - used}
    print(json.dumps(found))


def measure(folder: Path, rows: int) -> list[dict[str, Any]]:
    """The figures of every stage on a set of so many rows, made in `folder`."""
    from planted import write_planted

    from train_fn.tiny import write_tiny_model

    started = time.monotonic()
    write_planted(folder / "set", rows, SEED)
    write_tiny_model(folder / "model")
    size = sum(file.stat().st_size for file in (folder / "set").glob("*.parquet"))
    print(
        f"{rows:,} rows of {size / rows:,.0f} bytes planted in {time.monotonic() - started:.1f} s", flush=True
    )
    found = []
    for stage in STAGES:
        words = [sys.executable, __file__, "--stage", stage, str(folder)]
        told, memory = watched(words)
        seconds = told["seconds"]
        found.append({"rows": rows, "stage": stage, **told, "rows_per_second": rows / seconds, **memory})
        print(
            f"{stage:<14}{seconds:>9.2f} s{told['processor_seconds']:>9.2f} s of processor"
            f"{rows / seconds:>14,.0f} rows/s"
            f"{memory['VmHWM'] / 2**20:>9,.0f} MiB at its peak{memory['RssAnon'] / 2**20:>8,.0f} MiB anonymous",
            flush=True,
        )
    return found


def exponents(runs: list[dict[str, Any]], key: str) -> dict[str, float]:
    """Of each stage, the power of the rows with which `key` (one of CLOCKS) grows; empty for a single size."""
    sizes = sorted({run["rows"] for run in runs})
    if len(sizes) < 2:
        return {}
    found = {}
    for stage in STAGES:
        points = [(run["rows"], run[key]) for run in runs if run["stage"] == stage]
        rows, seconds = np.log(np.array(points)).T
        found[stage] = float(np.polyfit(rows, seconds, 1)[0])
    return found


if __name__ == "__main__":
    main()
