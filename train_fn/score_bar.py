"""How far the scoring of a file is: a bar on a terminal, else a line now and then."""

import time

from train_fn.bar import new_bar
from train_fn.progress_lines import SAY_EVERY
from train_fn.voice import current, say


class ScoreBar:
    """Shows texts, rate and time left. Not `shown` where results go to the same terminal."""

    def __init__(self, shown: bool) -> None:
        self._lines = shown and not current().live
        self._start = self._said = time.monotonic()
        self._bar = new_bar(shown=shown)
        self._task = self._bar.add_task("scoring", total=1.0, figures="")

    def __enter__(self) -> "ScoreBar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def at(self, texts: int, share: float) -> None:
        """So many texts are scored, and that share of the file is read."""
        rate = texts / self.seconds
        self._bar.update(self._task, completed=share, figures=f"{texts:,} texts, {rate:,.1f}/s")
        if self._lines and time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            left = self.seconds * (1 / share - 1)
            say(
                f"scoring  {texts:,} texts, {share:.0%} of the file, {rate:,.1f} a second, {left:,.0f} s left"
            )
