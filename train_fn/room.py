"""How many bytes runs will write, known before they start, from the shapes in the model's files; no torch."""

from pathlib import Path

from train_fn.config import TrainConfig

CHECKPOINTS = 3  # at once: those that train_fn.checkpoint keeps, and the one that is being written
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
    return values * (CHECKPOINTS * CHECKPOINT_BYTES + ADAPTER_BYTES) + OTHER_BYTES + base
