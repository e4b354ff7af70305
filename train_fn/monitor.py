"""What a run tells while it runs: rows to the search, numbers to W&B, progress to a person, state to disk."""

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from train_fn.batching import Steps
from train_fn.config import TrainConfig
from train_fn.fitting import keep_plan
from train_fn.job import Outcome
from train_fn.keeper import Keeper
from train_fn.loop import Learner
from train_fn.loss import label_counts, weight_facts
from train_fn.metrics import Metrics
from train_fn.progress import Progress, no_progress
from train_fn.state import Row, TrainingData, TrainState
from train_fn.storage import read_json, read_lines, write_json
from train_fn.tracking import RunInfo, Status
from train_fn.tracking_run import TrackedRun

_log = logging.getLogger(__name__)


class StoppedError(Exception):
    """The run was asked to end; the message says by whom: PRUNED or INTERRUPTED."""


class Monitor:
    """The Events of the loop. Only the first rank sends, writes and tracks; all ranks may be stopped."""

    def __init__(
        self,
        run_id: str,
        folder: Path,
        tracking: RunInfo | None,
        *,
        send: Callable[[Row], None] = lambda row: None,
        stopped: Callable[[], str] = lambda: "",
        progress: Progress = no_progress,
        first: bool = True,
        keep: int = 0,
    ) -> None:
        self._id, self._folder, self._first = run_id, folder, first
        self._send, self._stopped, self._progress = send, stopped, progress
        self._tracked = TrackedRun(tracking)
        self._keeper = Keeper(folder, first=first, keep=keep)
        self._stage = ""
        self._state = TrainState()
        self.cause = ""

    def stage(self, name: str) -> None:
        """Say what is being done now."""
        self._stage = name
        self._say(name)
        self._progress(name, 0, 0, {})

    def begin(
        self, learner: Learner, training: TrainingData, config: TrainConfig, decided: dict[str, Any]
    ) -> TrainState:
        """Where the run stands: at its last checkpoint, put back into `learner`, or at its start.

        What decided a checkpoint's bits is used again, or the loss of exactness is said. What was sent before
        the interruption is sent again, unchanged.
        """
        self._config, self._decided = config, decided
        counts = label_counts(training.train.labels[training.train_rows])
        self._facts = weight_facts(counts, training.weights)
        self._plan = Steps(training.train_rows, config.batch_size, config.epochs, config.seed)
        self._tracked.begun(self._facts)
        self._say(f"class weights {training.weights[0]:.4f} AI, {training.weights[1]:.4f} human")
        found = self._keeper.restore(learner, decided)
        if found is None:
            return self._state
        self._state, exactly = found
        self._say(f"resumes at step {self._state.step}, {exactly}")
        if self._state.before:
            self.before(self._state)
        for row in self._state.curve:
            self._tracked.evaluated(row)
            self._tell(row)
        return self._state

    def _say(self, line: str) -> None:
        if self._first:
            _log.info(line)

    def micro_batch(self, rows: int) -> None:
        reason = self._stopped()
        if reason:
            raise StoppedError(reason)

    def before(self, state: TrainState) -> None:
        """The evaluation before training is known."""
        self._tracked.judged_before(Metrics(**state.before["validation"]))

    def stepped(self, state: TrainState, total: int, values: Mapping[str, float]) -> None:
        samples = self._plan.samples(state.step)
        told = {**values, "samples_per_second": samples / max(state.seconds, 1e-9)}
        self._progress(self._stage, state.step, total, told)
        self._tracked.stepped(state, total, samples, told)
        if self._keeper.age > 60 * self._config.checkpoint_minutes:
            self._keeper.save(state)

    def shrunk(self, tokens: int) -> None:
        self._decided["micro_batch_tokens"] = tokens
        keep_plan(self._folder, tokens)
        self._say(f"out of memory: goes on with micro-batches of {tokens} tokens")

    def evaluated(self, state: TrainState, row: Row) -> None:
        row["device"] = self._decided["device"]
        rate = row["samples"] / max(row["seconds"], 1e-9)
        left = row["seconds"] * (100 - row["progress"]) / max(row["progress"], 1)
        self._say(
            f"{row['progress']} %: log loss {row['validation_log_loss']:.4f} (best {row['objective']:.4f}), "
            f"balanced accuracy {row['balanced_accuracy']:.4f}, {rate:.1f} samples/s, "
            f"about {left / 60:.0f} min left"
        )
        self._tracked.evaluated(row)
        if folder := self._keeper.save(state):
            self._tracked.saved(folder, row, best=state.stale == 0)
        self._tell(row)

    def _tell(self, row: Row) -> None:
        # The row at 100 % is sent by `complete`: after it the search asks for no further one.
        if self._first and row["progress"] < 100:
            self._send(row)

    def complete(self, state: TrainState, metrics: Metrics, deliver: Callable[[], None]) -> None:
        """Write the results, then send the last row: when it arrives, every file is there."""
        if not self._first:
            return
        self.cause = "patience" if state.curve[-1]["progress"] < 100 else ""
        last = {**state.curve[-1], **metrics.scalars(), "objective": metrics.log_loss}
        row = {**last, **self._facts, "done": True, "status": "COMPLETE", "cause": self.cause}
        spent = sum(evaluation["evaluation_seconds"] for evaluation in state.curve)
        self._say(f"evaluations took {spent / state.seconds:.0%} of {state.seconds:.0f} s of training")
        deliver()
        write_json(self._folder / "facts.json", {**self._facts, **self._decided})
        write_json(self._folder / "result.json", row)
        self._keeper.complete()
        self._tracked.complete(state.step, {**row, **self._decided}, metrics)
        self._send(row)

    def tell_again(self) -> Outcome | None:
        """Send again what a run sent that had ended before its search could hear of it; None when it had not."""
        file = self._folder / "result.json"
        if not file.exists():
            return None
        row = read_json(file)
        for line in read_lines(self._folder / "curve.jsonl"):
            self._tracked.evaluated(line)
            self._tell(line)
        self._tracked.end(row["status"], row)
        self._send({**row, "objective": math.nan if row["objective"] is None else row["objective"]})
        return Outcome(row["status"], row["cause"])

    def stop(self, reason: str) -> None:
        """The run was asked to end: what it has done is kept, unless it will never go on."""
        if reason == "PRUNED":
            self._keeper.drop()
        else:
            with suppress(OSError, SafetensorError):  # the checkpoint before stands
                self._keeper.save_new(self._state)
        self.end("PRUNED" if reason == "PRUNED" else "INTERRUPTED")

    def halt(self, cause: str) -> None:
        """The run cannot go on now; later it can."""
        self.end("INTERRUPTED", cause)
        last = {"progress": 0, "objective": math.nan, **(self._state.curve or [{}])[-1]}
        self._send({**last, "done": True, "status": "INTERRUPTED", "cause": cause})

    def fail(self, cause: str) -> None:
        """The run failed by itself: the last row says why."""
        last = {"progress": 0, "seconds": self._state.seconds, **(self._state.curve or [{}])[-1]}
        row = {**last, "objective": math.nan, "done": True, "status": "FAILED", "cause": cause}
        write_json(self._folder / "result.json", {**row, "objective": None})
        self._keeper.drop()
        self.end("FAILED", cause)
        self._send(row)

    def end(self, status: Status, cause: str = "") -> None:
        """The run ends without a result."""
        self._tracked.end(status, {"cause": cause})
