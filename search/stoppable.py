"""A promotion's training, which Ctrl-C and SIGTERM stop at its next micro-batch."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.shelter import DIED, died
from train_fn.errors import Fault
from train_fn.signals import on_stop

STOP_SECONDS = 6.0  # to reach the next micro-batch, write a checkpoint and end W&B's run
POLL_SECONDS = 0.2


def fit(trainer: Any, stop: Path) -> None:
    """`trainer.fit()`, in a thread beside the main one: there Ray would put a handler of its own in place, which
    waits for nothing that was done since the last checkpoint.

    The workers end when the `stop` file appears. Raises KeyboardInterrupt after a signal, Fault when Ray has died,
    and what the fit raises.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # raised again where somebody waits for it
            failed.append(error)

    stop.unlink(missing_ok=True)
    fitting = threading.Thread(target=run, daemon=True)
    asked: list[float] = []
    with on_stop(lambda name: _ask(stop, asked)):
        fitting.start()
        while fitting.is_alive() and not (asked and time.monotonic() - asked[0] > STOP_SECONDS):
            fitting.join(POLL_SECONDS)
            if died():
                raise Fault(f"{DIED}; the same command goes on from the last checkpoint")
    if asked:
        raise KeyboardInterrupt
    if failed:
        raise failed[0]


def _ask(stop: Path, asked: list[float]) -> None:
    asked.append(time.monotonic())
    with suppress(OSError):  # on a full disk the run ends by the clock
        stop.touch()
