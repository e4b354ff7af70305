"""The search space and its configuration."""

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.config import SearchConfig, SpaceConfig, known_keys, resolve, resolve_search, route
from search.space import Point, check_space, define_by_run, distributions
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.errors import InputError

RATES = st.floats(2e-5, 2e-3)


@given(rate=RATES, rank=st.integers(0, 10), ratio=st.integers(-4, 4))
def test_a_point_survives_the_way_to_optuna_and_back_bit_for_bit(rate: float, rank: int, ratio: int) -> None:
    point = Point(learning_rate=rate, lora_rank=2**rank, lora_alpha=2.0 ** (rank + ratio))
    assert Point.from_drawn(point.drawn()) == point


def test_both_ends_of_the_powers_of_two_are_drawn() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = [Point.from_drawn(study.ask(distributions(SpaceConfig())).params) for _ in range(200)]
    assert {point.lora_rank for point in points} == {4, 8, 16, 32, 64}
    assert {point.lora_alpha / point.lora_rank for point in points} == {0.5, 1, 2, 4}
    assert all(2e-5 <= point.learning_rate <= 2e-3 for point in points)
    logs = [math.log10(point.learning_rate) for point in points]
    assert abs(sum(logs) / len(logs) + 3.7) < 0.15  # uniform on the log scale


def test_the_define_by_run_function_and_the_distributions_are_one_space() -> None:
    trial = optuna.create_study().ask()
    define_by_run(SpaceConfig())(trial)
    assert trial.distributions == distributions(SpaceConfig())


def test_trial_0_is_the_default_configuration() -> None:
    assert check_space(SpaceConfig(), TrainConfig()) == Point(learning_rate=1e-4, lora_rank=16, lora_alpha=32)


@pytest.mark.parametrize(
    "train",
    [{"learning_rate": 1e-5}, {"lora_rank": 24, "lora_alpha": 48}, {"lora_alpha": 31}, {"lora_rank": 128}],
)
def test_a_default_outside_the_space_is_refused_with_the_remedy(train: dict[str, float]) -> None:
    with pytest.raises(InputError, match="widen the space"):
        check_space(SpaceConfig(), TrainConfig(**train))


def test_a_space_beyond_what_training_takes_is_refused() -> None:
    search = resolve_search({"space.lora_rank.high": 2048})
    with pytest.raises(InputError, match=r"high end .* lora_rank"):
        check_space(search.space, TrainConfig())


def test_applying_a_point_changes_those_three_values_only() -> None:
    point = Point(learning_rate=3e-4, lora_rank=8, lora_alpha=4)
    before, after = TrainConfig().model_dump(), point.apply(TrainConfig()).model_dump()
    assert {key for key in before if before[key] != after[key]} == {
        "learning_rate",
        "lora_rank",
        "lora_alpha",
    }
    assert Point.of(point.apply(TrainConfig())) == point


def test_the_yaml_holds_every_key_with_its_default() -> None:
    assert resolve_search({}) == SearchConfig()
    from train_fn.storage import CONFIGS
    from train_fn.values import read_yaml

    assert set(read_yaml(CONFIGS / "search.yaml")) == set(SearchConfig.model_fields)


@pytest.mark.parametrize(
    ("text", "seconds"), [("8h", 28800), ("90m", 5400), ("1h30m", 5400), ("45s", 45), (7, 7)]
)
def test_a_time_budget_is_read(text: object, seconds: float) -> None:
    assert resolve_search({"time_budget": text}).time_budget == seconds


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"lora_rnk": 4}, "did you mean lora_rank"),
        ({"trails": 4}, "did you mean trials"),
        ({"trials": 0}, "trials"),
        ({"time_budget": "8 hours"}, "8h"),
        ({"space.lora_rank.low": 3}, "power of two"),
        ({"space.learning_rate.low": 1}, "low <= high"),
        ({"space.learning_rate.lo": 1}, "did you mean space.learning_rate.low"),
        ({"space.learning_rat.low": 1}, "did you mean space.learning_rate.low"),
        ({"trials.x": 1}, "did you mean trials"),
        ({"learning_rate": 100}, "learning_rate"),
    ],
)
def test_a_bad_key_or_value_is_named(sets: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(DatasetSpec(name="x"), sets, {})


def test_overrides_go_to_the_configuration_that_owns_the_key() -> None:
    train, search = route({"lora_rank": 8, "space.lora_rank.low": 8, "trials": 3})
    assert train == {"lora_rank": 8}
    assert search == {"space.lora_rank.low": 8, "trials": 3}
    assert len(known_keys()) == len(set(known_keys()))  # no key has two owners


def test_a_flag_beats_set_and_set_beats_yaml() -> None:
    train, search = resolve(
        DatasetSpec(name="x", train={"epochs": 9}),
        {"trials": 3, "epochs": 2, "seed": 1},
        {"trials": 4, "seed": None},
    )
    assert (search.trials, train.epochs, train.seed) == (4, 2, 1)
