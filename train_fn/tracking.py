"""Where a run's numbers go beside its record on disk: a mirror, behind one small interface, that fails none.

All calls are done by one thread a process, in order: W&B needs seconds to start and end a run online, and a
warm worker must not wait for them between two trials. Call `close_all` before the process ends. A program
that exits by itself does so too; a killed one does not, and then what was logged a second before is on disk.
"""

import logging
import os
import shlex
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from train_fn.secret import hidden
from train_fn.tracking_charts import Shown

JobType = Literal["trial", "rung", "promotion", "train", "delivery", "study"]
Status = Literal["COMPLETE", "PRUNED", "FAILED", "INTERRUPTED"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None
_said: set[str] = set()


@dataclass(frozen=True)
class RunInfo:
    """One run as W&B shows it. `id` is ours and stable, so that a resumed run goes on under it. With
    `keeps_weights`, the weights at each evaluation are an artifact."""

    id: str
    name: str
    group: str
    job_type: JobType
    project: str
    config: dict[str, Any]
    tags: tuple[str, ...]
    folder: Path
    keeps_weights: bool = False


@dataclass(frozen=True)
class Files:
    """Files as one W&B artifact: a name that all its versions share, W&B's type, and where each file lies by the
    name it gets. Equal files are the same version, whichever run brings them. `metadata` is plain JSON."""

    name: str
    type: Literal["model", "checkpoint", "study", "dataset"]
    paths: Mapping[str, Path]
    metadata: Mapping[str, Any]
    aliases: tuple[str, ...] = ()


class Tracker(Protocol):
    """One run. No method raises, and none waits but for the copy of its files."""

    def log(self, values: Mapping[str, float | Shown], step: int) -> None:
        """Add one row. `step` rises; online, the rows of a resumed run that are there already are dropped."""

    def used(self, files: Files) -> None:
        """The run was made from these files; they are copied."""

    def made(self, files: Files) -> None:
        """The run made these files; they are copied."""

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """End the run as `status`, with what is known at its end. The last call on a tracker."""


class NullTracker:
    """No tracking."""

    def log(self, values: Mapping[str, float | Shown], step: int) -> None:
        """Drop the row."""

    def used(self, files: Files) -> None:
        """Drop the files."""

    def made(self, files: Files) -> None:
        """Drop the files."""

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """Do nothing."""


def tracked() -> bool:
    """Whether runs are tracked at all."""
    return os.environ.get("WANDB_MODE") != "disabled"


def open_tracker(info: RunInfo) -> Tracker:
    """A W&B run, or none when WANDB_MODE is disabled. Returns at once; the run starts in the background.

    WANDB_MODE and WANDB_BASE_URL are honoured. Without credentials the run is offline. When a server does not
    take an online run, this and all later runs of the process are offline, and a warning says so once.
    """
    from train_fn.wandb_run import WandbTracker

    return WandbTracker(info) if tracked() else NullTracker()


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


def submit(call: Callable[[], object]) -> None:
    """Have `call` done after all earlier ones. What it raises becomes a warning."""
    global _executor
    with _lock:
        _executor = _executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")
        _executor.submit(guarded, call)


def say(message: str) -> None:
    """Warn, once a process."""
    if message not in _said:
        _said.add(message)
        _log.warning(hidden(message))


def guarded(call: Callable[[], object]) -> None:
    """Do it. The one place where tracking's errors end, as a warning: the run is worth more than its mirror."""
    try:
        call()
    except Exception as error:
        say(f"W&B: {one_line(error)}; the run goes on, and its record on disk is complete without W&B")


def one_line(error: Exception) -> str:
    """The message of `error`, or its name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
