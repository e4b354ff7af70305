"""The search space: three numbers that Optuna draws, and the training configuration they stand for.

Optuna sees the rank and alpha / rank as integer exponents of two: ordered, with both ends included.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from search.config import PowersOfTwo, SpaceConfig
from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.values import Frozen

if TYPE_CHECKING:
    import optuna

LEARNING_RATE, RANK, RATIO = "learning_rate", "lora_rank_log2", "lora_alpha_ratio_log2"

Drawn = dict[str, float | int]


class Point(Frozen):
    """The parameters of one trial, as TrainConfig names them."""

    learning_rate: float
    lora_rank: int
    lora_alpha: float

    @classmethod
    def of(cls, train: TrainConfig) -> "Point":
        """The point at which a training configuration lies."""
        return cls.model_validate(train.model_dump(include=set(cls.model_fields)))

    @classmethod
    def from_drawn(cls, drawn: Mapping[str, float | int]) -> "Point":
        """The point that Optuna's parameters stand for; the inverse of `drawn`."""
        rank = 2 ** int(drawn[RANK])
        return cls(
            learning_rate=float(drawn[LEARNING_RATE]),
            lora_rank=rank,
            lora_alpha=rank * 2.0 ** int(drawn[RATIO]),
        )

    def drawn(self) -> Drawn:
        """Optuna's parameters of this point. Raises ValueError unless rank and ratio are powers of two."""
        rank, ratio = math.frexp(self.lora_rank), math.frexp(self.lora_alpha / self.lora_rank)
        if rank[0] != 0.5 or ratio[0] != 0.5:
            raise ValueError("lora_rank and lora_alpha / lora_rank must be powers of two")
        return {LEARNING_RATE: self.learning_rate, RANK: rank[1] - 1, RATIO: ratio[1] - 1}

    def apply(self, train: TrainConfig) -> TrainConfig:
        """`train` with this point's values, validated."""
        return TrainConfig.model_validate({**train.model_dump(), **self.model_dump()})


def exponents(bounds: PowersOfTwo) -> tuple[int, int]:
    """The exponents of both ends: 4..64 -> (2, 6)."""
    return math.frexp(bounds.low)[1] - 1, math.frexp(bounds.high)[1] - 1


def distributions(space: SpaceConfig) -> "dict[str, optuna.distributions.BaseDistribution]":
    """The space as Optuna distributions, for rebuilding a study and for drawing without one."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        LEARNING_RATE: FloatDistribution(space.learning_rate.low, space.learning_rate.high, log=True),
        RANK: IntDistribution(*exponents(space.lora_rank)),
        RATIO: IntDistribution(*exponents(space.lora_alpha_ratio)),
    }


def define_by_run(space: SpaceConfig) -> "Callable[[optuna.Trial], None]":
    """The same space as the define-by-run function that OptunaSearch takes."""

    def suggest(trial: "optuna.Trial") -> None:
        trial.suggest_float(LEARNING_RATE, space.learning_rate.low, space.learning_rate.high, log=True)
        trial.suggest_int(RANK, *exponents(space.lora_rank))
        trial.suggest_int(RATIO, *exponents(space.lora_alpha_ratio))

    return suggest


def check_space(space: SpaceConfig, train: TrainConfig) -> Point:
    """Return the default point, trial 0. Raises InputError when a corner is no valid training configuration,
    or when the default lies outside: no model could learn from a point that its space does not hold."""
    for end in ("low", "high"):
        rank = getattr(space.lora_rank, end)
        values: dict[str, Any] = {
            "learning_rate": getattr(space.learning_rate, end),
            "lora_rank": rank,
            "lora_alpha": rank * getattr(space.lora_alpha_ratio, end),
        }
        try:
            TrainConfig.model_validate({**train.model_dump(), **values})
        except ValidationError as error:
            problems = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
            raise InputError(f"the {end} end of the search space is no valid training: {problems}") from error
    return _default(space, train)


def _default(space: SpaceConfig, train: TrainConfig) -> Point:
    default = Point.of(train)
    ratio = default.lora_alpha / default.lora_rank
    for name, value, bounds in (
        ("learning_rate", default.learning_rate, space.learning_rate),
        ("lora_rank", float(default.lora_rank), space.lora_rank),
        ("lora_alpha_ratio", ratio, space.lora_alpha_ratio),
    ):
        power = isinstance(bounds, PowersOfTwo)
        if not bounds.low <= value <= bounds.high or (power and math.frexp(value)[0] != 0.5):
            kind = "a power of two " if power else ""
            raise InputError(
                f"trial 0 is the default configuration, so its {name} must be {kind}within "
                f"{bounds.low:g} and {bounds.high:g}, but it is {value:g}; widen the space "
                f"(--set space.{name}.low=..., .high=...) or move the default "
                "(--set learning_rate=..., lora_rank=..., lora_alpha=...)"
            )
    return default
