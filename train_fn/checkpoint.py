"""A run's position on disk: trainable tensors, optimiser, the best weights so far, and the curve.

Safetensors and JSON only, so nothing read back can run code. A checkpoint is a folder that appears whole, by a
rename; the one before it is removed only afterwards. No random state is stored because none is carried: data
order comes from (seed, epoch) and dropout from (seed, step, rank), so the position is the random state.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from train_fn.config import Frozen
from train_fn.storage import atomic_folder, read_json, write_json

KEEP = 2  # the newest, and one behind it should the newest turn out damaged
FORMAT = 1
Tensors = dict[str, Tensor]


class Position(Frozen):
    """Where a run stands, and what decided its bits."""

    step: int
    best: float | None = None
    best_metrics: dict[str, Any] = Field(default_factory=dict)
    before: dict[str, Any] = Field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    curve: tuple[dict[str, Any], ...] = ()
    decided: dict[str, Any] = Field(default_factory=dict)
    format: int = FORMAT


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
    state: dict[int, Tensors] = Field(default_factory=dict)
    for path, value in tensors.items():
        key, name = path.split("/", 1)
        state.setdefault(numbers[name], {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def save(
    folder: Path, position: Position, weights: Tensors, optimizer: Tensors, best: Tensors | None
) -> None:
    """Write one checkpoint under `folder`, whole, then remove those before the last KEEP."""
    with atomic_folder(folder / f"step-{position.step:09d}") as temporary:
        save_file(weights, temporary / "weights.safetensors")
        save_file(optimizer, temporary / "optimizer.safetensors")
        if best is not None:
            save_file(best, temporary / "best.safetensors")
        write_json(temporary / "position.json", position.model_dump(mode="json"))
    for old in _folders(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> tuple[Position, Tensors, Tensors, Tensors | None] | None:
    """The newest readable checkpoint under `folder`, or None; a damaged one is passed over."""
    for path in reversed(_folders(folder)):
        try:
            position = Position(**read_json(path / "position.json"))
            best = path / "best.safetensors"
            return (
                position,
                load_file(path / "weights.safetensors"),
                load_file(path / "optimizer.safetensors"),
                load_file(best) if best.exists() else None,
            )
        except (OSError, ValueError, TypeError, SafetensorError, ValidationError):
            continue
    return None


def _folders(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; what a crash left half-written begins with a dot."""
    return sorted(folder.glob("step-*"))
