"""The types of a study's record: its configuration, a run that was asked for, a run that has ended."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from search.config import SearchConfig
from search.space import Point
from train_fn.config import NO_NUMBER, DatasetSpec, TrainConfig
from train_fn.errors import InputError
from train_fn.values import Frozen, summed_up

Row = Mapping[str, Any]
LOCK = ".lock"  # in a run's folder: held by the process that writes there, freed by its death
NOT_METRICS = {"done", "status", "cause", "progress", "objective", "seconds", "evaluation_seconds", "device"}


class DataInfo(Frozen):
    """What a study was searched on; `train_rows` are those it used."""

    name: str
    builtin: bool
    source: str
    revision: str | None
    fingerprint: str
    train_rows: int


class StudyConfig(Frozen):
    """config.yaml of a study. `prior` is the study or data set that it was begun from, as it was asked for;
    `halves` is train_fn.rows.HALVES as it was then, None in studies that are older."""

    dataset: DataInfo
    train: TrainConfig
    search: SearchConfig
    prior: str | None = None
    halves: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for trials to be comparable; flat, with dotted keys."""
        data = {"dataset": {"name": self.dataset.name, "fingerprint": self.dataset.fingerprint}}
        halves = {"halves": self.halves} if self.halves is not None else {}
        prior = {"prior": self.prior, "prior_top": self.search.prior_top} if self.prior is not None else {}
        train = self.train.model_dump(mode="json", exclude=NO_NUMBER)
        return dict(_flatten({**data, **halves, **train, **self.search.identity, **prior}))

    def unlike(self, given: "StudyConfig") -> list[str]:
        """A line for each setting that keeps trials of the two from being compared."""
        mine, theirs = self.identity, given.identity
        return [
            f"{key}: {mine.get(key)} in the study, {theirs.get(key)} now"
            for key in sorted({*mine, *theirs})
            if mine.get(key) != theirs.get(key)
        ]

    def default_name(self, spec: DatasetSpec) -> str:
        """The set and a hash of the settings: other settings make another study."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        return f"{spec.slug[:50]}-{digest[:8]}"


class Asked(Frozen):
    """params.json: a trial that was asked for."""

    trial_id: str
    number: int
    params: Point
    asked: str


class Rerun(Asked):
    """params.json of a run of the confirmation: a trial's parameters with another seed."""

    seed: int


class TrialRecord(Frozen):
    """One ended trial: a line of trials.jsonl. `value` is its validation log loss, None when it failed;
    `curve` holds (percent of the run, lowest validation log loss so far) as the trial sent them."""

    trial_id: str
    number: int
    status: Literal["COMPLETE", "PRUNED", "FAILED"]
    cause: str
    params: Point
    value: float | None
    metrics: dict[str, Any]
    curve: tuple[tuple[int, float], ...]
    seconds: float
    device: str
    started: str
    ended: str


class ConfirmRecord(TrialRecord):
    """One ended run of the confirmation: a line of confirm.jsonl. `number` is that of the trial run again."""

    seed: int


Item = TypeVar("Item", bound=Frozen)


def item_of(kind: type[Item], text: bytes, file: Path) -> Item:
    """An item of a record, from the JSON that stands in `file`. Raises InputError."""
    try:
        return kind.model_validate_json(text)
    except ValueError as error:
        raise InputError(
            f"{file} must be a record of this version, but: {summed_up(error)}; put the file back, or search anew "
            "(--study)"
        ) from error


def read_item(kind: type[Item], file: Path) -> Item:
    """The item that is a file's content. Raises InputError."""
    return item_of(kind, file.read_bytes(), file)


def record_of(trial: Asked, rows: Sequence[Row], status: str = "", cause: str = "") -> TrialRecord:
    """The record of a trial that sent `rows`; the last row says how it ended, unless `status` does."""
    last = dict(rows[-1]) if rows else {}
    points = [(int(row["progress"]), _loss(row["objective"])) for row in rows]
    status = status or str(last.get("status", "FAILED"))
    if status != "FAILED" and not (points and math.isfinite(points[-1][1])):
        status, cause = "FAILED", cause or "no finite validation log loss"
    kind = ConfirmRecord if isinstance(trial, Rerun) else TrialRecord
    return kind.model_validate(
        {
            **trial.model_dump(exclude={"asked"}),
            "status": status,
            "cause": cause or str(last.get("cause", "")),
            "value": points[-1][1] if status != "FAILED" else None,
            "metrics": {key: item for key, item in last.items() if key not in NOT_METRICS and _plain(item)},
            "curve": [point for point in points if math.isfinite(point[1])],
            "seconds": float(last.get("seconds", 0.0)),
            "device": str(last.get("device", "")),
            "started": trial.asked,
            "ended": now(),
        }
    )


def row_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The worker's row inside Tune's result, which is flattened when it comes from the controller."""
    nested = result.get("row")
    if isinstance(nested, Mapping):
        return dict(nested)
    return {key.removeprefix("row/"): value for key, value in result.items() if key.startswith("row/")}


def best_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The complete trial with the lowest validation log loss; the earlier one of two equals."""
    complete = [(record.value, record.number, record) for record in records if record.status == "COMPLETE"]
    return min(complete, default=(None, None, None))[2]


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _loss(value: float | None) -> float:
    return math.nan if value is None else float(value)  # JSON has no NaN


def _plain(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
