"""The progress of one run on a terminal: stage, bar, rate and time left, in plain ASCII."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from train_fn.secret import hidden

WIDTH = 30


class AsciiBar(ProgressColumn):
    """[#####.....]"""

    def render(self, task: Task) -> Text:
        filled = int(WIDTH * task.completed / task.total) if task.total else 0
        return Text(f"[{'#' * filled}{'.' * (WIDTH - filled)}]")


class RunBar:
    """Shows what `Progress` tells; lines of the run's log are printed above it."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            AsciiBar(),
            TextColumn(
                "{task.completed:.0f}/{task.total:.0f} steps, {task.fields[rate]:.1f} samples/s", markup=False
            ),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=1, rate=0.0)

    def __enter__(self) -> "RunBar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def tell(self, stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        """Move the bar."""
        rate = float(values.get("samples_per_second", 0.0))
        self._bar.update(self._task, description=stage, completed=done, total=total or 1, rate=rate)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(Text(line), soft_wrap=True)


@contextmanager
def logged(path: Path, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Let this process's run log go to the file, and to `say`."""
    logger = logging.getLogger("train_fn")
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    if say is not None:
        handlers.append(_SayHandler(say))
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
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(self.format(record))
