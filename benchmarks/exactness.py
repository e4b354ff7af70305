"""Whether a killed search and a killed promotion end as if they had not been:  python benchmarks/exactness.py

A search of 12 trials with one slot, the driver killed with -9 at 20 random moments, against the undisturbed one
with the same seed: each trial once, with the same parameters, state, curve and metrics. A formula stands in for
the training; Ray, Tune, Optuna, ASHA and the record are real. Then a promotion of a tiny detector, killed at 5
random steps, against the undisturbed one: the same bits in weights and metrics.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import options_of, write_result

from search.study import Study
from train_fn.storage import PROJECT, read_json

TESTS = str(PROJECT / "tests")
TRIALS, SEARCH_KILLS, PROMOTION_KILLS = 12, 20, 5
PLAN = {"seconds": 0.15, "slow_write": 0.03}  # a trial takes 1.6 s
SEARCH = {"grace_percent": 30, "cpus_per_trial": os.cpu_count()}
LIMIT_SECONDS = 1200.0
RUN = "qwen3-tiny-rows"


def main() -> int:
    """Kill, compare, print and write the figures; 1 when anything differs."""
    parser = options_of(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    sys.path.insert(0, TESTS)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [TESTS, str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    with tempfile.TemporaryDirectory() as folder:
        moments = random.Random(options.seed)
        found = {**searches(Path(folder), moments), **promotions(Path(folder), moments)}
    print(
        f"search    {found['search_kills']} kills: {found['trials']} trials, {found['twice']} twice, "
        f"{len(found['trials_that_differ'])} unlike the undisturbed ones"
    )
    print(
        f"promotion {found['promotion_kills']} kills, at steps {found['steps']}: "
        f"{'the same bits' if found['same_bits'] else 'other bits'}"
    )
    print(write_result(options.results, "exactness", {"seed": options.seed, **found}))
    right = found["trials"] == TRIALS and not found["twice"] and not found["trials_that_differ"]
    enough = (found["search_kills"], found["promotion_kills"]) == (SEARCH_KILLS, PROMOTION_KILLS)
    return 0 if right and enough and found["same_bits"] else 1


def searches(folder: Path, moments: random.Random) -> dict[str, Any]:
    """The figures of the search."""
    calm, killed = (Study(folder / name / "studies" / "exact") for name in ("calm", "killed"))
    for study in (calm, killed):
        study.folder.parent.mkdir(parents=True)
    finish(search(calm))
    at: list[float] = []
    while len(at) < SEARCH_KILLS:
        before, process = starts(killed), search(killed)
        if not reached(process, lambda before=before: starts(killed) > before):
            break
        at.append(round(moments.uniform(0.0, 1.2), 3))
        time.sleep(at[-1])
        kill(process)
    finish(search(killed))
    numbers = [record.number for record in killed.records()]
    expected = {record.number: shown(record) for record in calm.records()}
    found = {record.number: shown(record) for record in killed.records()}
    order = [record.number for record in calm.records()]
    return {
        "search_kills": len(at),
        "seconds_after_a_trial_began": at,
        "trials": len(found),
        "twice": len(numbers) - len(found),
        "same_order": numbers == order,
        "states": [record.status for record in calm.records()],
        "trials_that_differ": [number for number in expected if expected[number] != found.get(number)],
    }


def search(study: Study) -> "subprocess.Popen[str]":
    """The search as a process: begun, or gone on with."""
    words = [str(study.folder), str(TRIALS), json.dumps(PLAN), json.dumps(SEARCH)]
    return subprocess.Popen(
        [sys.executable, "-m", "fake_trial", *words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def starts(study: Study) -> int:
    """How often a trial has begun."""
    return sum(file.read_bytes().count(b"\n") for file in study.folder.glob("trials/*/starts.jsonl"))


def shown(record: Any) -> dict[str, Any]:
    """What must be equal: all but when it was."""
    return dict(record.model_dump(exclude={"started", "ended", "trial_id"}))


def promotions(folder: Path, moments: random.Random) -> dict[str, Any]:
    """The figures of the promotion."""
    import torch
    from promotions import TRAIN, adapter, promote, study_in, write_rows

    rows = write_rows(folder / "rows")
    calm, killed = folder / "calm" / "output", folder / "killed" / "output"
    train = TRAIN.model_copy(update={"epochs": 4.0})
    for output in (calm, killed):
        study_in(output, train)
    finish(promote(rows, calm))
    total = 4 * 240 // TRAIN.batch_size
    steps = sorted(moments.sample(range(2, total - 4), PROMOTION_KILLS))
    done = 0
    for step in steps:
        process = promote(rows, killed)
        if not reached(process, lambda step=step: newest(killed / RUN) >= step):
            break
        kill(process)
        done += 1
    finish(promote(rows, killed))
    left, right = adapter(calm), adapter(killed)
    same = left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    metrics = [read_json(output / RUN / "metrics.json") for output in (calm, killed)]
    return {"promotion_kills": done, "steps": steps, "same_bits": same and metrics[0] == metrics[1]}


def newest(run: Path) -> int:
    """The step of a run's last checkpoint."""
    return max((int(found.name.split("-")[1]) for found in run.glob("checkpoints/step-*")), default=0)


def reached(process: "subprocess.Popen[str]", moment: Callable[[], bool]) -> bool:
    """Wait for the moment; whether it came before the process had ended."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not moment():
        if process.poll() is not None:
            return False
        if time.monotonic() > deadline:
            kill(process)
            raise TimeoutError("the process did not come to the moment at which it was to be killed")
        time.sleep(0.002)
    return True


def kill(process: "subprocess.Popen[str]") -> None:
    """As kill -9 does it; Ray's own processes follow the driver."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def finish(process: "subprocess.Popen[str]") -> None:
    """Wait for the end of it, which must be a good one."""
    told, _ = process.communicate(timeout=LIMIT_SECONDS)
    if process.returncode:
        raise RuntimeError(told)


if __name__ == "__main__":
    sys.exit(main())
