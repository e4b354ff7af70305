"""Our OptunaSearch: trials keep our ids; what Tune reports goes into the study's record, then to Optuna.

How Tune 2.60 tells a searcher of an end, read in its controller: a row with `done` and a stop by the
scheduler both arrive as `on_trial_complete(result=last row)`, and that row not as `on_trial_result`; an actor
that died or raised arrives as `on_trial_complete(error=True)`; a stop of the whole experiment not at all.
Our last row carries `status`, so a last row without one is the scheduler's stop: PRUNED.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.confirm import Confirmation
from search.draw import draw
from search.history import ended_trial, fresh_storage, running_trial
from search.leftover import left_record
from search.pointless import hopeless, unwritable
from search.prior import read_prior
from search.record import LOCK, Asked, ConfirmRecord, Rerun, StudyConfig, TrialRecord, record_of, row_of
from search.scheduler import METRIC, MODE, NODE_LOST
from search.space import Point, define_by_run
from search.study import Study
from train_fn.errors import InputError

INTERRUPTED = "INTERRUPTED"
TRIES = 3


class StudySearch(OptunaSearch):  # type: ignore[misc]
    """Continues the unfinished trials of a study, then draws new ones, then confirms; records every end.

    `failure` is what makes going on pointless, for the runner to raise: Tune would take an error here for the
    trial's own.
    """

    def __init__(
        self, study: Study, config: StudyConfig, stopping: Callable[[], bool], causes: Mapping[str, str]
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # A trial whose machine was lost sends its rows again.
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        self.failure: OSError | InputError | None = None
        self._study = study
        self._config = config
        self._stopping = stopping
        self._causes = causes
        self._records, self._reruns = study.records(), study.reruns()
        self._unfinished = study.unfinished()
        self._prior = read_prior(study)
        self._next = max(study.asked(), default=-1) + 1
        self._running: dict[str, Asked] = {}
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self._lost: Counter[str] = Counter()
        self._stuck: Counter[tuple[str, int]] = Counter()
        super().__init__(
            space=define_by_run(config.search.space),
            metric=METRIC,
            mode=MODE,
            sampler=optuna.samplers.RandomSampler(seed=0),  # draws nothing: every point is fixed by `draw`
            study_name=study.name,
            storage=fresh_storage(study.folder),
        )
        self._optuna_ids = self._rebuild()

    def _rebuild(self) -> dict[int, int]:
        """Fill Optuna's storage from the record; return its id of each unfinished trial."""
        trials = {record.number: ended_trial(record, self._config.search) for record in self._records}
        trials |= {trial.number: running_trial(trial, self._config.search) for trial in self._unfinished}
        self._ot_study.add_trials([trial for _, trial in sorted(trials.items())])
        ids = {trial.user_attrs["trial_id"]: trial._trial_id for trial in self._ot_study.get_trials()}
        return {trial.number: ids[trial.trial_id] for trial in self._unfinished}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """An unfinished trial's configuration, else a new one's, else a run's of the confirmation; FINISHED when
        the study is through.

        None while the last of them run: one that loses its worker before it began is given out again.
        """
        import optuna

        if self._stopping() or self.failure:
            return str(Searcher.FINISHED)
        if len(self._records) + len(self._running) >= self._config.search.trials:
            return self._suggest_again(trial_id)
        try:
            trial = self._unfinished.pop(0) if self._unfinished else self._ask()
            if trial is None:
                return self._suggest_again(trial_id)
            optuna_id = self._optuna_ids[trial.number]
            self._ot_trials[trial_id] = optuna.trial.Trial(self._ot_study, optuna_id)
            super().suggest(trial_id)
        except (OSError, optuna.exceptions.StorageInternalError) as error:
            self._fail(error)
            return str(Searcher.FINISHED)
        self._running[trial_id], self._rows[trial_id] = trial, []
        return {"number": trial.number, "params": trial.params.model_dump()}

    def _suggest_again(self, trial_id: str) -> dict[str, Any] | str | None:
        """A run of the confirmation, planned when the last trial has ended. Optuna never hears of it."""
        again = {(run.number, run.seed) for run in self._running.values() if isinstance(run, Rerun)}
        if len(again) == len(self._running):
            missing = Confirmation.of(self._config, self._records, self._reruns).missing
            if left := [run for run in missing if run not in again]:
                try:
                    run = self._study.ask_again(*left[0])
                except OSError as error:
                    self._fail(error)
                    return str(Searcher.FINISHED)
                self._running[trial_id], self._rows[trial_id] = run, []
                params = run.params.model_dump()
                return {"number": run.number, "params": params, "seed": run.seed, "confirm": True}
        return None if self._running else str(Searcher.FINISHED)

    def _ask(self) -> Asked | None:
        """A new trial: recorded first, then RUNNING in Optuna's storage. None when no point is left."""
        search, seed = self._config.search, self._config.train.seed
        running = sorted(self._running.values(), key=lambda trial: trial.number)
        default = Point.of(self._config.train) if self._next == 0 else None
        point = default or draw(search, seed, self._next, self._records, running, self._prior)
        if point is None:
            return None
        trial = self._study.ask(self._next, point)
        self._next += 1
        self._ot_study.add_trial(running_trial(trial, search))
        self._optuna_ids[trial.number] = self._ot_study.get_trials(deepcopy=False)[-1]._trial_id
        return trial

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep the row; tell Optuna the objective at a whole percent of the run, its step being an int."""
        import optuna

        row = row_of(result)
        self._rows[trial_id].append(row)
        if isinstance(self._running[trial_id], Rerun) or not math.isfinite(row["objective"]):
            return
        step = {METRIC: row["objective"], TRAINING_ITERATION: int(row["progress"])}
        try:
            super().on_trial_result(trial_id, step)
        except optuna.exceptions.StorageInternalError as error:
            self._fail(error)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record the end and tell Optuna: COMPLETE with its value, PRUNED with its curve, or FAIL."""
        trial = self._running.get(trial_id)
        last = row_of(result) if result and not error else {}
        if trial is None or last.get("status") == INTERRUPTED or (error and self._stopping()):
            return
        cause = self._causes.get(trial_id, "the worker was lost") if error else ""
        folder, record = self._study.folder_of(trial), None
        if cause == NODE_LOST and (folder / "result.json").exists():
            record = left_record(folder, trial)  # it had ended, and its last row was lost on the way
        elif error and (self._gets_on(trial_id) if cause == NODE_LOST else not (folder / LOCK).exists()):
            self._give_back(trial_id, cause)
            return
        if last:
            self.on_trial_result(trial_id, result or {})
        status = "FAILED" if error else str(last.get("status", "PRUNED"))
        record = record or record_of(trial, self._rows[trial_id], status, cause)
        try:
            self._study.end(record)
        except OSError as failure:
            self._fail(failure)
            return
        del self._running[trial_id]
        if isinstance(record, ConfirmRecord):
            self._reruns.append(record)
            return
        self._records.append(record)
        self._tell(trial_id, record)
        self.failure = self.failure or hopeless(self._study, self._records)

    def _gets_on(self, trial_id: str) -> bool:
        """Whether a trial that lost its machine goes on: not where it lost several at one place, for it may be
        what takes them down."""
        rows = self._rows[trial_id]
        place = self._running[trial_id].trial_id, rows[-1]["progress"] if rows else 0
        self._stuck[place] += 1
        return self._stuck[place] < TRIES

    def _give_back(self, trial_id: str, cause: str) -> None:
        """The trial is not the cause: its machine was lost, or its worker died before it began. Give it out again;
        it goes on from its checkpoint."""
        trial = self._running.pop(trial_id)
        self._lost[trial.trial_id] += cause != NODE_LOST
        if self._lost[trial.trial_id] >= TRIES:
            self.failure = InputError(f"no worker can be started for {trial.trial_id}: {cause}")
        if not isinstance(trial, Rerun):  # those that are missing are found in the record
            self._unfinished.insert(0, trial)

    def _tell(self, trial_id: str, record: TrialRecord) -> None:
        """The base class logs what a storage refuses; the next start rebuilds it anyway."""
        import optuna

        value = {METRIC: record.value} if record.status == "COMPLETE" else None
        try:
            self._ot_trials[trial_id].set_user_attr("cause", record.cause)
            super().on_trial_complete(trial_id, value, error=record.status == "FAILED")
        except optuna.exceptions.StorageInternalError as failure:
            self._fail(failure)

    def _fail(self, error: Exception) -> None:
        self.failure = error if isinstance(error, OSError) else unwritable(self._study, error)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Tune's own snapshots hold nothing of ours: the record is what a search is continued from."""
