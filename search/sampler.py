"""Our OptunaSearch: trials keep our ids; what Tune reports goes into the study's record, then to Optuna.

How Tune 2.60 tells a searcher of an end, read in its controller: a row with `done` and a stop by the
scheduler both arrive as `on_trial_complete(result=last row)`, and that row not as `on_trial_result`; an actor
that died or raised arrives as `on_trial_complete(error=True)`; a stop of the whole experiment not at all.
Our last row carries `status`, so a last row without one is the scheduler's stop: PRUNED.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from search.confirm import Confirmation
from search.draw import draw
from search.leftover import note_passed
from search.mirror import Mirror
from search.pointless import hopeless
from search.prior import read_prior
from search.record import LOCK, Asked, ConfirmRecord, Rerun, StudyConfig, record_of, row_of
from search.scheduler import NODE_LOST
from search.space import Point
from search.study import Study
from train_fn.errors import OWN_CAUSES, Fault, InputError

INTERRUPTED = "INTERRUPTED"
TRIES = 3


class StudySearch(Mirror):
    """Continues the unfinished trials of a study, then draws new ones, then confirms; records every end.

    `failure` is what makes going on pointless, for the runner to raise: Tune would take an error here for the
    trial's own.
    """

    def __init__(
        self, study: Study, config: StudyConfig, stopping: Callable[[], bool], causes: Mapping[str, str]
    ) -> None:
        self.failure: OSError | Fault | InputError | None = None
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
        super().__init__(study, config, self._records, self._unfinished)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """An unfinished trial's configuration, else a new one's, else a run's of the confirmation; FINISHED when
        the study is through.

        None while the last of them run: one that loses its worker before it began is given out again.
        """
        if self._stopping() or self.failure:
            return str(Searcher.FINISHED)
        if len(self._records) + len(self._running) >= self._config.search.trials:
            return self._suggest_again(trial_id)
        try:
            trial = self._unfinished.pop(0) if self._unfinished else self._ask()
        except OSError as error:
            return self._fail(error)
        if trial is None:
            return self._suggest_again(trial_id)
        self._running[trial_id], self._rows[trial_id] = trial, []
        self.show_begin(trial_id, trial)
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
                    return self._fail(error)
                self._running[trial_id], self._rows[trial_id] = run, []
                params = run.params.model_dump()
                return {"number": run.number, "params": params, "seed": run.seed, "confirm": True}
        return None if self._running else str(Searcher.FINISHED)

    def _ask(self) -> Asked | None:
        """A new trial: recorded first, then shown. None when no point is left."""
        search, seed = self._config.search, self._config.train.seed
        running = sorted(self._running.values(), key=lambda trial: trial.number)
        default = Point.of(self._config.train) if self._next == 0 else None
        point = default or draw(search, seed, self._next, self._records, running, self._prior)
        if point is None:
            return None
        trial = self._study.ask(self._next, point)
        self._next += 1
        self.show(trial)
        return trial

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep the row, and that the scheduler lets the trial go on after it."""
        self._take(trial_id, row_of(result))
        run, row = self._running[trial_id], self._rows[trial_id][-1]
        if not (isinstance(run, Rerun) or row.get("done")):
            try:
                note_passed(self._study.folder_of(run), row["progress"])
            except OSError as error:
                self._fail(error)

    def _take(self, trial_id: str, row: Mapping[str, Any]) -> None:
        self._rows[trial_id].append(row)
        if not isinstance(self._running[trial_id], Rerun):
            self.show_row(trial_id, row)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record the end and show it. What was interrupted is unfinished; by a fault, that ends the search."""
        trial = self._running.get(trial_id)
        last = row_of(result) if result and not error else {}
        if trial is None or last.get("status") == INTERRUPTED or (error and self._stopping()):
            if cause := last.get("cause"):
                self._fail(Fault(cause))
            return
        cause = self._causes.get(trial_id, "the worker was lost") if error else ""
        begun = (self._study.folder_of(trial) / LOCK).exists()
        if error and (self._gets_on(trial_id) if cause == NODE_LOST else not begun):
            self._give_back(trial_id, cause, counts=cause != NODE_LOST)
            return
        if last:
            self._take(trial_id, last)
        status = "FAILED" if error else str(last.get("status", "PRUNED"))
        record = record_of(trial, self._rows[trial_id], status, cause)
        if isinstance(trial, Rerun) and status == "FAILED" and not record.cause.startswith(OWN_CAUSES):
            # On record it would cost its candidate the confirmation, or the default and with it the verdict.
            (self._study.folder_of(trial) / "result.json").unlink(missing_ok=True)
            self._give_back(trial_id, record.cause)
            return
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
        self.show_end(trial_id, record)
        self.failure = self.failure or hopeless(self._study, self._records)

    def _gets_on(self, trial_id: str) -> bool:
        """Whether a trial that lost its machine goes on: not where it lost several at one place, for it may be
        what takes them down."""
        rows = self._rows[trial_id]
        place = self._running[trial_id].trial_id, rows[-1]["progress"] if rows else 0
        self._stuck[place] += 1
        return self._stuck[place] < TRIES

    def _give_back(self, trial_id: str, cause: str, *, counts: bool = True) -> None:
        """The trial is not the cause: its machine was lost or gave way, or its worker died at once. Give it
        out again; it goes on from its checkpoint, or tells again how it had ended. `counts`: as one of TRIES."""
        trial = self._running.pop(trial_id)
        self._lost[trial.trial_id] += counts
        if self._lost[trial.trial_id] >= TRIES:
            told = f"{trial.trial_id} lost its worker, or failed, {TRIES} times: {cause}"
            self.failure = InputError(f"{told}; mend that, then the same command goes on")
        if not isinstance(trial, Rerun):  # those that are missing are found in the record
            self._unfinished.insert(0, trial)

    def _fail(self, error: OSError | Fault) -> str:
        self.failure = self.failure or error
        return str(Searcher.FINISHED)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Tune's own snapshots hold nothing of ours: the record is what a search is continued from."""
