"""How far the scoring of a file is, on standard error: a bar on a terminal, else a line now and then."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from train_fn.bar import AsciiBar
from train_fn.progress_lines import SAY_EVERY


class ScoreBar:
    """Shows texts, rate and time left; `say` gets the lines. Not `shown` where results go to the same terminal."""

    def __init__(self, say: Callable[[str], None], shown: bool) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._say, self._lines = say, shown and not console.is_terminal
        self._start = self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("scoring"),
            AsciiBar(),
            TextColumn("{task.fields[texts]:,} texts, {task.fields[rate]:,.1f}/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
            redirect_stdout=False,  # the results may go to a file there
        )
        self._task = self._bar.add_task("scoring", total=1.0, texts=0, rate=0.0)

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
        self._bar.update(self._task, completed=share, texts=texts, rate=rate)
        if self._lines and time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            left = self.seconds * (1 / share - 1)
            self._say(
                f"scoring  {texts:,} texts, {share:.0%} of the file, {rate:,.1f} a second, {left:,.0f} s left"
            )
