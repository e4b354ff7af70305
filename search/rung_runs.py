"""Runs on fractions of a promotion's target, each in a folder of its own below the full run's, each run once.

output/<run>/rungs/0003-lr0.0002-0.05/   trial 3 with that learning rate on 5 % of the train rows
output/<run>/rungs.json                  the plan, what the runs came to, and which candidate was chosen
logs/<run>/rungs/<same>.log              a run's log
"""

import dataclasses
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.choice import Candidate
from search.rungs import Plan, Results, climb
from search.target import Target
from train_fn.default_run import FIGURES
from train_fn.errors import InputError
from train_fn.storage import atomic_file, read_json, write_json

if TYPE_CHECKING:
    from train_fn.job import Job
    from train_fn.run_folder import RunFolder, Say

RUNGS = "rungs.json"
Train = Callable[[Any, Path], None]  # trains a Job to its end; the path is that of its log


@dataclass(frozen=True)
class RungRuns:
    """The runs below `run`, whose own full run is `job`."""

    run: "RunFolder"
    job: "Job"
    target: Target
    train: Train
    say: "Say"

    def loss(self, candidate: Candidate, fraction: float) -> float:
        """The validation log loss (nats) of a candidate on that fraction of the train rows, infinite where the
        training diverged; trained unless it was before. Raises InputError when the run has no end."""
        job, told = self._job(candidate, fraction), _told(candidate, fraction)
        if _ended(job.folder) is None:
            self.say(f"run      {told}")
            job.folder.mkdir(parents=True, exist_ok=True)
            self._leave_out(job.folder)
            log = self.run.logs / "rungs" / f"{job.folder.name}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.train(job, log)
            except InputError:
                if _ended(job.folder) is None:
                    raise
        facts = self.facts(candidate, fraction)
        loss = math.inf if facts["loss"] is None else float(facts["loss"])
        self.say(f"run      {told}: " + (facts["cause"] if facts["loss"] is None else f"log loss {loss:.4f}"))
        return loss

    def facts(self, candidate: Candidate, fraction: float) -> dict[str, Any]:
        """What is recorded of a run that has ended; its `loss` is None where it diverged."""
        ended, size = _ended(self._folder(candidate, fraction)) or {}, self.target.size(fraction)
        return {
            "trial": candidate.number,
            "trial_id": candidate.trial_id,
            **candidate.params.model_dump(),
            "rows": size.rows,
            "steps": size.steps,
            "loss": ended.get("objective"),
            "validation": {key: ended[key] for key in ("rows", *FIGURES) if key in ended},
            "seconds": ended.get("seconds"),
            "cause": ended.get("cause", ""),
        }

    def _job(self, candidate: Candidate, fraction: float) -> "Job":
        train = self.target.config(candidate.params, fraction)
        folder, tracking = self._folder(candidate, fraction), self.job.tracking
        about = {**train.model_dump(mode="json"), "trial_id": candidate.trial_id, "fraction": fraction}
        return dataclasses.replace(
            self.job,
            run_id=f"{self.job.run_id}, {_told(candidate, fraction)}",
            folder=folder,
            train=train,
            kind="rung",
            tracking=tracking
            and dataclasses.replace(
                tracking,
                id=f"{tracking.id}-{folder.name}",
                name=f"{tracking.name}, {_told(candidate, fraction)}",
                job_type="rung",
                config={**tracking.config, **about},
                tags=(*tracking.tags, "rung"),
                keeps_weights=False,
            ),
        )

    def _folder(self, candidate: Candidate, fraction: float) -> Path:
        rate = candidate.params.learning_rate
        return self.run.folder / "rungs" / f"{candidate.number:04d}-lr{rate:.6g}-{fraction:g}"

    def _leave_out(self, folder: Path) -> None:
        """The rows that no score of the full run may use are for no score of this one either."""
        from train_fn.contamination import left_out_file

        if left_out := left_out_file(self.run.folder):
            with atomic_file(folder / left_out.name) as temporary:
                shutil.copyfile(left_out, temporary)


def choose(runs: RungRuns, plan: Plan, candidates: Sequence[Candidate]) -> Candidate:
    """The candidate that comes through the plan's rungs. Raises InputError when none does."""
    for each in candidates:
        value = "" if each.value is None else f", {each.value:.4f} in the search"
        runs.say(f"rungs    {each.name}{value}: {each.params.model_dump_json()}")
    record = {
        "candidates": [each.model_dump() for each in candidates],
        "plan": plan.model_dump(),
        "cost": plan.cost,
    }
    write_json(runs.run.folder / RUNGS, record)
    results = climb(plan.rungs, candidates, runs.loss)
    chosen = results[-1][0][0]
    went_on = [[each for each, _ in found] for found in results[1:]] + [[chosen]]
    rungs = [
        [{**runs.facts(each, rung.size.fraction), "went_on": each in later} for each, _ in found]
        for rung, found, later in zip(plan.rungs, results, went_on, strict=False)  # one left alone ends it
    ]
    sentence = _sentence(results, plan, candidates)
    found = {"rungs": rungs, "chosen": chosen.model_dump(), "sentence": sentence}
    write_json(runs.run.folder / RUNGS, {**record, **found})
    runs.say(f"chosen   {sentence}")
    return chosen


def _sentence(results: Results[Candidate], plan: Plan, candidates: Sequence[Candidate]) -> str:
    (chosen, loss), *others = results[-1]
    beside = ", ".join(f"{other:.4f} of {each.name}" for each, other in others)
    where = plan.rungs[len(results) - 1].size.told
    return (
        f"{chosen.name} goes on to the full run: log loss {loss:.4f} {where}"
        f"{f', against {beside}' if beside else ''}; "
        f"the search had it at place {candidates.index(chosen) + 1} of {len(candidates)}"
    )


def _ended(folder: Path) -> dict[str, Any] | None:
    """The last row of a run that came to its end, or why it diverged; None for one that is to be run."""
    result, failure = folder / "result.json", folder / "failure.json"
    if result.exists():
        return dict(read_json(result))
    found = dict(read_json(failure)) if failure.exists() else {}
    return found if str(found.get("cause", "")).startswith("nan loss") else None


def _told(candidate: Candidate, fraction: float) -> str:
    return f"{candidate.name} on {100 * fraction:g} %, learning rate {candidate.params.learning_rate:.2e}"
