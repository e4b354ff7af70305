"""Ray's OptunaSearch as the mirror of a study's record: what optuna-dashboard shows, and no more than that.

No trial is drawn from it (search/draw.py does, from the record), so it may fail without ending a search: a full
disk, or a file that somebody locks. The search goes on without it, and the next one makes it anew.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune.search.optuna import OptunaSearch

from search.history import ended_trial, fresh_storage, running_trial
from search.record import Asked, StudyConfig, TrialRecord
from search.scheduler import METRIC, MODE
from search.space import define_by_run
from search.study import Study

if TYPE_CHECKING:
    import optuna

_log = logging.getLogger(__name__)


class Mirror(OptunaSearch):  # type: ignore[misc]
    """Optuna's study with the record's trials in it; `show` and its fellows add what happens."""

    def __init__(
        self, study: Study, config: StudyConfig, ended: Iterable[TrialRecord], unfinished: Iterable[Asked]
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # A trial whose machine was lost sends its rows again.
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        self._file = study.folder / "optuna.db"
        self._search = config.search
        self._broken = False
        super().__init__(
            space=define_by_run(config.search.space),
            metric=METRIC,
            mode=MODE,
            sampler=optuna.samplers.RandomSampler(seed=0),  # draws nothing: every point is fixed by `draw`
            study_name=study.name,
            storage=self._storage(study),
        )
        self._optuna_ids: dict[int, int] = {}
        self._try(lambda: self._rebuild(ended, unfinished))

    def show(self, trial: Asked) -> None:
        """A trial is asked for."""
        self._try(lambda: self._add([running_trial(trial, self._search)], [trial]))

    def show_begin(self, trial_id: str, trial: Asked) -> None:
        """A trial runs under that id of Tune's."""
        import optuna

        def begin() -> None:
            self._ot_trials[trial_id] = optuna.trial.Trial(self._ot_study, self._optuna_ids[trial.number])
            OptunaSearch.suggest(self, trial_id)

        self._try(begin)

    def show_row(self, trial_id: str, row: Mapping[str, Any]) -> None:
        """A trial evaluated; Optuna's step is an int, so it is a whole percent of the run."""
        if math.isfinite(row["objective"]):
            step = {METRIC: row["objective"], TRAINING_ITERATION: int(row["progress"])}
            self._try(lambda: OptunaSearch.on_trial_result(self, trial_id, step))

    def show_end(self, trial_id: str, record: TrialRecord) -> None:
        """A trial ended: COMPLETE with its value, PRUNED with its curve, or FAIL."""
        value = {METRIC: record.value} if record.status == "COMPLETE" else None

        def end() -> None:
            self._ot_trials[trial_id].set_user_attr("cause", record.cause)
            OptunaSearch.on_trial_complete(self, trial_id, value, error=record.status == "FAILED")

        self._try(end)

    def _storage(self, study: Study) -> "optuna.storages.BaseStorage":
        import optuna

        try:
            return fresh_storage(study.folder)
        except Exception as error:  # see _try
            self._lose(error)
            return optuna.storages.InMemoryStorage()

    def _rebuild(self, ended: Iterable[TrialRecord], unfinished: Iterable[Asked]) -> None:
        asked = list(unfinished)
        trials = {record.number: ended_trial(record, self._search) for record in ended}
        trials |= {trial.number: running_trial(trial, self._search) for trial in asked}
        self._add([trial for _, trial in sorted(trials.items())], asked)

    def _add(self, trials: "list[optuna.trial.FrozenTrial]", running: Iterable[Asked]) -> None:
        self._ot_study.add_trials(trials)
        ids = {
            trial.user_attrs["trial_id"]: trial._trial_id
            for trial in self._ot_study.get_trials(deepcopy=False)
        }
        self._optuna_ids |= {trial.number: ids[trial.trial_id] for trial in running}

    def _try(self, call: Callable[[], None]) -> None:
        """The one place where the mirror's errors end, whatever they are: the search is worth more."""
        if self._broken:
            return
        try:
            call()
        except Exception as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._broken = True
        cause = str(error.__cause__ or error).splitlines()[0]
        _log.warning(
            f"{self._file} takes no more ({cause}): the search goes on without this view of it for "
            "optuna-dashboard, and the next start makes it anew"
        )
