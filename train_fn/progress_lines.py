"""A line now and then while many rows are worked on."""

import time
from collections.abc import Callable

SAY_EVERY = 10.0  # seconds


class Progress:
    """Says how far `what` is, how fast, and how long it will take."""

    def __init__(self, what: str, rows: int, say: Callable[[str], None]) -> None:
        self.what, self.rows, self.say = what, rows, say
        self.start = self.said = time.monotonic()

    def at(self, done: int) -> None:
        """`done` rows are ready; says so when the last line is SAY_EVERY seconds old."""
        now = time.monotonic()
        if done and now - self.said >= SAY_EVERY:
            self.said, rate = now, done / (now - self.start)
            left = (self.rows - done) / rate
            self.say(f"{self.what}: {done:,} of {self.rows:,}, {rate:,.0f} a second, {left:,.0f} s left")
