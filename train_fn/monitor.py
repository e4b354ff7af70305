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
from torch import nn

from train_fn import checkpoint
from train_fn.config import LABELS, TrainConfig
from train_fn.loop import Row, TrainingData, TrainState
from train_fn.loss import inverse_frequency, label_counts
from train_fn.metrics import Metrics
from train_fn.storage import write_json, write_text
from train_fn.tracking import NullTracker, RunInfo, Tracker, open_tracker

PROGRESS_SECONDS = 0.5
LOG_SECONDS = 1.0  # a training row a second at most: a long run does not flood W&B
_log = logging.getLogger(__name__)
Progress = Callable[[str, int, int, Mapping[str, float]], None]


class StoppedError(Exception):
    """The run was asked to end; the message says by whom: PRUNED or INTERRUPTED."""


def no_progress(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
    """Nobody watches."""


def file_progress(path: Path) -> Progress:
    """Progress for another process: a small JSON file, rewritten at most twice a second."""
    last: dict[str, Any] = {"time": 0.0, "stage": ""}

    def tell(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if stage != last["stage"] or now - last["time"] > PROGRESS_SECONDS:
            last.update(time=now, stage=stage)
            write_json(path, {"stage": stage, "done": done, "total": total, **values})

    return tell


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
        self._tracker: Tracker = open_tracker(tracking) if tracking else NullTracker()
        self._stage, self._logged, self._saved = "", 0.0, time.monotonic()
        self._state = TrainState()
        self.cause = ""

    def stage(self, name: str) -> None:
        """Say what is being done now."""
        self._stage = name
        if self._first:
            _log.info(name)
        self._progress(name, 0, 0, {})

    def resume(
        self,
        found: tuple[checkpoint.Position, checkpoint.Tensors, checkpoint.Tensors, checkpoint.Tensors | None],
        parameters: dict[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        decided: dict[str, Any],
    ) -> TrainState:
        """Put a checkpoint back. What decided its bits is used again, or the loss of exactness is said."""
        position, weights, moments, best = found
        checkpoint.restore(parameters, weights)
        checkpoint.restore_optimizer(optimizer, parameters, moments)
        torch.set_num_threads(int(position.decided.get("threads", decided["threads"])))
        decided["threads"] = torch.get_num_threads()
        changed = [key for key, value in decided.items() if position.decided.get(key) != value]
        if changed and self._first:
            names = ", ".join(changed)
            _log.warning(f"resumes at step {position.step}, not bit for bit: {names} changed")
        elif self._first:
            _log.info(f"resumes at step {position.step}")
        return TrainState(
            step=position.step,
            best=math.inf if position.best is None else position.best,
            best_metrics=dict(position.best_metrics),
            best_weights=best,
            stale=position.stale,
            seconds=position.seconds,
            curve=list(position.curve),
            before=dict(position.before),
        )

    def begin(
        self,
        state: TrainState,
        config: TrainConfig,
        parameters: dict[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        decided: dict[str, Any],
        training: TrainingData,
    ) -> None:
        """Take hold of what a checkpoint needs, and send again what was sent before an interruption."""
        if self._first:
            _log.info(f"class weights {training.weights[0]:.4f} AI, {training.weights[1]:.4f} human")
        self._state, self._config, self._decided = state, config, decided
        self._parameters, self._optimizer = parameters, optimizer
        self._facts = weight_facts(training)
        for row in state.curve:
            self._tell(row)

    def micro_batch(self, rows: int) -> None:
        reason = self._stopped()
        if reason:
            raise StoppedError(reason)

    def before(self, state: TrainState) -> None:
        """The evaluation before training is known."""
        values = {f"before/{k}": v for k, v in Metrics(**state.before["validation"]).scalars().items()}
        self._tracker.log(values, step=0)

    def stepped(self, state: TrainState, total: int, values: Mapping[str, float]) -> None:
        rate = state.step * self._config.batch_size / max(state.seconds, 1e-9)
        self._progress(self._stage, state.step, total, {**values, "samples_per_second": rate})
        now = time.monotonic()
        if now - self._logged > LOG_SECONDS:
            self._logged = now
            self._tracker.log({f"train/{k}": v for k, v in values.items()}, step=state.step)
        if now - self._saved > 60 * self._config.checkpoint_minutes:
            self._save(state)

    def evaluated(self, state: TrainState, row: Row) -> None:
        row["device"] = self._decided["device"]
        if self._first:
            rate = row["samples"] / max(row["seconds"], 1e-9)
            left = row["seconds"] * (100 - row["progress"]) / max(row["progress"], 1)
            _log.info(
                f"{row['progress']} %: log loss {row['validation_log_loss']:.4f} (best {row['objective']:.4f}), "
                f"balanced accuracy {row['balanced_accuracy']:.4f}, {rate:.1f} samples/s, "
                f"about {left / 60:.0f} min left"
            )
        self._save(state)
        self._tracker.log(
            {f"validation/{k}": v for k, v in row.items() if isinstance(v, int | float)}, row["step"]
        )
        self._tell(row)

    def _tell(self, row: Row) -> None:
        # The row at 100 % is sent by `complete`: after it the search asks for no further one.
        if self._first and row["progress"] < 100:
            self._send(row)

    def _save(self, state: TrainState) -> None:
        self._saved = time.monotonic()
        if not self._first:
            return
        position = checkpoint.Position(
            step=state.step,
            best=state.best if math.isfinite(state.best) else None,
            best_metrics=state.best_metrics,
            stale=state.stale,
            seconds=state.seconds,
            curve=tuple(state.curve),
            before=state.before,
            decided=self._decided,
        )
        names = list(self._parameters)
        moments = checkpoint.optimizer_tensors(self._optimizer, names)
        weights = checkpoint.snapshot(self._parameters)
        checkpoint.save(self._folder / "checkpoints", position, weights, moments, state.best_weights)
        lines = "".join(json.dumps(row) + "\n" for row in state.curve)
        write_text(self._folder / "curve.jsonl", lines)

    def complete(self, state: TrainState, metrics: Metrics, deliver: Callable[[], None]) -> None:
        """Write the results, then send the last row: when it arrives, every file is there."""
        if not self._first:
            return
        self.cause = "patience" if state.stale >= self._config.patience else ""
        last = {**state.curve[-1], **metrics.scalars(), "objective": metrics.log_loss}
        row = {**last, **self._facts, "done": True, "status": "COMPLETE", "cause": self.cause}
        deliver()
        write_json(self._folder / "facts.json", {**self._facts, **self._decided})
        write_json(self._folder / "result.json", row)
        self.drop_checkpoints()
        self._tracker.finish("COMPLETE", {**row, **self._decided}, metrics.confusion_matrix)
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

    def end(self, status: str, cause: str = "") -> None:
        """The run ends without a result."""
        self._tracker.finish(status, {"cause": cause}, None)  # type: ignore[arg-type]


def weight_facts(training: TrainingData) -> dict[str, Any]:
    """The counts and the weights of a run, for its record: by label, and what the formula would give."""
    counts = label_counts(training.train.labels[training.train_rows])
    formula = inverse_frequency(counts)
    facts: dict[str, Any] = {}
    for number, label in enumerate(LABELS):
        facts[f"train_rows_{label}"] = counts[number]
        facts[f"class_weight_{label}"] = training.weights[number]
        facts[f"inverse_frequency_{label}"] = formula[number]
    return facts
