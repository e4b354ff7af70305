"""A clean stop, by a signal or by the time budget.

Tune can stop a worker only between two rows, which may be minutes apart. So a file in the study's folder says
it, the training reads that at every micro-batch, and running trials end there as unfinished.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from search.study import Study

KILL_SECONDS = 120.0  # for running trials to reach their next micro-batch


class Interrupt:
    """`reason` is "" until a stop is asked for."""

    def __init__(self, study: Study, time_budget: float | None) -> None:
        self._file = study.stop_file
        self._deadline = time.monotonic() + time_budget if time_budget else None
        self._since = 0.0
        self.reason = ""
        self.signalled = False

    def request(self, reason: str) -> None:
        """Stop, for the first reason that was given."""
        if not self.reason:
            self.reason, self._since = reason, time.monotonic()
            self._file.touch()

    def overdue(self) -> bool:
        """Whether to kill what has not ended yet. Tune's loop asks this often, so the clock is read here."""
        if self._deadline and time.monotonic() > self._deadline:
            self.request("the time budget is used up")
        return bool(self.reason) and time.monotonic() - self._since > KILL_SECONDS

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True
        self.request(f"stopped by {signal.Signals(number).name}")
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def interruptible(study: Study, time_budget: float | None) -> Iterator[Interrupt]:
    """Within the block Ctrl-C and SIGTERM ask for a clean stop; a second one does what it always does."""
    interrupt = Interrupt(study, time_budget)
    watched = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    old = {number: signal.signal(number, interrupt._handle) for number in watched}
    try:
        yield interrupt
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        study.stop_file.unlink(missing_ok=True)


def stopper(stop: Callable[[], bool]) -> Any:
    """`stop` as the Tune stopper of a whole experiment."""
    from ray.tune import Stopper

    class Stop(Stopper):  # type: ignore[misc]
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return stop()

    return Stop()
