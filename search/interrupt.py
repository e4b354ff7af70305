"""A clean stop, by a signal or by the time budget.

Tune can stop a worker only between two rows, which may be minutes apart. So a file in the study's folder says
it, the training reads that at every micro-batch, and running trials end there as unfinished.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from search.shelter import DIED, died
from search.study import Study
from train_fn.signals import on_stop

BUDGET_SECONDS = 120.0  # for running trials to reach their next micro-batch when the time budget is used up


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
            with suppress(OSError):  # on a full disk trials end later, by Tune's doing
                self._file.touch()

    def stopping(self) -> bool:
        """Whether no trial shall begin any more, and none be blamed for its end. Asked often, so the clock is read
        here, and Ray looked after."""
        if not self.reason and died():
            self.request(DIED)
        elif self._deadline and time.monotonic() > self._deadline:
            self.request("the time budget is used up")
        return bool(self.reason)

    def overdue(self) -> bool:
        """Whether Tune shall end: after a signal at once, which leaves workers the seconds of `Trial.cleanup`."""
        patience = 0.0 if self.signalled or self.reason == DIED else BUDGET_SECONDS
        return self.stopping() and time.monotonic() - self._since > patience

    def signal(self, name: str) -> None:
        """A signal came: whoever waits for it, a person or a machine about to go, waits for seconds only."""
        self.signalled = True
        self.request(f"{name} came")


@contextmanager
def interruptible(study: Study, time_budget: float | None) -> Iterator[Interrupt]:
    """Within the block Ctrl-C and SIGTERM ask for a clean stop; a third of them does not wait for it."""
    interrupt = Interrupt(study, time_budget)
    try:
        with on_stop(interrupt.signal):
            yield interrupt
    finally:
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
