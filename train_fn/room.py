"""Room on the disk: how many bytes runs will write, known before they start, and a refusal where they do not fit.

From the shapes in the model's files; no torch.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from train_fn.config import TrainConfig
from train_fn.errors import InputError, disk_full
from train_fn.storage import atomic_folder

CHECKPOINTS = 3  # at once, of a run that keeps none: two, should one be damaged, and the one being written
CHECKPOINT_BYTES = 16  # a trained value: itself, Adam's two moments and the best so far, all in fp32
ADAPTER_BYTES = 4
OTHER_BYTES = 2**24  # a run's curve, metrics, predictions and logs


def trained_values(model: Path, config: TrainConfig) -> int:
    """How many values LoRA trains: rank * (inputs + outputs) of each target matrix (Hu et al. 2021,
    arXiv:2106.09685, section 4.1)."""
    from safetensors import safe_open

    sides = 0
    for file in model.glob("*.safetensors"):
        with safe_open(file, framework="numpy") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no mapping
                shape = weights.get_slice(name).get_shape()
                sides += sum(shape) if _trained(name, shape, config) else 0
    return config.lora_rank * sides


def _trained(name: str, shape: list[int], config: TrainConfig) -> bool:
    layer = name.removesuffix(".weight").rpartition(".")[2]
    if config.target_modules == "all-linear":
        return len(shape) == 2 and layer not in ("embed_tokens", "lm_head", "score")
    return layer in config.target_modules and len(shape) == 2


def search_bytes(model: Path, largest: TrainConfig, at_once: int, runs: int) -> int:
    """Of the `runs` that a search has left, `at_once` of them at a time, each at most as large as `largest`."""
    values = trained_values(model, largest)
    return values * (at_once * CHECKPOINTS * CHECKPOINT_BYTES + runs * ADAPTER_BYTES) + runs * OTHER_BYTES


def full_bytes(model: Path, config: TrainConfig, *, merged: bool) -> int:
    """Of a full run; `merged` has every weight of the base, in two bytes as the base's own files do."""
    base = sum(file.stat().st_size for file in model.glob("*.safetensors")) if merged else 0
    values = trained_values(model, config)
    checkpoints = max(CHECKPOINTS, config.keep_checkpoints + 1)
    return values * (checkpoints * CHECKPOINT_BYTES + ADAPTER_BYTES) + OTHER_BYTES + base


@contextmanager
def roomy_folder(path: Path, needed: int, content: str) -> Iterator[Path]:
    """`atomic_folder` for much data, up to `needed` bytes of `content`, by a caller that holds a lock on `path`.

    What a killed process left beside `path` is removed first. Raises InputError when there is not the room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)  # whose process is gone, or it would hold the lock
    check_room(path.parent, needed, content)
    try:
        with atomic_folder(path) as temporary:
            yield temporary
    except OSError as error:
        if disk_full(error):
            raise _no_room(path.parent, needed, content, "the disk is full") from error
        raise


def check_room(folder: Path, needed: int, content: str) -> None:
    """Raises InputError when the disk of `folder` has not `needed` bytes left for `content`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _no_room(folder, needed, content, f"only {free:,} are free")


def _no_room(folder: Path, needed: int, content: str, found: str) -> InputError:
    return InputError(
        f"{folder} must have room for up to {needed:,} bytes of {content}, but {found}; free some "
        "(`make clean-runs` shows what may go), or pass --output a folder on a larger disk"
    )
