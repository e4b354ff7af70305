"""What a person sees of a search: a live table on a terminal, one line an event elsewhere."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from rich.console import Group
from rich.live import Live
from rich.text import Text

from search.confirm import TOP
from search.machine import Slots
from search.record import ConfirmRecord, StudyConfig, TrialRecord, row_of
from search.space import Point
from search.study import Study
from search.wording import clock, describe, loss
from train_fn.voice import current, new_table, say

SHOWN, AROUND = 24, 7  # trials in the table at most, and the screen's lines that are not theirs
BEST = 4  # of those shown, beside the latest
BAR, ROOM = 20, 76  # characters of a bar at most, and of a line of the table without it
COLUMNS = ("trial", "rate", "rank", "alpha", "run", "last", "best", "state", "time")

Key = tuple[bool, int, int | None]


@dataclass
class Line:
    """One trial, or one run of the confirmation, as the table shows it."""

    number: int
    seed: int | None
    params: Point
    percent: int = 0
    last: float | None = None
    best: float | None = None
    state: str = "RUNNING"
    seconds: float = 0.0
    rate: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, record: TrialRecord) -> "Line":
        """A run that ended in an earlier search."""
        percent, seed = record.curve[-1][0] if record.curve else 0, _seed(record)
        number, params = record.number, record.params
        return cls(number, seed, params, percent, None, record.value, record.status, record.seconds)

    @classmethod
    def asked_by(cls, config: Mapping[str, Any]) -> "Line":
        """What Tune's trial of that configuration runs."""
        return cls(config["number"], config.get("seed"), Point.model_validate(config["params"]))

    @property
    def key(self) -> Key:
        """Runs of the confirmation after all trials."""
        return self.seed is not None, self.number, self.seed

    @property
    def name(self) -> str:
        return f"trial {self.number}" + ("" if self.seed is None else f" again, seed {self.seed}")

    def cells(self, bar: int) -> tuple[str, ...]:
        """The texts of COLUMNS, with a bar of so many characters."""
        filled = bar * self.percent // 100
        return (
            f"{self.number:d}" + ("" if self.seed is None else f" seed {self.seed}"),
            f"{self.params.learning_rate:.2e}",
            f"{self.params.lora_rank:d}",
            f"{self.params.lora_alpha:g}",
            f"{'#' * filled}{'.' * (bar - filled)} {self.percent:3d} %",
            loss(self.last),
            loss(self.best),
            self.state,
            clock(time.monotonic() - self.began if self.state == "RUNNING" else self.seconds),
        )


class SearchView(Callback):  # type: ignore[misc]
    """Follows Tune's events. Every call only changes numbers: a thread of rich's draws the table."""

    def __init__(self, study: Study, config: StudyConfig, slots: Slots) -> None:
        self._study, self._trials, self._slots = study, config.search.trials, slots
        self._reruns = (TOP + 1) * config.search.confirm_seeds  # at most; known when the trials have ended
        before = [Line.of(record) for record in (*study.records(), *study.reruns())]
        self._lines = {line.key: line for line in before}
        self._before = len(self._lines)
        self._began = time.monotonic()
        spoken = current()
        self._live = Live(
            console=spoken.console,
            get_renderable=lambda: self.drawn(*spoken.console.size),
            refresh_per_second=2,
        )
        self._drawing = spoken.live

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, and a terminal cannot be."""
        return {}

    def setup(self, **info: Any) -> None:
        """Begin to draw."""
        cores = f"{self._slots.resources['CPU']:g} CPU cores"
        gpus = f", {self._slots.resources['GPU']:g} GPU" if "GPU" in self._slots.resources else ""
        say(f"machine  {self._slots.count} trial(s) at a time, {cores}{gpus} each")
        if self._drawing:
            self._live.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial is on its worker."""
        line = Line.asked_by(trial.config)
        self._lines[line.key] = line
        if line.seed is not None:
            confirmation = self._study.confirmation()
            self._reruns = len(confirmation.ended) + len(confirmation.missing)
        self._event(f"{line.name}: {describe(line.params)}")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """A trial evaluated."""
        line, row = self._lines[Line.asked_by(trial.config).key], row_of(result)
        line.percent = int(row["progress"])
        line.last, line.best = row.get("validation_log_loss"), row["objective"]
        line.seconds = float(row.get("seconds", 0.0))
        line.rate = float(row.get("samples", 0)) / line.seconds if line.seconds else 0.0
        if not row.get("done"):
            rate = f", {line.rate:.1f} samples/s" if line.rate else ""
            self._event(f"{line.name}: {line.percent} %, best log loss {loss(line.best)}{rate}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended; what became of it stands in the record by now, or it was interrupted."""
        line = self._lines[Line.asked_by(trial.config).key]
        records = self._study.records() if line.seed is None else self._study.reruns()
        record = next((item for item in records if Line.of(item).key == line.key), None)
        line.state = record.status if record else "STOPPED"
        line.best = record.value if record else line.best
        cause = f" ({record.cause})" if record and record.cause else ""
        self._event(f"{line.name}: {line.state}{cause}, log loss {loss(line.best)}; {self._status()}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial lost its worker."""
        line = Line.asked_by(trial.config)  # it may have been lost before it started
        self._lines.setdefault(line.key, line)
        self.on_trial_complete(iteration, trials, trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """The last look."""
        if self._drawing:
            self._live.stop()

    def _status(self) -> str:
        ended = [line for line in self._lines.values() if line.state not in ("RUNNING", "STOPPED")]
        running = [line for line in self._lines.values() if line.state == "RUNNING"]
        confirming = any(line.seed is not None for line in self._lines.values())
        spent = time.monotonic() - self._began
        work = len(ended) - self._before + sum(line.percent for line in running) / 100
        again = [line for line in ended if line.seed is not None]
        left = self._trials + self._reruns - self._before - work
        rate = sum(line.rate for line in running)
        return (
            f"{len(ended) - len(again)} of {self._trials} trials, "
            + (f"{len(again)} of {self._reruns} runs of the confirmation, " if confirming else "")
            + clock(spent)
            + (f", {rate:.1f} samples/s" if rate else "")
            + (f", about {clock(spent / work * left)} left" if work >= 0.1 and left > 0 else "")
        )

    def drawn(self, width: int, height: int) -> Group:
        """The panel, on a terminal of that size."""
        table = new_table(*COLUMNS, left=len(COLUMNS))
        for line in self._shown(min(SHOWN, max(height - AROUND, BEST + 1))):
            table.add_row(*line.cells(min(BAR, max(width - ROOM, 0))))
        return Group(table, Text(f"{self._study.name}: {self._status()}"))

    def _shown(self, count: int) -> list[Line]:
        lines = sorted(self._lines.values(), key=lambda line: line.key)
        if len(lines) <= count:
            return lines
        complete = [line for line in lines if line.state == "COMPLETE" and line.best is not None]
        best = sorted(complete, key=lambda line: line.best or 0.0)[:BEST]
        latest = lines[-(count - BEST) :]
        return sorted({line.key: line for line in [*best, *latest]}.values(), key=lambda line: line.key)

    def _event(self, text: str) -> None:
        if not self._drawing:
            say(text)


def _seed(record: TrialRecord) -> int | None:
    return record.seed if isinstance(record, ConfirmRecord) else None
