"""Ray's ASHA over the percentage of a run, with the rungs rebuilt from the record."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search.config import SearchConfig
from search.lost import Losses
from search.record import TrialRecord

NODE_LOST = "its machine was lost"
# The second is what is told until Ray's head has missed the machine too, some seconds later.
LOST = re.compile(r"its node has died|The actor \w+ is unavailable")
METRIC, MODE, TIME = "objective", "min", "progress"


class Asha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Stops a trial that is not among the best `1 / reduction_factor` at a rung; never a run of the confirmation.

    `stop_last_trials=False` does two things, read in Ray 2.60: a row at 100 % that is not the last one does
    not end its trial, and a rung that a trial skipped (its evaluations being further apart than the rungs) is
    not filled with a later value.
    """

    def __init__(
        self, search: SearchConfig, ended: Iterable[TrialRecord], passed: Mapping[int, float] | None = None
    ) -> None:
        super().__init__(
            time_attr=TIME,
            metric=METRIC,
            mode=MODE,
            max_t=100,
            grace_period=search.grace_percent,
            reduction_factor=search.reduction_factor,
            stop_last_trials=False,
        )
        self.causes: dict[str, str] = {}
        self._losses = Losses()
        self._passed, self._elsewhere = dict(passed or {}), search.address is not None
        for record in ended:
            self._replay(record)

    def _replay(self, record: TrialRecord) -> None:
        """Enter an ended trial's curve; unfinished trials send theirs again."""
        trial: Any = SimpleNamespace(trial_id=record.trial_id, config={})
        self.on_trial_add(None, trial)
        for progress, objective in record.curve:
            self.on_trial_result(None, trial, {TIME: progress, METRIC: objective})

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Whether the trial goes on. A run of the confirmation always does, and leaves no mark on the rungs; a
        trial that a killed search left does until it is beyond what it had `passed`, whoever ended since."""
        if trial.config.get("confirm"):
            return str(TrialScheduler.CONTINUE)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        passed = result[TIME] <= self._passed.get(trial.config.get("number"), 0)
        return str(TrialScheduler.CONTINUE) if passed else decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        """Enter the last row, of a trial alone."""
        if not trial.config.get("confirm"):
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep why a worker was lost, for the sampler: Tune tells it next, without a cause."""
        error = Path(trial.error_file).read_text(encoding="utf-8")
        lost = self._elsewhere and LOST.search(error)
        self.causes[trial.trial_id] = NODE_LOST if lost else self._losses.cause(error)
        if self.causes[trial.trial_id] == NODE_LOST and not trial.config.get("confirm"):
            self._forget(trial)

    def _forget(self, trial: Any) -> None:
        """The trial goes on elsewhere, as another one to Tune, and sends its rows again: they count once, and that
        it was let go on until here stands."""
        for bracket in self._brackets:
            for _, recorded in bracket._rungs:
                recorded.pop(trial.trial_id, None)
        self._passed[trial.config["number"]] = trial.last_result.get(TIME, 0)
