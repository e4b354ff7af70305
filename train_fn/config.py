"""What a run is made of: the data set and the training configuration, and how YAML and --set become them.

Precedence: defaults < configs/train.yaml < the data set's own `train:` section < --set key=value.
Imports no torch, so that a command line can check its input before anything heavy is loaded.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from train_fn.errors import InputError
from train_fn.storage import CONFIGS, is_folder, located
from train_fn.values import Settings, build, nearest, read_yaml, shown

LABELS = ("AI_Generated", "Human_Written")
SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PROJECT_NAME = "Vizuara AI Human Content Detection Qwen 3 0.6B Finetuning"

Weights = tuple[float, float]
Spelling = Annotated[
    str, BeforeValidator(lambda key: str(key) if type(key) is int else key)
]  # YAML's 0 is "0"
FOLDER_FILE = "dataset.yaml"
LONGEST_NAME = 100  # characters of a data set's name, which becomes part of the names of folders
FOLDER_KEYS = ("labels", "train", "search")
Splits = Literal["published", "grouped"]
# On a GPU about 14 GB of activations for Qwen3-0.6B (estimated), so that a card of 24 GB holds it; on a CPU more
# brought no speed.
Attention = Literal["auto", "flash_attention_2", "varlen", "sdpa"]
FLASH, VARLEN, SDPA = "flash_attention_2", "varlen", "sdpa"  # the last one needs padding
AUTO_TOKENS = {"cuda": 4096, "cpu": 2048}


class DatasetSpec(Settings):
    """One data set: where its rows come from and what is known of it beforehand."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    hub_id: str | None = None
    revision: str | None = None
    path: Path | None = None
    rank: int = Field(default=0, ge=0, description="order of size; `--best` prefers the larger search set")
    published_train_counts: tuple[int, int] | None = None
    published_weights: Weights | None = None
    labels: dict[Spelling, Literal["AI_Generated", "Human_Written"]] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    search: dict[str, Any] = Field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The folder name: 2M -> 2m."""
        return self.name.lower()

    @property
    def builtin(self) -> bool:
        """Whether the project writes this set itself."""
        return self.hub_id is None and self.path is None


NO_NUMBER = {"keep_checkpoints", "wandb_log_model"}  # settings of a run that decide none of its numbers


class TrainConfig(Settings):
    """One training run. The reasons for the values stand in configs/train.yaml."""

    model: str = Field(default="Qwen/Qwen3-0.6B", min_length=1)
    model_revision: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+([._/-]?[A-Za-z0-9]+)*$")
    max_length: int = Field(default=384, ge=8, le=32768)
    max_rows: int | None = Field(default=None, ge=16, lt=2**31)
    splits: Splits = "published"
    split_seed: int = Field(default=42, ge=0, lt=2**31)
    attention: Attention = "auto"
    compute_dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    expand_base: Literal["auto", "always", "never"] = "auto"
    lora_rank: int = Field(default=16, ge=1, le=1024)
    lora_alpha: float = Field(default=32.0, gt=0, le=65536)
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = (
        SEVEN_PROJECTIONS
    )
    epochs: float = Field(default=3.0, gt=0, le=1000)
    batch_size: int = Field(default=256, ge=1, lt=2**31)
    micro_batch_tokens: Annotated[int, Field(ge=8, lt=2**31)] | Literal["auto"] = "auto"
    gradient_checkpointing: bool = False
    learning_rate: float = Field(default=1e-4, gt=0, le=10)
    weight_decay: float = Field(default=0.01, ge=0, le=10)
    warmup_ratio: float = Field(default=0.05, ge=0, le=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    class_weights: Literal["inverse_frequency", "published", "none"] = "inverse_frequency"
    evaluations: int = Field(default=10, ge=1, le=100)
    eval_rows: int = Field(default=5000, ge=16, lt=2**31)
    eval_before_rows: int = Field(default=1000, ge=0, lt=2**31)
    patience: int = Field(default=4, ge=1, lt=2**31)
    checkpoint_minutes: float = Field(default=15.0, gt=0)
    keep_checkpoints: int = Field(default=0, ge=0, le=1000)
    wandb_log_model: Literal["best", "all", "none"] = "best"
    seed: int = Field(default=42, ge=0, lt=2**31)

    @field_validator("model")
    @classmethod
    def _no_url(cls, model: str) -> str:
        if "://" in model or not model.isprintable():  # a URL may hold a password, and this goes into records
            raise ValueError("must be a Hub name such as Qwen/Qwen3-0.6B, or a folder")
        return model

    def on_device(self, kind: str) -> "TrainConfig":
        """This configuration with `auto` micro-batches resolved for a device of that kind (cuda, cpu)."""
        if self.micro_batch_tokens != "auto":
            return self
        return self.model_copy(update={"micro_batch_tokens": AUTO_TOKENS.get(kind, AUTO_TOKENS["cpu"])})

    @property
    def token_budget(self) -> int:
        """Tokens of one micro-batch, padding counted; `on_device` must have resolved `auto`."""
        return int(self.micro_batch_tokens)

    @property
    def packed(self) -> bool:
        """Whether micro-batches have no padding; the base must have resolved `auto` (Base.resolve)."""
        return self.attention in (FLASH, VARLEN)


def known_datasets() -> list[str]:
    """The names that --dataset takes, in the order of their size."""
    specs = [read_yaml(path) for path in sorted((CONFIGS / "datasets").glob("*.yaml"))]
    return [str(spec["name"]) for spec in sorted(specs, key=lambda spec: int(spec.get("rank", 0)))]


def find_dataset(name: str) -> DatasetSpec:
    """The data set of that name or folder. Raises InputError naming the known ones."""
    for known in known_datasets():
        if known.lower() == name.lower():
            path = CONFIGS / "datasets" / f"{known}.yaml"
            return build(DatasetSpec, read_yaml(path), str(path))
    if name and is_folder(folder := located(name)):
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).lstrip(".-_")[:LONGEST_NAME] or "data"
        return build(DatasetSpec, {"name": safe, "path": folder, **_own_settings(folder)}, str(folder))
    raise InputError(
        f"--dataset must be one of {', '.join(known_datasets())} or a folder with train, validation and test "
        f"as parquet, csv or jsonl, but got {shown(name)}; {nearest(name, known_datasets())}"
    )


def _own_settings(folder: Path) -> dict[str, Any]:
    """What a folder of rows says of itself in its dataset.yaml; nothing where it has none."""
    path = folder / FOLDER_FILE
    values = read_yaml(path) if path.exists() else {}
    for key in values:
        if key not in FOLDER_KEYS:
            hint = nearest(str(key), FOLDER_KEYS)
            raise InputError(f"{path} may hold {', '.join(FOLDER_KEYS)}, but holds {key}; {hint}")
    return values


def resolve_train(spec: DatasetSpec, overrides: Mapping[str, Any], path: Path | None = None) -> TrainConfig:
    """Defaults < YAML < the data set's section < overrides. Raises InputError."""
    source = path or CONFIGS / "train.yaml"
    build(TrainConfig, read_yaml(source), str(source))
    build(TrainConfig, spec.train, f"the train section of data set {spec.name}")
    merged = {**read_yaml(source), **spec.train, **overrides}
    config = build(TrainConfig, merged, "the resolved training configuration")
    return check_train(spec, config.model_copy(update={"model": absolute_model(config.model)}))


def absolute_model(name: str) -> str:
    """A model's folder as an absolute path, so that it is the same from any directory; a Hub name as it is."""
    folder = located(name)
    return str(folder.resolve()) if name != "tiny" and is_folder(folder) else name


def check_train(spec: DatasetSpec, config: TrainConfig) -> TrainConfig:
    """The configuration, if the data set can serve it. Raises InputError."""
    if config.class_weights == "published" and spec.published_weights is None:
        raise InputError(
            f"class_weights: published needs a published table, and {spec.name} has none; "
            "use inverse_frequency or none"
        )
    return config
