"""What a run tells while it runs: rows to the search, numbers to W&B, progress to a person, state to disk."""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from train_fn import checkpoint
from train_fn.batching import Steps
from train_fn.config import TrainConfig
from train_fn.fitting import keep_plan
from train_fn.loop import Learner
from train_fn.loss import label_counts, weight_facts
from train_fn.metrics import Metrics
from train_fn.progress import Progress, no_progress
from train_fn.state import Row, TrainingData, TrainState
from train_fn.storage import write_json, write_text
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
    ) -> None:
        self._id, self._folder, self._first = run_id, folder, first
        self._send, self._stopped, self._progress = send, stopped, progress
        self._tracked = TrackedRun(tracking)
        self._stage, self._saved = "", time.monotonic()
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
        self._learner, self._config, self._decided = learner, config, decided
        counts = label_counts(training.train.labels[training.train_rows])
        self._facts = weight_facts(counts, training.weights)
        self._plan = Steps(training.train_rows, config.batch_size, config.epochs, config.seed)
        self._tracked.begun(self._facts)
        self._say(f"class weights {training.weights[0]:.4f} AI, {training.weights[1]:.4f} human")
        found = checkpoint.load(self._folder / "checkpoints")
        if found is None:
            return self._state
        self._state = self._restore(found)
        if self._state.before:
            self.before(self._state)
        for row in self._state.curve:
            self._tracked.evaluated(row)
            self._tell(row)
        return self._state

    def _restore(self, found: checkpoint.Checkpoint) -> TrainState:
        before, now = found.position.decided, self._decided
        checkpoint.restore(self._learner.parameters, found.weights)
        checkpoint.restore_optimizer(self._learner.optimizer, self._learner.parameters, found.optimizer)
        torch.set_num_threads(int(before.get("threads", now["threads"])))
        now["threads"] = torch.get_num_threads()
        changed = [key for key, value in now.items() if before.get(key) != value]
        exactly = f"not bit for bit: {', '.join(changed)} changed" if changed else "bit for bit"
        self._say(f"resumes at step {found.position.step}, {exactly}")
        return found.state()

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
        if time.monotonic() - self._saved > 60 * self._config.checkpoint_minutes:
            self._save(state)

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
        if folder := self._save(state):
            self._tracked.saved(folder, row, best=state.stale == 0)
        self._tell(row)

    def _tell(self, row: Row) -> None:
        # The row at 100 % is sent by `complete`: after it the search asks for no further one.
        if self._first and row["progress"] < 100:
            self._send(row)

    def _save(self, state: TrainState) -> Path | None:
        self._saved = time.monotonic()
        if not self._first:
            return None
        found = checkpoint.Checkpoint(
            checkpoint.Position.of(state, self._decided),
            checkpoint.snapshot(self._learner.parameters),
            checkpoint.optimizer_tensors(self._learner.optimizer, self._learner.parameters),
            state.best_weights,
        )
        folder = checkpoint.save(self._folder / "checkpoints", found)
        write_text(self._folder / "curve.jsonl", "".join(json.dumps(row) + "\n" for row in state.curve))
        return folder

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
        self.drop_checkpoints()
        self._tracked.complete(state.step, {**row, **self._decided}, metrics)
        self._send(row)

    def fail(self, cause: str) -> None:
        """The run failed by itself: the last row says why."""
        last = {"progress": 0, "seconds": self._state.seconds, **(self._state.curve or [{}])[-1]}
        row = {**last, "objective": math.nan, "done": True, "status": "FAILED", "cause": cause}
        write_json(self._folder / "result.json", {**row, "objective": None})
        self.drop_checkpoints()
        self.end("FAILED", cause)
        self._send(row)

    def drop_checkpoints(self) -> None:
        """The run will never go on."""
        shutil.rmtree(self._folder / "checkpoints", ignore_errors=True)

    def end(self, status: Status, cause: str = "") -> None:
        """The run ends without a result."""
        self._tracked.end(status, cause)
