"""A promotion without training: a study on record, a run's folder, and a trainer that a formula stands in for."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorded import ended, make_study

from search.choice import Choice, find_best
from search.config import SearchConfig
from search.promotion import PromoteConfig
from search.record import DataInfo, StudyConfig, TrialRecord
from search.selection import Selection, select
from search.study import Study
from search.target import Target
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.errors import InputError
from train_fn.job import Job
from train_fn.run_folder import RunFolder
from train_fn.storage import Paths, write_json, write_text
from train_fn.tracking import RunInfo

ROWS = 80_000  # train rows of the target
TRAIN = TrainConfig(batch_size=32, epochs=1, eval_rows=100)
POINTS = ((1e-4, 16, 32.0), (2e-4, 8, 16.0), (3e-4, 32, 32.0), (4e-4, 64, 64.0), (5e-4, 4, 8.0))


def trials() -> list[TrialRecord]:
    """Five complete ones; trial 3 is the best, then 1, 2, 4 and 0, the default."""
    losses = (0.5, 0.2, 0.3, 0.1, 0.4)
    return [ended(number, loss, point=POINTS[number]) for number, loss in enumerate(losses)]


def study(paths: Paths, name: str, records: list[TrialRecord], rows: int = 2_000, **train: Any) -> Study:
    """A study of so many rows of the set that is called as it is."""
    data = DataInfo(name=name, builtin=False, source="-", revision=None, fingerprint="-", train_rows=rows)
    config = StudyConfig(
        dataset=data, train=TRAIN.model_copy(update=train), search=SearchConfig(confirm_seeds=0)
    )
    made = make_study(paths.studies / name, [], config)
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    write_text(made.folder / "trials.jsonl", lines)  # at once: one by one takes seconds on a slow disk
    return made


def chosen_from(paths: Paths, name: str) -> Choice:
    return find_best(paths, TRAIN.model, DatasetSpec(name="target", path=paths.output), name)


def selection(
    choice: Choice, paths: Paths, top: int = 3, *, transfer: bool = False, rows: int = ROWS, **promotion: Any
) -> Selection:
    config = choice.trial.params.apply(choice.config.train)
    target = Target(config, rows, {"validation": 1_000, "test": 1_000})
    return select(choice, target, PromoteConfig(**promotion), paths, top, transfer=transfer)


class Killed(BaseException):
    """As by kill -9: nobody handles it."""


@dataclass
class Trainer:
    """Trains nothing: a job has the log loss of a formula, and the call of number `dies` is the last."""

    loss: Callable[[TrainConfig], float]
    dies: int | None = None
    jobs: list[Job] = field(default_factory=list)

    def __call__(self, job: Job, log: Path) -> None:
        assert log.parent.is_dir()
        self.jobs.append(job)
        if len(self.jobs) == self.dies:
            raise Killed
        value = self.loss(job.train)
        if math.isnan(value):
            write_json(job.folder / "failure.json", {"cause": "nan loss (at step 3)"})
            raise InputError("the run must end with a result, but: nan loss (at step 3)")
        row = {"objective": value, "log_loss": value, "rows": 70, "seconds": 1.5, "cause": ""}
        write_json(job.folder / "result.json", row)

    @property
    def ran(self) -> list[str]:
        return [job.folder.name for job in self.jobs]


@dataclass
class Place:
    """A run's folder that may be claimed again and again, as by the same command."""

    paths: Paths
    said: list[str] = field(default_factory=list)

    @property
    def run(self) -> RunFolder:
        return RunFolder.of(self.paths, "run")

    def settle(self, chosen: Selection, trainer: Trainer) -> Job:
        train = chosen.target.train
        settings = {**chosen.settings, "train": train.model_dump(mode="json")}
        self.run.claim(settings, replace=False, undecided=chosen.undecided)
        info = RunInfo(
            "run-1",
            "run",
            "study",
            "promotion",
            "project",
            dict(settings),
            ("set", "promotion"),
            self.run.logs,
        )
        job = Job("run", self.run.folder, train, "model", Path("data"), info, "full")
        return chosen.settle(self.run, job, trainer, self.said.append)
