"""What a person sees of a search: a live table on a terminal, one line an event elsewhere; plain ASCII."""

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.machine import Slots
from search.record import StudyConfig, TrialRecord, best_of
from search.sampler import row_of
from search.space import Point
from search.study import Study

SHOWN = 16  # lines of the table: the best trials and the latest
BEST = 4
BAR = 20
COLUMNS = ("trial", "learning rate", "rank", "alpha", "run", "last", "best", "state", "time")


@dataclass
class Line:
    """One trial as the table shows it."""

    number: int
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
        """A trial that ended in an earlier search."""
        percent = record.curve[-1][0] if record.curve else 0
        return cls(record.number, record.params, percent, None, record.value, record.status, record.seconds)

    def cells(self) -> tuple[str, ...]:
        """The texts of COLUMNS."""
        filled = BAR * self.percent // 100
        return (
            f"{self.number:d}",
            f"{self.params.learning_rate:.2e}",
            f"{self.params.lora_rank:d}",
            f"{self.params.lora_alpha:g}",
            f"{'#' * filled}{'.' * (BAR - filled)} {self.percent:3d} %",
            _loss(self.last),
            _loss(self.best),
            self.state,
            clock(time.monotonic() - self.began if self.state == "RUNNING" else self.seconds),
        )


class SearchView(Callback):  # type: ignore[misc]
    """Follows Tune's events. Every call only changes numbers: a thread of rich's draws the table."""

    def __init__(self, study: Study, config: StudyConfig, slots: Slots) -> None:
        self._study, self._trials, self._slots = study, config.search.trials, slots
        self._lines = {record.number: Line.of(record) for record in study.records()}
        self._before = len(self._lines)
        self._began = time.monotonic()
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=2)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, and a terminal cannot be."""
        return {}

    def setup(self, **info: Any) -> None:
        """Begin to draw."""
        cores = f"{self._slots.resources['CPU']:g} CPU cores"
        gpus = f", {self._slots.resources['GPU']:g} GPU" if "GPU" in self._slots.resources else ""
        self._say(f"{self._slots.count} trial(s) at a time, {cores}{gpus} each")
        if self._console.is_terminal:
            self._live.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial is on its worker."""
        line = Line(trial.config["number"], Point.model_validate(trial.config["params"]))
        self._lines[line.number] = line
        self._event(f"trial {line.number}: {describe(line.params)}")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """A trial evaluated."""
        line, row = self._lines[trial.config["number"]], row_of(result)
        line.percent = int(row["progress"])
        line.last, line.best = row.get("validation_log_loss"), row["objective"]
        line.seconds = float(row.get("seconds", 0.0))
        line.rate = float(row.get("samples", 0)) / line.seconds if line.seconds else 0.0
        if not row.get("done"):
            rate = f", {line.rate:.1f} samples/s" if line.rate else ""
            self._event(f"trial {line.number}: {line.percent} %, best log loss {_loss(line.best)}{rate}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended; what became of it stands in the record by now, or it was interrupted."""
        line = self._lines[trial.config["number"]]
        record = next((item for item in self._study.records() if item.number == line.number), None)
        line.state = record.status if record else "INTERRUPTED"
        line.best = record.value if record else line.best
        cause = f" ({record.cause})" if record and record.cause else ""
        self._event(
            f"trial {line.number}: {line.state}{cause}, log loss {_loss(line.best)}; {self._status()}"
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial lost its worker."""
        number = trial.config["number"]  # it may have been lost before it started
        self._lines.setdefault(number, Line(number, Point.model_validate(trial.config["params"])))
        self.on_trial_complete(iteration, trials, trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """The last look."""
        if self._console.is_terminal:
            self._live.stop()

    def _status(self) -> str:
        ended = [line for line in self._lines.values() if line.state not in ("RUNNING", "INTERRUPTED")]
        running = [line for line in self._lines.values() if line.state == "RUNNING"]
        spent = time.monotonic() - self._began
        work = len(ended) - self._before + sum(line.percent for line in running) / 100
        left = self._trials - self._before - work
        rate = sum(line.rate for line in running)
        return (
            f"{len(ended)} of {self._trials} trials, {clock(spent)}"
            + (f", {rate:.1f} samples/s" if rate else "")
            + (f", about {clock(spent / work * left)} left" if work >= 0.1 and left > 0 else "")
        )

    def _draw(self) -> Group:
        table = Table(*COLUMNS, box=box.ASCII, title=None)
        for line in self._shown():
            table.add_row(*line.cells())
        return Group(table, Text(f"{self._study.name}: {self._status()}"))

    def _shown(self) -> list[Line]:
        lines = sorted(self._lines.values(), key=lambda line: line.number)
        if len(lines) <= SHOWN:
            return lines
        complete = [line for line in lines if line.state == "COMPLETE" and line.best is not None]
        best = sorted(complete, key=lambda line: line.best or 0.0)[:BEST]
        latest = lines[-(SHOWN - BEST) :]
        return sorted({line.number: line for line in [*best, *latest]}.values(), key=lambda line: line.number)

    def _event(self, text: str) -> None:
        if not self._console.is_terminal:
            self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def summary(study: Study) -> list[str]:
    """The winner beside the default, and where things are."""
    records = study.records()
    best, default = best_of(records), next((record for record in records if record.number == 0), None)
    counts = Counter(record.status for record in records)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    lines = [f"trials   {told or 'none ended'}"]
    if best is None:
        return [*lines, f"winner   none, for no trial is complete; see {study.folder / 'trials.jsonl'}"]
    lines.append(f"winner   trial {best.number}: log loss {_loss(best.value)}, {describe(best.params)}")
    if default:
        told = f"log loss {_loss(default.value)}" if default.status == "COMPLETE" else default.status
        same = " (the winner)" if best.number == 0 else ""
        lines.append(f"default  trial 0: {told}, {describe(default.params)}{same}")
    lines.append(f"files    {study.folder}")
    return lines


def describe(params: Point) -> str:
    """A point in words."""
    return f"learning rate {params.learning_rate:.2e}, rank {params.lora_rank}, alpha {params.lora_alpha:g}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _loss(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
