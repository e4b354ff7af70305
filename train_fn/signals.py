"""Ctrl-C and SIGTERM: what they do to a command."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_stop(handle: Callable[[str], None]) -> Iterator[None]:
    """Within the block Ctrl-C and SIGTERM call `handle` with their name. The third of them ends the block at once,
    by KeyboardInterrupt. Does nothing outside of the main thread, which alone may."""
    came = 0

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came += 1
        if came > 2:
            raise KeyboardInterrupt
        handle(signal.Signals(number).name)

    with _handled(handler):
        yield


@contextmanager
def as_interrupt() -> Iterator[None]:
    """Within the block SIGTERM does what Ctrl-C does: it raises KeyboardInterrupt."""
    with _handled(signal.default_int_handler):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    old = {number: signal.signal(number, handler) for number in STOPS} if main else {}
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
