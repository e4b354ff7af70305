"""What a promotion finds on its target before the full run: which candidate it promotes, at what learning rate.

All of it follows from files in the run's folder, so that a command that was killed finds the same again: the ends
of the runs on fractions, and learning_rate.json, which keeps what the studies said at the start.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.choice import Candidate, Choice, ranked
from search.confirm import DEFAULT
from search.horizon import Horizon, look_ahead
from search.promotion import PromoteConfig
from search.provenance import provenance
from search.rate import RATE, kept, move
from search.rung_runs import RUNGS, RungRuns, Train, choose
from search.rungs import Plan, Rung, plan_rungs, probe_of
from search.space import LEARNING_RATE, Point
from search.target import Target
from train_fn.errors import InputError
from train_fn.storage import Paths, read_json
from train_fn.values import read_yaml

if TYPE_CHECKING:
    from train_fn.job import Job
    from train_fn.run_folder import RunFolder, Say


@dataclass(frozen=True)
class Selection:
    """What `--top` and `--learning-rate transfer` leave to find; nothing in a plain promotion, which has one
    candidate, no `rungs` and no `horizon`."""

    choice: Choice
    target: Target
    promotion: PromoteConfig
    top: int
    candidates: tuple[Candidate, ...]
    rungs: tuple[Rung, ...]
    horizon: Horizon | None

    @property
    def undecided(self) -> tuple[str, ...]:
        """The settings of the full run that are yet to be found."""
        if self.rungs:
            return tuple(Point.model_fields)
        return (LEARNING_RATE,) if self.horizon else ()

    @property
    def settings(self) -> dict[str, Any]:
        """Whose run it is: what a command that goes on with it must share with the one that began it."""
        chosen = {"rungs", "max_extra_cost"}
        asked = {
            "top": self.top,
            "transfer": self.horizon is not None,
            **self.promotion.model_dump(mode="json", include=chosen),
        }
        several = {"candidates": [each.trial_id for each in self.candidates]}
        return {
            "study": self.choice.study.name,
            **(several if self.rungs else {"trial_id": self.choice.trial.trial_id}),
            **(asked if self.undecided else {}),
            "promotion": self.promotion.model_dump(exclude={*chosen, "forecast", "address"}),
        }

    @property
    def plan(self) -> Plan:
        """The runs on fractions that come first, from what the studies say now."""
        return self._plan(self.horizon)

    def settle(self, run: "RunFolder", job: "Job", train: Train, say: "Say") -> "Job":
        """The job of the full run with what was yet to be found. Raises InputError when it cannot be found."""
        if not self.undecided:
            return job
        runs = RungRuns(run, job, self.target, train, say)
        horizon = kept(run, self.horizon) if self.horizon else None
        plan = self._plan(horizon)
        for line in plan.lines() if plan.cost else ():
            say(line)
        chosen = choose(runs, plan, self.candidates) if plan.rungs else self.candidates[0]
        if horizon:
            chosen = move(chosen, horizon, runs, plan)
        run.decide(chosen.params.model_dump())
        config = chosen.params.apply(job.train)
        about = {**config.model_dump(mode="json"), "trial_id": chosen.trial_id}
        tracking = job.tracking and dataclasses.replace(job.tracking, config={**job.tracking.config, **about})
        return dataclasses.replace(job, train=config, tracking=tracking)

    def lineage(self, run: "RunFolder") -> dict[str, Any]:
        """For lineage.json, from the run's folder: the trial that was promoted, why, and how it was found."""
        chosen, reason, found, told = self.candidates[0], self.choice.reason, {}, None
        if self.rungs:
            told = read_json(run.folder / RUNGS)
            chosen, reason = Candidate.model_validate(told["chosen"]), told["sentence"]
            found["rungs"] = {"file": RUNGS, "cost": told["cost"]}
        if self.horizon:
            found[LEARNING_RATE] = read_json(run.folder / RATE)
        trained = read_yaml(run.folder / "config.yaml")["train"]  # --set or a move changed the trial's
        params = Point(**{key: trained[key] for key in Point.model_fields})
        return {
            "study": self.choice.study.name,
            "trial_id": chosen.trial_id,
            "trial": chosen.number,
            "reason": reason,
            "value": chosen.value,
            "params": params.model_dump(),
            **found,
            **provenance(self.choice, chosen.number, told, params),
        }

    def _plan(self, horizon: Horizon | None) -> Plan:
        """The rungs, and the probe that the learning rate may need, where the bound has room for it."""
        plan = Plan(rungs=self.rungs, probe=None, bound=self.promotion.max_extra_cost)
        if horizon is None or not horizon.far:
            return plan
        size = self.target.size(self.promotion.rungs[-1])
        probed = plan.model_copy(update={"probe": probe_of(size)})
        return probed if probed.fits and horizon.told_by(size.steps) else plan


def select(
    choice: Choice, target: Target, promotion: PromoteConfig, paths: Paths, top: int, *, transfer: bool
) -> Selection:
    """What `--top` and `--learning-rate` ask for, from the study of `choice` and those beside it.

    Raises:
        InputError: when the study has too few complete trials, for `top` or for a fit of the learning rate, or the
            rungs would cost more than they may.
    """
    horizon = look_ahead(paths, choice, target.steps) if transfer else None
    trial, params = choice.trial, Point.of(target.train)  # with what --set changed of them
    only = Candidate(number=trial.number, trial_id=trial.trial_id, params=params, value=choice.value)
    if top == 1:
        return Selection(choice, target, promotion, top, (only,), (), horizon)
    field = ranked(choice)
    complete = sum(each.value is not None for each in field)
    if top > complete:
        raise InputError(
            f"--top {top} needs as many complete trials, but study {choice.study.name} has {complete}; "
            "give a smaller --top, or continue its search"
        )
    sizes = [target.size(fraction) for fraction in promotion.rungs]
    rungs = plan_rungs(top, lambda count: len(_best(field, count)), sizes, promotion.max_extra_cost)
    return Selection(choice, target, promotion, top, _best(field, top), rungs, horizon)


def _best(field: tuple[Candidate, ...], top: int) -> tuple[Candidate, ...]:
    return (*field[:top], *(each for each in field[top:] if each.number == DEFAULT))
