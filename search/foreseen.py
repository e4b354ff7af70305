"""What was forecast for a study or a full run, and what it took: forecast.json and sittings.json in its folder."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.record import StudyConfig, now
from search.wording import clock
from train_fn.storage import read_json, write_json

if TYPE_CHECKING:
    from search.study import Study
    from train_fn.inputs import Inputs

FORECAST, SITTINGS = "forecast.json", "sittings.json"
TICK_SECONDS = 10.0  # what a kill may leave uncounted


@dataclass(frozen=True)
class Foreseen:
    """A forecast to be kept: `record` as it is written, None without one; `scope` is what is to be run."""

    record: Mapping[str, Any] | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)

    def keep(self, folder: Path) -> None:
        """Write forecast.json, unless one of the same scope is there: a command that goes on keeps the first.

        One of another scope that is not settled goes: what is run now is not what it foresaw.
        """
        file = folder / FORECAST
        there = _read(file)
        other = any(there.get(key) != value for key, value in self.scope.items())
        if self.record is None:
            if other and "actual_seconds" not in there:
                file.unlink(missing_ok=True)
        elif other or not there:
            spent = sum(_sittings(folder).values())
            write_json(file, {**self.scope, **self.record, "spent_before_seconds": spent})


Foresee = Callable[["Study", StudyConfig, "Inputs"], tuple[StudyConfig, Foreseen]]


def unforeseen(study: "Study", config: StudyConfig, inputs: "Inputs") -> tuple[StudyConfig, Foreseen]:
    """The search as it is configured, without a forecast."""
    return config, Foreseen()


@contextmanager
def sitting(folder: Path) -> Iterator[None]:
    """Keep how long the block takes, beside the earlier ones: sittings.json, their seconds by when they began."""
    before, began, started = _sittings(folder), now(), time.monotonic()
    spent = before.get(began, 0.0)  # a clock that was put back may say the same time again
    ended = threading.Event()

    def keep() -> None:
        with suppress(OSError):  # a full disk is reported by what matters more
            write_json(folder / SITTINGS, {**before, began: round(spent + time.monotonic() - started, 1)})

    def watch() -> None:
        while not ended.wait(TICK_SECONDS):
            keep()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        keep()


def settle(folder: Path, say: Callable[[str], None]) -> None:
    """Write and say what was forecast and what it took, all sittings together; once for each forecast."""
    told = _read(folder / FORECAST)
    if not told or "actual_seconds" in told:
        return
    took = sum(_sittings(folder).values()) - told["spent_before_seconds"]
    error = took / told["forecast_seconds"] - 1
    write_json(folder / FORECAST, {**told, "actual_seconds": took, "relative_error": error})
    say(f"forecast {clock(told['forecast_seconds'])}, took {clock(took)} ({100 * error:+.0f} %)")


def _sittings(folder: Path) -> dict[str, float]:
    return _read(folder / SITTINGS)


def _read(file: Path) -> dict[str, Any]:
    """Of a file that is not there or damaged nothing: no run may end because of what was foreseen for it."""
    try:
        return dict(read_json(file))
    except (OSError, ValueError, TypeError):
        return {}
