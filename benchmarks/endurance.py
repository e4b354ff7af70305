"""Whether a long search leaks or slows down:  python benchmarks/endurance.py

One search (Ray Tune, Optuna, ASHA, the record) of 200 trials, most of them stopped early and 10 failing: five with
a loss of NaN, five with an exception, which costs a worker. A formula stands in for the training, so that what
grows is the search's own. After each trial the driver, the workers and Ray are counted.
"""

import itertools
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ray.tune import Callback
from record import options_of, write_result

from search.machine import ENVIRONMENT
from search.study import Study
from train_fn.storage import PROJECT

FAILING = 10
WARM = 40  # trials; what is imported and cached by then is no leak
LEAST_STOPPED = 0.4
COUNTED = ("descriptors", "threads", "megabytes")
# Megabytes a trial. Tune keeps each trial that was, some 85 KB, and the Gaussian process a row of its matrices.
GROWTH = {"driver": 0.25, "worker": 0.05}


@dataclass
class Counter(Callback):  # type: ignore[misc]
    """After each trial: what the driver and its trial processes hold, and what Ray has alive."""

    began: float = field(default_factory=time.monotonic)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended."""
        from ray._private.state import actors  # the public State API wants the dashboard
        from ray.util import placement_group_table

        driver = psutil.Process()
        children = driver.children(recursive=True)
        workers = [held(child) for child in children if child.name().startswith("ray::FakeTrial")]
        groups = [group["state"] for group in placement_group_table().values()]
        self.rows.append(
            {
                "seconds": time.monotonic() - self.began,
                "driver": held(driver),
                "worker": max(workers, key=lambda found: found["megabytes"], default=None),
                "processes": len(children),
                "actors": sum(actor["State"] == "ALIVE" for actor in actors().values()),
                "placement_groups": sum(state != "REMOVED" for state in groups),
            }
        )

    on_trial_error = on_trial_complete


def held(process: psutil.Process) -> dict[str, float]:
    """Open descriptors, threads, and resident memory that is its own."""
    memory = process.memory_full_info()
    return {
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "megabytes": memory.uss / 2**20,
    }


def main() -> int:
    """Search, print and write the figures; 1 when something grew."""
    parser = options_of(__doc__)
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        study = search(Path(folder) / "studies" / "endurance", options.trials, counter)
        states = [record.status for record in study.records()]
    found = figures(counter.rows, states)
    for line in told(found):
        print(line)
    print(write_result(options.results, "endurance", found))
    return 1 if found["troubles"] else 0


def search(folder: Path, trials: int, counter: Counter) -> Study:
    """Trials of uneven number have bad luck, which ASHA sees at its first rung."""
    tests = str(PROJECT / "tests")
    sys.path.insert(0, tests)
    os.environ["PYTHONPATH"] = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.update(ENVIRONMENT)
    from fake_trial import search_fake

    failing = range(trials // FAILING - 1, trials, trials // FAILING)
    wrong = {str(number): ("nan", "raise")[place % 2] for place, number in enumerate(failing)}
    luck = {str(number): 2.0 for number in range(1, trials, 2)}
    luck |= dict.fromkeys(wrong, -2.0)  # or ASHA would stop them before they fail
    plan = {"seconds": 0.01, "wrong": wrong, "luck": luck}
    folder.parent.mkdir(parents=True)
    return search_fake(folder, trials, plan, watch=[counter], cpus_per_trial=os.cpu_count()).study


def figures(rows: list[dict[str, Any]], states: list[str]) -> dict[str, Any]:
    """Slopes over the trials after WARM, by least squares; a trial's time in the last quarter and the second."""
    times = [row["seconds"] for row in rows]
    each = [later - earlier for earlier, later in itertools.pairwise(times)]
    quarter = len(rows) // 4
    slopes = {
        f"{who}_{what}_a_trial": slope([row[who][what] if row[who] else None for row in rows])
        for who in ("driver", "worker")
        for what in COUNTED
    }
    peaks = {
        f"most_{what}": max(row[what] for row in rows) for what in ("processes", "actors", "placement_groups")
    }
    stopped = states.count("PRUNED") / len(states)
    pace = statistics.median(each[-quarter:]) / statistics.median(each[quarter : 2 * quarter])
    found = {
        "trials": len(states),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "wall_seconds": times[-1],
        "median_seconds_a_trial": statistics.median(each),
        "last_quarter_over_second": pace,
        **slopes,
        **peaks,
        "first": rows[0],
        "last": rows[-1],
    }
    return {**found, "troubles": troubles(found, stopped)}


def slope(values: list[float | None]) -> float:
    """Growth a trial."""
    known = [(number, value) for number, value in enumerate(values) if value is not None and number >= WARM]
    return statistics.linear_regression(*zip(*known, strict=True)).slope


def troubles(found: dict[str, Any], stopped: float) -> list[str]:
    """What grew, and what makes the figures worth nothing."""
    bounds = {"descriptors": 0.02, "threads": 0.02}
    grew = [
        f"{who}: {found[f'{who}_{what}_a_trial']:.3f} {what} a trial"
        for who in ("driver", "worker")
        for what, bound in {**bounds, "megabytes": GROWTH[who]}.items()
        if found[f"{who}_{what}_a_trial"] > bound
    ]
    if found["most_actors"] > 2 or found["most_placement_groups"] > 2:
        grew.append(
            f"{found['most_actors']} actors, {found['most_placement_groups']} placement groups at once"
        )
    if found["last"]["processes"] > found["first"]["processes"] + 2:
        grew.append(
            f"{found['last']['processes']} processes at the end, {found['first']['processes']} at first"
        )
    if found["last_quarter_over_second"] > 1.5:
        grew.append(f"the last trials take {found['last_quarter_over_second']:.2f} times as long")
    if stopped < LEAST_STOPPED or found["states"].get("FAILED") != FAILING:
        grew.append(f"not the search that was meant: {found['states']}")
    return grew


def told(found: dict[str, Any]) -> list[str]:
    """For a person."""
    return [
        f"{found['trials']} trials ({found['states']}) in {found['wall_seconds']:.0f} s, "
        f"{found['median_seconds_a_trial']:.2f} s each; in the last quarter "
        f"{found['last_quarter_over_second']:.2f} times as long as in the second",
        *(
            f"{who:8} grows by {found[f'{who}_descriptors_a_trial']:.3f} descriptors, "
            f"{found[f'{who}_threads_a_trial']:.3f} threads, "
            f"{1024 * found[f'{who}_megabytes_a_trial']:.1f} KiB a trial"
            for who in ("driver", "worker")
        ),
        f"at most {found['most_actors']} actors, {found['most_placement_groups']} placement groups, "
        f"{found['most_processes']} processes",
        *(f"trouble  {line}" for line in found["troubles"]),
    ]


if __name__ == "__main__":
    sys.exit(main())
