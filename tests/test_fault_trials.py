"""What goes wrong in a trial of a real search (Ray, Tune, Optuna): it costs that trial, and no other."""

import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_trial import search_fake
from faults import fault
from ray.tune import Callback

from search.record import TrialRecord
from search.study import Study
from train_fn.storage import read_json

TESTS = Path(__file__).parent
MEMORY = Path("/sys/fs/cgroup/memory/detector-search-test")  # cgroup v1; v2 has other names
LIMIT = 1 << 30
WRONG = {1: "raise", 2: "sigkill", 3: "nan", 4: "inf", 5: "hang", 6: "host memory", 7: "kernel memory"}
TRIALS = 9


class Slow(Callback):  # type: ignore[misc]
    """A callback that keeps Tune's loop for as long as breaks a search of nested trainers."""

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.config["number"] == 8:
            time.sleep(2.0)


def going_back() -> Iterator[datetime]:
    """A clock that somebody puts back by an hour each time it is read."""
    start = datetime.now(UTC)
    return (start - timedelta(hours=hours) for hours in itertools.count())


@pytest.fixture
def bounded_memory() -> Iterator[Path | None]:
    """A memory cgroup that a process may enter; None where none can be made."""
    try:
        MEMORY.mkdir()
        (MEMORY / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError:
        yield None
        return
    try:
        yield MEMORY
    finally:
        MEMORY.rmdir()


@fault("a trial's own end")
def test_every_way_to_end_a_trial_costs_that_trial_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounded_memory: Path | None
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    memory = psutil.virtual_memory()
    threshold = 1 - (memory.available - 2 * LIMIT) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    clock = going_back()
    for module in ("search.record.now", "search.study.now"):
        monkeypatch.setattr(module, lambda: next(clock).isoformat(timespec="seconds"))
    wrong = {number: kind for number, kind in WRONG.items() if kind != "kernel memory" or bounded_memory}
    plan = {"wrong": {str(number): kind for number, kind in wrong.items()}, "cgroup": str(bounded_memory)}
    study = Study(tmp_path / "fake")
    search_fake(study.folder, TRIALS, plan, watch=[Slow()], hang_minutes=0.2, grace_percent=100)

    records = {record.number: record for record in study.records()}
    assert sorted(records) == list(range(TRIALS))
    assert len(study.records()) == TRIALS
    assert {number: records[number].status for number in records if number not in wrong} == {
        number: "COMPLETE" for number in range(TRIALS) if number not in wrong
    }
    causes = {kind: told(records[number]) for number, kind in wrong.items()}
    assert causes["raise"] == "ValueError: bad luck"
    assert causes["sigkill"].startswith("the worker process died")
    assert causes["nan"] == "nan loss"
    assert causes["inf"] == "no finite validation log loss"
    assert "the trial showed no sign of life for" in causes["hang"]
    assert causes["host memory"].startswith("out of memory on the host (Ray")
    assert causes.get("kernel memory", "out of memory on the host (the kernel").startswith(
        "out of memory on the host (the kernel"
    )
    assert not list(study.folder.glob("trials/*/checkpoints"))
    assert read_json(study.folder / "best.json")["trials"] == TRIALS


def told(record: TrialRecord) -> str:
    assert record.status == "FAILED"
    assert record.value is None
    return record.cause
