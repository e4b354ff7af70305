"""A run's checkpoints as the run goes: the last one put back at its start, new ones written by the first rank.

Of a run that is complete, `keep` stay.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from train_fn import checkpoint
from train_fn.loop import Learner
from train_fn.state import TrainState
from train_fn.storage import write_text


class Keeper:
    """What stands in a run's folder for it to go on from; nothing is written before `restore`."""

    def __init__(self, folder: Path, *, first: bool, keep: int) -> None:
        self._folder, self._first, self._keep = folder, first, keep
        self._learner: Learner | None = None
        self._decided: dict[str, Any] = {}
        self._step, self._at = 0, time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return time.monotonic() - self._at

    def restore(self, learner: Learner, decided: dict[str, Any]) -> tuple[TrainState, str] | None:
        """Put the last checkpoint back into `learner`; returns its state, and how exact the run goes on.

        `decided` is what decides bits. The number of threads is set to the checkpoint's.
        """
        self._learner, self._decided = learner, decided
        found = checkpoint.load(self._folder / "checkpoints")
        if found is None:
            return None
        before = found.position.decided
        checkpoint.restore(learner.parameters, found.weights)
        checkpoint.restore_optimizer(learner.optimizer, learner.parameters, found.optimizer)
        torch.set_num_threads(int(before.get("threads", decided["threads"])))
        decided["threads"] = torch.get_num_threads()
        changed = [key for key, value in decided.items() if before.get(key) != value]
        self._step = found.position.step
        return found.state(), f"not bit for bit: {', '.join(changed)} changed" if changed else "bit for bit"

    def save(self, state: TrainState) -> Path | None:
        """Write a checkpoint and the curve so far; returns its folder, None where another rank writes."""
        self._step, self._at = state.step, time.monotonic()
        if not (self._first and self._learner):
            return None
        found = checkpoint.Checkpoint(
            checkpoint.Position.of(state, self._decided),
            checkpoint.snapshot(self._learner.parameters),
            checkpoint.optimizer_tensors(self._learner.optimizer, self._learner.parameters),
            state.best_weights,
        )
        folder = checkpoint.save(self._folder / "checkpoints", found, max(checkpoint.KEEP, self._keep))
        write_text(self._folder / "curve.jsonl", "".join(json.dumps(row) + "\n" for row in state.curve))
        return folder

    def save_new(self, state: TrainState) -> None:
        """Write what was done since the last checkpoint: between two micro-batches the weights are those of the
        last whole step."""
        if state.step > self._step:
            self.save(state)

    def complete(self) -> None:
        """The run has its results: what remains is what somebody wants."""
        if self._keep:
            checkpoint.thin(self._folder / "checkpoints", self._keep)
        else:
            self.drop()

    def drop(self) -> None:
        """The run will never go on."""
        shutil.rmtree(self._folder / "checkpoints", ignore_errors=True)
