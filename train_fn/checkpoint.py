"""A run's position on disk: trainable tensors, optimiser, the best weights so far, and the curve.

Safetensors and JSON only, so nothing read back can run code. A checkpoint is a folder that appears whole, by a
rename; the one before it is removed only afterwards. No random state is stored because none is carried: data
order comes from (seed, epoch) and dropout from (seed, step, rank), so the position is the random state.
"""

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from train_fn.state import Tensors, TrainState
from train_fn.storage import atomic_folder, read_json, write_json
from train_fn.values import Frozen

KEEP = 2  # the newest, and one behind it should the newest turn out damaged
WEIGHTS, OPTIMIZER, BEST = "weights.safetensors", "optimizer.safetensors", "best.safetensors"


class Position(Frozen):
    """Where a run stands, and what decided its bits."""

    format: Literal[1] = 1
    step: int
    best: float | None
    best_metrics: dict[str, Any]
    stale: int
    seconds: float
    losses: tuple[float, ...]
    curve: tuple[dict[str, Any], ...]
    before: dict[str, Any]
    decided: dict[str, Any]

    @classmethod
    def of(cls, state: TrainState, decided: dict[str, Any]) -> "Position":
        return cls(
            step=state.step,
            best=state.best if math.isfinite(state.best) else None,
            best_metrics=state.best_metrics,
            stale=state.stale,
            seconds=state.seconds,
            losses=tuple(state.losses),
            curve=tuple(state.curve),
            before=state.before,
            decided=decided,
        )


@dataclass(frozen=True)
class Checkpoint:
    """What `save` wrote."""

    position: Position
    weights: Tensors
    optimizer: Tensors
    best: Tensors

    def state(self) -> TrainState:
        """The state as it was saved."""
        found = self.position
        return TrainState(
            step=found.step,
            best=math.inf if found.best is None else found.best,
            best_metrics=dict(found.best_metrics),
            best_weights=self.best,
            stale=found.stale,
            seconds=found.seconds,
            losses=list(found.losses),
            curve=[dict(row) for row in found.curve],
            before=dict(found.before),
        )


def snapshot(parameters: dict[str, nn.Parameter]) -> Tensors:
    """A copy of the trainable tensors on the CPU."""
    return {name: p.detach().to("cpu", copy=True).contiguous() for name, p in parameters.items()}


def restore(parameters: dict[str, nn.Parameter], tensors: Tensors) -> None:
    """Copy saved tensors into the parameters; names must agree."""
    if parameters.keys() != tensors.keys():
        raise ValueError(f"checkpoint of another model: {sorted(parameters.keys() ^ tensors.keys())[:4]}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Iterable[str]) -> Tensors:
    """The optimiser's state as flat tensors, `exp_avg/NAME` and so on."""
    state = optimizer.state_dict()["state"]
    return {
        f"{key}/{name}": value.detach().to("cpu", copy=True).contiguous()
        for number, name in enumerate(names)
        for key, value in state.get(number, {}).items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, names: Iterable[str], tensors: Tensors) -> None:
    """Put flat tensors back as the optimiser's state."""
    numbers = {name: number for number, name in enumerate(names)}
    state: dict[int, Tensors] = {}
    for path, value in tensors.items():
        key, name = path.split("/", 1)
        state.setdefault(numbers[name], {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def save(folder: Path, saved: Checkpoint, keep: int = KEEP) -> Path:
    """Write one checkpoint under `folder`, whole, then remove all but the newest `keep` up to it; returns it."""
    path = folder / f"step-{saved.position.step:09d}"
    with atomic_folder(path) as temporary:
        save_file(saved.weights, temporary / WEIGHTS)
        save_file(saved.optimizer, temporary / OPTIMIZER)
        save_file(saved.best, temporary / BEST)
        write_json(temporary / "position.json", saved.position.model_dump(mode="json"))
    found = _folders(folder)
    for later in found[found.index(path) + 1 :]:  # damaged, or `load` had not passed them over
        shutil.rmtree(later, ignore_errors=True)
    thin(folder, keep)
    return path


def thin(folder: Path, keep: int) -> None:
    """Remove all checkpoints under `folder` but the newest `keep`."""
    for old in _folders(folder)[: -keep or None]:
        shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> Checkpoint | None:
    """The newest readable checkpoint under `folder`, or None; a damaged one is passed over."""
    for path in reversed(_folders(folder)):
        try:
            position = Position(**read_json(path / "position.json"))
            return Checkpoint(position, *(load_file(path / name) for name in (WEIGHTS, OPTIMIZER, BEST)))
        except (OSError, ValueError, TypeError, SafetensorError, ValidationError):
            continue
    return None


def _folders(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; what a crash left half-written begins with a dot."""
    return sorted(folder.glob("step-*"))
