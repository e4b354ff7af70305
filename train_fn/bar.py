"""The progress of one run on a terminal: stage, bar, rate and time left, in plain ASCII."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.progress import Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from train_fn.secret import hidden
from train_fn.voice import current, say

WIDTH, ROOM = 30, 28  # characters of a bar at most, and of its brackets, the clock and the spaces


class AsciiBar(ProgressColumn):
    """[#####.....], as long as the line has room for; nothing where there are no steps."""

    def render(self, task: Task) -> Text:
        beside = len(task.description) + len(task.fields["figures"]) + ROOM
        width = max(min(WIDTH, current().console.width - beside), 0)
        filled = int(width * task.completed / (task.total or 1))
        return Text(f"[{'#' * filled}{'.' * (width - filled)}]" if task.total else "")


class Clock(ProgressColumn):
    """The time spent, and what is left where that can be said."""

    def render(self, task: Task) -> Text:
        known = task.total and task.time_remaining is not None
        left = f", {_time(task.time_remaining or 0)} left" if known else ""
        return Text(f"{_time(task.elapsed or 0)}{left}")


def new_bar(*, shown: bool = True) -> Progress:
    """The panel of a run: a task has a description, and text in its field `figures`."""
    spoken = current()
    columns = (TextColumn("{task.description}"), AsciiBar(), TextColumn("{task.fields[figures]}"), Clock())
    return Progress(*columns, console=spoken.console, disable=not (shown and spoken.live))


class RunBar:
    """Shows what `Progress` tells; the command's lines are printed above it."""

    def __init__(self) -> None:
        self._bar = new_bar()
        self._task = self._bar.add_task("starting", total=0, figures="")

    def __enter__(self) -> "RunBar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def tell(self, stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        """Move the bar. A stage with a `total` of 0 has no steps."""
        rate = float(values.get("samples_per_second", 0.0))
        figures = f"{done:,}/{total:,} steps, {rate:,.1f} samples/s" if total else ""
        self._bar.update(self._task, description=stage, completed=done, total=total, figures=figures)


@contextmanager
def logged(path: Path, *, shown: bool = False) -> Iterator[None]:
    """Let this process's run log go to the file, and be said where it is to be `shown`."""
    logger = logging.getLogger("train_fn")
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    if shown:
        handlers.append(_SayHandler())
    for handler in handlers:
        handler.setFormatter(_Hiding("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _Hiding(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return hidden(super().format(record))


class _SayHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _time(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
