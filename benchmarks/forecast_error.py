"""How far forecasts lie from what runs took:  python benchmarks/forecast_error.py

Small searches and promotions on the built-in sample, each by the user's command in a process of its own, with a
forecast before it: several sizes of data and of text, numbers of trials, one and two at a time, with and without a
confirmation, one and two ranks. About 15 minutes on two cores; beside other work the figures mean nothing.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import options_of, write_result

from search.foreseen import FORECAST
from search.study import Study
from train_fn.storage import PROJECT, Paths, read_json

TARGET = 0.15  # of the median error
RUN = "qwen3-tiny-sample"


@dataclass(frozen=True)
class Case:
    """A search, or with `of` the promotion of that search's winner."""

    name: str
    words: str
    of: str = ""

    def command(self, output: Path) -> list[str]:
        """As a user gives it."""
        which = (
            ["promote.py", "--study", self.of, "--replace"] if self.of else ["tune.py", "--study", self.name]
        )
        always = ["--dataset", "sample", "--output", str(output), "--set", "forecast=always"]
        return [sys.executable, str(PROJECT / "search" / which[0]), *which[1:], *always, *self.words.split()]


CASES = (
    Case("few-rows", "--max-rows 512 --trials 6 --confirm-seeds 1"),
    Case("all-rows", "--trials 4 --confirm-seeds 0"),
    Case("short-texts", "--max-rows 1000 --trials 6 --confirm-seeds 0 --set max_length=40"),
    Case("large-steps", "--trials 4 --confirm-seeds 0 --set batch_size=64"),
    Case(
        "many-rungs",
        "--max-rows 512 --trials 12 --confirm-seeds 0 --set grace_percent=10 --set evaluations=10",
    ),
    Case("two-slots", "--max-rows 1000 --trials 8 --confirm-seeds 0 --set cpus_per_trial=1"),
    Case("two-slots-confirmed", "--max-rows 512 --trials 4 --confirm-seeds 2 --set cpus_per_trial=1"),
    Case("promoted", "", of="few-rows"),
    Case("promoted-few-rows", "--max-rows 1000", of="few-rows"),
    Case("promoted-long", "--set epochs=4", of="all-rows"),
    Case("promoted-two-ranks", "--workers 2 --set epochs=3", of="all-rows"),
)


def main() -> int:
    """Run the cases, print and write the figures; 1 when the median error is over the target."""
    parser = options_of(__doc__)
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], metavar="NAME")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.cases or case.name in options.cases]
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths.of(Path(folder) / "output")
        rows = [measure(case, paths) for case in chosen]
    errors = [abs(row["relative_error"]) for row in rows]
    inside = sum(row["inside"] for row in rows)
    figures = {"median_error": statistics.median(errors), "largest_error": max(errors), "inside_90": inside}
    print(
        f"{len(rows)} runs: error {100 * figures['median_error']:.0f} % in the median (target "
        f"{100 * TARGET:.0f} %), {100 * figures['largest_error']:.0f} % at most; {inside} in their interval"
    )
    print(write_result(options.results, "forecast-error", {**figures, "runs": rows}))
    return 0 if figures["median_error"] < TARGET else 1


def measure(case: Case, paths: Paths) -> dict[str, Any]:
    """Run one case; what was forecast for it and what it took. Raises RuntimeError when it fails."""
    started = time.monotonic()
    environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        case.command(paths.output), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{case.name} ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    folder = paths.output / RUN if case.of else paths.studies / case.name
    told = read_json(folder / FORECAST)
    low, high = told["forecast_seconds_low_5_percent"], told["forecast_seconds_high_95_percent"]
    row = {
        "case": case.name,
        "words": case.words,
        **told,
        "inside": low <= told["actual_seconds"] <= high,
        "own_seconds_of_the_runs": own_seconds(folder),
        "seconds_of_the_whole_command": time.monotonic() - started,
    }
    print(
        f"{case.name}: forecast {told['forecast_seconds']:.0f} s ({low:.0f} to {high:.0f}), took "
        f"{told['actual_seconds']:.0f} s, error {100 * told['relative_error']:+.0f} %",
        flush=True,
    )
    return row


def own_seconds(folder: Path) -> float:
    """Training and evaluating in a study or a full run, added up over runs; the rest is start-up and overhead."""
    if (folder / "result.json").exists():
        return float(read_json(folder / "result.json")["seconds"])
    study = Study(folder)
    return sum(record.seconds for record in (*study.records(), *study.reruns()))


if __name__ == "__main__":
    sys.exit(main())
