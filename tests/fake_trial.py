"""A search without training: real Ray, real Tune, real Optuna, and a curve that a formula draws.

The formula looks at the parameters only, so that a resumed trial sends what an undisturbed one sends.
`python -m fake_trial STUDY TRIALS PLAN SEARCH` runs one search, for tests that kill it.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.config import SearchConfig
from search.prior import keep_prior, prior_of
from search.record import DataInfo, StudyConfig
from search.runner import Outcome, fit
from search.study import Study
from search.trial import Trial
from train_fn.config import TrainConfig
from train_fn.storage import LOSSES, Paths, append_line, read_json, read_lines, write_json

ROWS = 50


@dataclass(frozen=True)
class FakeJob:
    folder: Path
    params: dict[str, Any]
    plan: dict[str, Any]
    seed: int | None

    @property
    def name(self) -> str:
        """ "3", or "3-43" for trial 3 again with seed 43."""
        return "-".join(str(int(part)) for part in self.folder.name.split("-"))


def loss_at(params: dict[str, Any], percent: int) -> float:
    """Lowest at a learning rate of 3e-4, falling over the run."""
    distance = abs(math.log10(params["learning_rate"]) + 3.5)
    return 0.2 + distance + 0.5 * (1 - percent / 100)


def die(job: FakeJob) -> None:
    os._exit(1)


def kill(job: FakeJob) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def eat(job: FakeJob) -> None:
    """More memory than there is, by Ray's bound or by that of a cgroup."""
    held = []
    for _ in range(MOST // BLOCK):
        held.append(b"x" * BLOCK)
        time.sleep(0.05)  # Ray looks ten times a second
    raise AssertionError("nobody minded")


def eat_bounded(job: FakeJob) -> None:
    (Path(job.plan["cgroup"]) / "cgroup.procs").write_text(str(os.getpid()))
    eat(job)


BLOCK, MOST = 1 << 26, 3 << 30
ENDS = {"die": die, "sigkill": kill, "host memory": eat, "kernel memory": eat_bounded}


class FakeTrial(Trial):
    """`plan` says, by trial number: seconds a row, which trials go wrong and how (`wrong`, by the job's name), and
    how much log loss a trial had by luck, that is, with the study's seed alone (`luck`)."""

    def make_job(self, config: Any) -> FakeJob:
        seed = config.get("seed")
        folder = Study(Path(config["study"])).trial_folder(config["number"], seed)
        return FakeJob(folder, config["params"], config["plan"], seed)

    def close(self) -> None:
        pass

    def train_job(self, job: FakeJob, send: Any, stopped: Any) -> None:
        wrong = job.plan.get("wrong", {}).get(job.name)
        append_line(job.folder / "starts.jsonl", {"pid": os.getpid(), "time": time.time()})
        rows = read_lines(job.folder / "curve.jsonl")
        for row in rows:
            send(row)
        if (job.folder / "result.json").exists():  # it had ended, and nobody heard of it
            send(read_json(job.folder / "result.json"))
            return
        for percent in range(10 * len(rows) + 10, 100, 10):
            until = time.monotonic() + job.plan.get("seconds", 0.05)
            while time.monotonic() < until or wrong == "hang":
                if wrong != "hang" and stopped():
                    write_json(job.folder / "stopped.json", stopped())
                    return
                time.sleep(0.01)
            if wrong == "nan" and percent == 20:
                send(self.end(job, percent, "FAILED", "nan loss"))
                return
            if wrong in ENDS and percent == 20:
                (job.folder / "checkpoints" / "step-1").mkdir(parents=True)
                ENDS[wrong](job)
            if wrong == "raise":
                raise ValueError("bad luck")
            objective = math.inf if wrong == "inf" else self.loss(job, percent)
            row = {"progress": percent, "objective": objective, "seconds": percent / 10.0}
            half = job.folder / "half.tmp"  # the time between a checkpoint's two renames, so to speak
            half.touch()
            time.sleep(job.plan.get("slow_write", 0.0))
            append_line(job.folder / "curve.jsonl", row)
            half.unlink()
            send(row)
        send(self.end(job, 100, "COMPLETE", ""))

    def loss(self, job: FakeJob, percent: int) -> float:
        luck = job.plan.get("luck", {}).get(job.name, 0.0)
        shared = 0.0 if job.seed is None else 0.01 * (job.seed % 7)  # what a seed does to all
        return loss_at(job.params, percent) + luck + shared

    def end(self, job: FakeJob, percent: int, status: str, cause: str) -> dict[str, Any]:
        wrong = job.plan.get("wrong", {}).get(job.name)
        objective = math.nan if status == "FAILED" else math.inf if wrong == "inf" else self.loss(job, 100)
        if job.seed is not None and status == "COMPLETE":
            noise = np.random.default_rng([job.seed, int(job.name.split("-")[0])]).normal(0, 0.01, ROWS)
            np.save(job.folder / LOSSES, (objective + noise - noise.mean()).astype(np.float32))
        row = {
            "progress": percent,
            "objective": objective,
            "accuracy": 0.5,
            "seconds": 10.0,
            "device": "cpu",
            "done": True,
            "status": status,
            "cause": cause,
        }
        write_json(job.folder / "result.json", row)
        return row


def config_of(trials: int, **search: Any) -> StudyConfig:
    data = DataInfo(
        name="fake", builtin=False, source="nowhere", revision=None, fingerprint="0", train_rows=100
    )
    settings = {"startup_trials": 3, "confirm_seeds": 0, "grace_percent": 10, **search}
    return StudyConfig(
        dataset=data, train=TrainConfig(), search=SearchConfig.model_validate({"trials": trials, **settings})
    )


def search_fake(
    folder: Path,
    trials: int,
    plan: dict[str, Any],
    prior: str | None = None,
    watch: Sequence[Any] = (),
    **search: Any,
) -> Outcome:
    study, config = Study(folder), config_of(trials, **search).model_copy(update={"prior": prior})
    begun_with = prior_of(study, config, Paths(folder.parents[1]))
    with study.locked():
        study.adopt_config(config)
        if begun_with:
            keep_prior(study, begun_with)
        study.repair()
        return fit(study, config, {"plan": plan}, watch=lambda *_: list(watch), trainable=FakeTrial)


if __name__ == "__main__":
    from fake_trial import search_fake as run  # not this __main__, whose classes Ray would pickle by value

    plan, search = (json.loads(words) for words in sys.argv[3:5])
    print(run(Path(sys.argv[1]), int(sys.argv[2]), plan, **search).interrupted)
