"""What a search is made of, and how YAML, --set and the flags become its configuration.

Precedence: defaults < configs/search.yaml < the data set's `search:` section < --set key=value < a flag of its
own. Imports no Ray, no Optuna.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from train_fn.config import DatasetSpec, TrainConfig, resolve_train
from train_fn.errors import InputError
from train_fn.storage import CONFIGS
from train_fn.values import Settings, build, nearest, read_yaml


def _address(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"auto|[^/@\s]+:[0-9]{1,5}", value):
        raise ValueError(
            "must be auto, or HOST:PORT of the cluster's head (no ray://, which is another protocol)"
        )
    return value


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ForecastMode = Literal["auto", "always", "never"]
# Of a running Ray cluster, from one of its own machines; None: a Ray of our own on this machine.
Address = Annotated[str | None, AfterValidator(_address)]


class Bounds(Settings):
    """A closed interval, searched on a log scale."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low <= high must hold, but got low={self.low:g}, high={self.high:g}")
        return self


class PowersOfTwo(Bounds):
    """The powers of two from low to high, searched through their exponent, which keeps their order."""

    @field_validator("low", "high")
    @classmethod
    def _power_of_two(cls, value: float) -> float:
        if math.frexp(value)[0] != 0.5:
            raise ValueError(f"must be a power of two such as 0.5, 1, 2, 4, but got {value:g}")
        return value


class SpaceConfig(Settings):
    """The space of trials. Alpha is searched through alpha / rank, for the update scales with that ratio."""

    learning_rate: Bounds = Bounds(low=2e-5, high=2e-3)
    lora_rank: PowersOfTwo = PowersOfTwo(low=4, high=64)
    lora_alpha_ratio: PowersOfTwo = PowersOfTwo(low=0.5, high=4)


class SearchConfig(Settings):
    """One search. The reasons for the values stand in configs/search.yaml. The seed is TrainConfig's."""

    trials: int = Field(default=20, ge=1, le=100_000)
    confirm_seeds: int = Field(default=2, ge=0, le=100)
    time_budget: float | None = Field(default=None, gt=0, description="seconds; 8h, 90m, 1h30m are read too")
    forecast: ForecastMode = "auto"
    address: Address = None
    gpus_per_trial: float = Field(default=1.0, gt=0, le=1)
    cpus_per_trial: int | None = Field(default=None, ge=1, lt=2**31)
    space: SpaceConfig = SpaceConfig()
    startup_trials: int = Field(default=6, ge=1, lt=2**31)
    prior_top: int = Field(default=5, ge=0, le=100)
    grace_percent: int = Field(default=50, ge=1, le=100)
    reduction_factor: float = Field(default=3, gt=1)
    hang_minutes: float = Field(default=30, gt=0)

    @field_validator("time_budget", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", value)
        if not parts or "".join(number + unit for number, unit in parts) != value.strip():
            raise ValueError("must be a time such as 8h, 90m, 1h30m or 45s")
        return sum(float(number) * UNITS[unit] for number, unit in parts)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two searches the same study; how long and on what they run does not."""
        keep = {"space", "startup_trials", "grace_percent", "reduction_factor"}
        return self.model_dump(mode="json", include=keep)


def resolve_search(
    overrides: Mapping[str, Any], path: Path | None = None, section: Mapping[str, Any] | None = None
) -> SearchConfig:
    """Defaults < YAML < the data set's `section` < overrides, whose keys may be dotted
    (space.learning_rate.low). Raises InputError.
    """
    source = path or CONFIGS / "search.yaml"
    values = {**read_yaml(source), **(section or {})}
    build(SearchConfig, values, str(source))
    for key, value in overrides.items():
        *parents, last = key.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return build(SearchConfig, values, "the resolved search configuration")


def resolve(
    spec: DatasetSpec, sets: Mapping[str, Any], flags: Mapping[str, Any]
) -> tuple[TrainConfig, SearchConfig]:
    """Both configurations of a search. Raises InputError that names an unknown key's nearest neighbour."""
    chosen = {**sets, **{key: value for key, value in flags.items() if value is not None}}
    train, search = route(chosen)
    return resolve_train(spec, train), resolve_search(search, section=spec.search)


def route(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split overrides by the model whose field they name: (training, search)."""
    train: dict[str, Any] = {}
    search: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known_keys():
            raise InputError(f"--set: unknown key {key}; {nearest(key, known_keys())}")
        (train if key in TrainConfig.model_fields else search)[key] = value
    return train, search


def known_keys() -> list[str]:
    """Every key that --set takes in a search."""
    space = [f"space.{name}.{end}" for name in SpaceConfig.model_fields for end in Bounds.model_fields]
    return [*TrainConfig.model_fields, *(key for key in SearchConfig.model_fields if key != "space"), *space]
