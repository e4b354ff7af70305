"""What a training run tells W&B: which rows, and how many of them.

Whatever its length, a run has at most TRAIN_ROWS rows of training steps, one an evaluation, one at its start and
one of charts: 1,102 with the most evaluations that a configuration may ask for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train_fn.metrics import Metrics
from train_fn.state import Row, TrainState
from train_fn.tracking import Files, NullTracker, RunInfo, Status, open_tracker
from train_fn.tracking_charts import Shown, confusion_counts, judged_charts

TRAIN_ROWS = 1000  # more than a plot has pixels for
AXES = ("samples", "progress", "seconds")  # of an evaluation's row: not metrics, but what to draw them over
# W&B's own, in the rows of the training, the lowest so far, the same again.
LEFT_OUT = ("step", "learning_rate", "train_loss", "objective", "validation_log_loss")


class TrackedRun:
    """One run on its tracker, none where `info` is None. Only its start and its evaluations are told again when it
    is resumed: a killed process may have lost them."""

    def __init__(self, info: RunInfo | None) -> None:
        self._tracker, self._info = open_tracker(info) if info else NullTracker(), info
        self._row: dict[str, float] = {}
        self._step = 0

    def begun(self, facts: Mapping[str, float]) -> None:
        """The class weights and what they come from are known."""
        self._add({**facts, "samples": 0}, 0)

    def judged_before(self, metrics: Metrics) -> None:
        """The evaluation before training."""
        self._add({f"before/{key}": value for key, value in metrics.scalars().items()}, 0)

    def stepped(self, state: TrainState, total: int, samples: int, values: Mapping[str, float]) -> None:
        """A step of `total` has been made, the last of so many `samples`. A row has the mean loss since the row or
        the evaluation before."""
        every = -(-total // TRAIN_ROWS)
        if state.step % every == 0:
            some = state.losses[-every:]
            told = {**values, "train_loss": sum(some) / len(some)}
            row = {f"train/{key.removeprefix('train_')}": value for key, value in told.items()}
            self._add({**row, "samples": samples}, state.step)

    def evaluated(self, row: Row) -> None:
        """An evaluation; its numbers."""
        numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
        values = {f"validation/{key}": numbers[key] for key in numbers.keys() - {*AXES, *LEFT_OUT}}
        self._add({**values, **{key: numbers[key] for key in AXES}}, row["step"])

    def saved(self, folder: Path, row: Row, *, best: bool) -> None:
        """A checkpoint of that evaluation lies in `folder`. Its optimiser, twice the weights, stays there."""
        if not (self._info and self._info.keeps_weights):
            return
        names = ("weights.safetensors", "position.json")
        about = {key: row[key] for key in ("step", *AXES, "validation_log_loss")}
        aliases = (f"step-{row['step']}", *(("best",) if best else ()))
        paths = {name: folder / name for name in names}
        self._tracker.made(Files(f"{self._info.id}-weights", "checkpoint", paths, about, aliases))

    def complete(self, step: int, summary: Mapping[str, Any], metrics: Metrics) -> None:
        """The run ended with a result. The charts are a row of their own: online they need the server, which may
        refuse them."""
        self._flush()
        self._tracker.log(judged_charts(metrics, "validation"), step + 1)
        self._tracker.finish("COMPLETE", {**summary, "confusion": confusion_counts(metrics)})

    def end(self, status: Status, summary: Mapping[str, Any]) -> None:
        """The run ends without a result, or had ended with one before."""
        self._flush()
        self._tracker.finish(status, summary)

    def _add(self, values: Mapping[str, float], step: int) -> None:
        """Add to the row of that step, for W&B takes one a step; the row of the step before is whole then."""
        if step != self._step:
            self._flush()
        self._step = step
        self._row.update(values)

    def _flush(self) -> None:
        if self._row:
            row: dict[str, float | Shown] = {**self._row}
            self._tracker.log(row, self._step)
            self._row.clear()
