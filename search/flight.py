"""One training in flight inside a worker: what it sends to Tune, and what is said to it."""

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train_fn.errors import OWN_CAUSES

Row = dict[str, Any]


@dataclass
class Run:
    """One training in flight: `stop` is "" until the training shall end, then the reason."""

    job: Any
    stops: Mapping[Path, str]  # files that end it, and the reason that each of them gives
    stop: str = ""
    alive: float = field(default_factory=time.monotonic)
    rows: "queue.SimpleQueue[Row]" = field(default_factory=queue.SimpleQueue)
    last: Row = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def broken(self) -> bool:
        """Whether it failed by no fault of its parameters: an error of CUDA, for one, stays with the process."""
        cause = str(self.last.get("cause", ""))
        return self.last.get("status") == "FAILED" and not cause.startswith(OWN_CAUSES)

    def send(self, row: Mapping[str, Any]) -> None:
        """Take a row from the training; also a sign of life."""
        self.alive = time.monotonic()
        self.last = dict(row)
        self.rows.put(self.last)

    def stopped(self) -> str:
        """Why the training shall end now: "", PRUNED or INTERRUPTED; also a sign of life."""
        self.alive = time.monotonic()
        self.stop = self.stop or next((why for file, why in self.stops.items() if file.exists()), "")
        return self.stop


def failed(run: Run, cause: str) -> Row:
    """The last row of a run that raised."""
    last = {"progress": 0, **run.last, "objective": float("nan")}
    return {**last, "done": True, "status": "FAILED", "cause": cause}


def interrupted(run: Run) -> Row:
    """The last row of a run that was stopped."""
    last = {"progress": 0, "objective": float("nan"), **run.last}
    return {**last, "done": True, "status": "INTERRUPTED", "cause": ""}
