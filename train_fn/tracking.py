"""Where a run's numbers go beside its record on disk: a mirror, behind one small interface, that fails none.

All calls are done by one thread a process, in order: W&B needs seconds to start and end a run online, and a
warm worker must not wait for them between two trials. Call `close_all` before the process ends. A program
that exits by itself does so too; a killed one does not, and then what was logged a second before is on disk.
"""

import logging
import os
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Confusion = Sequence[Sequence[int]]  # rows true, columns predicted, order of LABELS
JobType = Literal["trial", "rung", "promotion", "train"]
Status = Literal["COMPLETE", "PRUNED", "FAILED", "INTERRUPTED"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None
_said: set[str] = set()


@dataclass(frozen=True)
class RunInfo:
    """One run as W&B shows it. `id` is ours and stable, so that a resumed run goes on under it."""

    id: str
    name: str
    group: str
    job_type: JobType
    project: str
    config: dict[str, Any]
    tags: tuple[str, ...]
    folder: Path


class Tracker(Protocol):
    """One run. No method raises or waits."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add one row. `step` rises; online, the rows of a resumed run that are there already are dropped."""

    def finish(self, status: Status, summary: Mapping[str, Any], confusion: Confusion | None) -> None:
        """End the run as `status`, with what is known at its end. The last call on a tracker."""


class NullTracker:
    """No tracking."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Drop the row."""

    def finish(self, status: Status, summary: Mapping[str, Any], confusion: Confusion | None) -> None:
        """Do nothing."""


class TrackedRows:
    """A tracker that is told of a step in parts: W&B takes one row a step, so its training and its evaluation are
    put together first."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._row: dict[str, float] = {}
        self._step = 0

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add to the row of that step; the row of the step before is whole then."""
        if step != self._step:
            self._flush()
        self._step = step
        self._row.update(values)

    def finish(self, status: Status, summary: Mapping[str, Any], confusion: Confusion | None) -> None:
        """End the run as `status`."""
        self._flush()
        self._tracker.finish(status, summary, confusion)

    def _flush(self) -> None:
        if self._row:
            self._tracker.log(dict(self._row), self._step)
            self._row.clear()


def open_tracker(info: RunInfo) -> Tracker:
    """A W&B run, or none when WANDB_MODE is disabled. Returns at once; the run starts in the background.

    WANDB_MODE and WANDB_BASE_URL are honoured. Without credentials the run is offline. When a server does not
    take an online run, this and all later runs of the process are offline, and a warning says so once.
    """
    from train_fn.wandb_run import WandbTracker

    return NullTracker() if os.environ.get("WANDB_MODE") == "disabled" else WandbTracker(info)


def close_all() -> None:
    """Wait until all that was logged and finished is on disk and, online, uploaded. Trackers may follow."""
    from train_fn.wandb_run import end_service

    global _executor
    if _executor is None:
        return
    submit(end_service)
    with _lock:
        executor, _executor = _executor, None
    executor.shutdown(wait=True)


def sync_hint(folder: Path) -> str | None:
    """The command that uploads the offline runs under `folder`, or None when there is none left to upload."""
    files = folder.rglob("offline-run-*/run-*.wandb")
    parents = {file.parents[1] for file in files if not file.with_suffix(".wandb.synced").exists()}
    return sync_command(*sorted(parents)) if parents else None


def sync_command(*folders: Path) -> str:
    """For a POSIX shell. `wandb sync` skips the runs that it has uploaded before."""
    return "wandb sync " + " ".join(f"{shlex.quote(str(folder))}/offline-run-*" for folder in folders)


def submit(call: Callable[[], None]) -> None:
    """Have `call` done after all earlier ones. What it raises becomes a warning."""
    global _executor
    with _lock:
        _executor = _executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")
        _executor.submit(_guarded, call)


def say(message: str) -> None:
    """Warn, once a process."""
    if message not in _said:
        _said.add(message)
        _log.warning(message)


def _guarded(call: Callable[[], None]) -> None:
    """The one place where tracking's errors end: the run is worth more than its mirror."""
    try:
        call()
    except Exception as error:
        say(f"W&B: {one_line(error)}; the run goes on, and its record on disk is complete without W&B")


def one_line(error: Exception) -> str:
    """The message of `error`, or its name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
