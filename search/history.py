"""A study's record as Optuna trials: the view that is written to disk."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from search.config import SearchConfig
from search.record import Asked, TrialRecord
from search.space import Drawn, distributions

if TYPE_CHECKING:
    import optuna

LOCK_SECONDS = (
    10.0  # a dashboard that reads the file may hold it for seconds; meanwhile Tune's loop stands still
)


def fresh_storage(folder: Path) -> "optuna.storages.RDBStorage":
    """An empty optuna.db in the study's folder, in the place of the one that was there."""
    from optuna.storages import RDBStorage

    for old in folder.glob("optuna.db*"):
        old.unlink()
    wait = {"connect_args": {"timeout": LOCK_SECONDS}}
    return RDBStorage(f"sqlite:///{folder / 'optuna.db'}", engine_kwargs=wait)


def ended_trial(record: TrialRecord, search: SearchConfig) -> "optuna.trial.FrozenTrial":
    """An ended trial as Optuna knows it: COMPLETE, PRUNED or FAIL, with its curve at whole percent."""
    from optuna.trial import TrialState

    states = {"COMPLETE": TrialState.COMPLETE, "PRUNED": TrialState.PRUNED, "FAILED": TrialState.FAIL}
    return _frozen(
        record.params.drawn(),
        search,
        states[record.status],
        value=record.value,
        curve=record.curve,
        attributes={"trial_id": record.trial_id, "cause": record.cause},
        start=record.started,
        end=record.ended,
    )


def running_trial(trial: Asked, search: SearchConfig) -> "optuna.trial.FrozenTrial":
    """A trial that was asked for and has not ended; its curve arrives when its worker sends it again."""
    from optuna.trial import TrialState

    attributes = {"trial_id": trial.trial_id}
    return _frozen(trial.params.drawn(), search, TrialState.RUNNING, attributes=attributes, start=trial.asked)


def _frozen(
    params: Drawn,
    search: SearchConfig,
    state: "optuna.trial.TrialState",
    *,
    value: float | None = None,
    curve: Iterable[tuple[int, float]] = (),
    attributes: dict[str, str] | None = None,
    start: str = "",
    end: str = "",
) -> "optuna.trial.FrozenTrial":
    from optuna.trial import FrozenTrial

    return FrozenTrial(
        number=-1,  # the storage numbers trials as they are added
        trial_id=-1,
        state=state,
        value=value,
        datetime_start=_local(start),
        datetime_complete=_local(end) if end else None,
        params=dict(params),
        distributions=distributions(search.space),
        user_attrs=dict(attributes or {}),
        system_attrs={},
        intermediate_values=dict(curve),
    )


def _local(time: str) -> datetime:
    """Optuna keeps local times without a zone."""
    return datetime.fromisoformat(time).astimezone().replace(tzinfo=None)
