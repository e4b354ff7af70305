"""The forecast against sums done by hand."""

import numpy as np
import pytest
from probed import found, work

from search.config import SearchConfig
from search.forecast import (
    PROMOTION_RAY_SECONDS,
    QUANTILES,
    RATE_ERROR,
    SEARCH_RAY_SECONDS,
    Forecast,
    Left,
    forecast_promotion,
    forecast_search,
    trials_that_fit,
)
from search.run_times import BESIDE_RAY, TRIAL_SECONDS, RunTimes
from search.rungs import Plan, Rung, Size

PLAIN = Plan(rungs=(), probe=None, bound=0.2)
START = 3 + 4 + 1  # of a process: imports, base, and what is slow the first time
TRAINING = 10_000 * 0.001 + 20_000 * 0.00152 + 10_000 * 0.002 + 40 * 0.25  # 0.00152 lies between the paces


def search_of(trials: int, slots: int = 1, accelerators: float = 0.0, **search: float) -> Forecast:
    return forecast_search(
        found(device="cuda"),
        work(),
        SearchConfig.model_validate({"grace_percent": 10, **search}),
        Left(trials),
        slots,
        accelerators,
    )


def test_a_run_takes_its_tokens_at_the_pace_of_their_length_and_an_update_a_step() -> None:
    times = RunTimes.of(found(device="cuda"), work())
    assert times.training == pytest.approx(TRAINING)
    assert times.before == pytest.approx(0.25)
    assert times.evaluation == pytest.approx(0.5)
    head = TRIAL_SECONDS + 0.5 + 0.25
    assert times.at[0] == pytest.approx(head + TRAINING / 10 + 0.5 + 0.5)
    assert times.at[-1] == pytest.approx(head + TRAINING + 10 * (0.5 + 0.5))
    assert times.whole(scored=False) == pytest.approx(times.at[-1] + 2)
    assert times.whole(scored=True) == pytest.approx(times.at[-1] + 2 + 1)


def test_a_run_on_a_cpu_shares_its_cores_with_ray() -> None:
    alone, beside = RunTimes.of(found(device="cuda"), work()), RunTimes.of(found(device="cpu"), work())
    assert beside.training / alone.training == pytest.approx(BESIDE_RAY)
    assert beside.evaluation / alone.evaluation == pytest.approx(BESIDE_RAY)
    assert beside.checkpoint == alone.checkpoint


def test_a_promotion_is_start_training_evaluations_and_files() -> None:
    told = forecast_promotion(found(device="cuda"), work(), done=0.0, accelerators=0, plan=PLAIN)
    assert told.parts == pytest.approx(
        {
            "start_up": PROMOTION_RAY_SECONDS + START,
            "training": TRAINING,
            "evaluation": 0.25 + 10 * 0.5 + 1,
            "checkpoints": 10 * 0.5,
            "files": 2,
        }
    )
    assert told.seconds == pytest.approx(sum(told.parts.values()))
    spread = np.log([told.low / told.seconds, told.high / told.seconds])
    assert spread == pytest.approx([-1.645 * RATE_ERROR, 1.645 * RATE_ERROR], rel=0.01)


def test_what_a_promotion_has_done_is_not_foreseen_again() -> None:
    told = forecast_promotion(found(device="cuda"), work(), done=0.75, accelerators=0, plan=PLAIN)
    assert told.parts["training"] == pytest.approx(TRAINING / 4)
    assert told.parts["evaluation"] == pytest.approx(3 * 0.5 + 1)  # at 80, 90 and 100 %
    assert told.parts["start_up"] == pytest.approx(PROMOTION_RAY_SECONDS + START)
    half = forecast_promotion(found(device="cuda"), work(), done=0.5, accelerators=0, plan=PLAIN)
    assert half.parts["checkpoints"] == pytest.approx(5 * 0.5)  # the one at 50 % holds its evaluation


def test_runs_on_fractions_come_before_a_promotion_that_has_not_begun() -> None:
    size = Size(fraction=0.05, rows=10, steps=1, cost=0.06)
    plan = Plan(rungs=(Rung(size=size, runs=2, keep=1),), probe=None, bound=0.2)
    told = forecast_promotion(found(device="cuda"), work(), done=0.0, accelerators=0, plan=plan)
    passes = told.parts["training"] + told.parts["evaluation"]
    each = found(device="cuda").start + found(device="cuda").load + told.parts["files"]
    assert told.parts["runs_on_fractions"] == pytest.approx(2 * (0.06 * passes + each))
    assert (
        forecast_promotion(found(device="cuda"), work(), done=0.5, accelerators=0, plan=plan).parts.keys()
        < told.parts.keys()
    )


def test_one_trial_is_a_full_run() -> None:
    told = search_of(1)
    assert told.seconds == pytest.approx(
        SEARCH_RAY_SECONDS + START + RunTimes.of(found(device="cuda"), work()).whole(scored=True)
    )
    assert told.parts["confirmation"] == 0


def test_the_parts_of_a_search_on_one_slot_are_its_wall_clock() -> None:
    told = search_of(20)
    assert sum(told.parts.values()) == pytest.approx(told.seconds)
    assert 0.25 < told.parts["training"] / (20 * TRAINING) < 0.45
    assert told.parts["confirmation"] > 4 * TRAINING
    assert told.low < told.seconds < told.high


def test_evaluations_on_all_rows_are_not_repeated_in_a_trial_but_in_a_run_of_the_confirmation() -> None:
    left = Left(20)
    parts = [
        forecast_search(found(device="cuda"), work(covered=covered), SearchConfig(), left, 1, 0).parts
        for covered in (True, False)
    ]
    complete = parts[0]["files"] / 2
    assert parts[1]["evaluation"] - parts[0]["evaluation"] == pytest.approx(complete)
    assert parts[1]["confirmation"] == pytest.approx(parts[0]["confirmation"])


def test_the_last_runs_of_a_confirmation_are_all_that_is_left() -> None:
    told = forecast_search(found(device="cuda"), work(), SearchConfig(), Left(20, 20, again=3), 1, 0)
    assert told.seconds == pytest.approx(
        SEARCH_RAY_SECONDS + START + 3 * RunTimes.of(found(device="cuda"), work()).whole(scored=True)
    )
    assert Left(20, 20, again=3).runs(SearchConfig()) == 3
    assert Left(20, 15).runs(SearchConfig(confirm_seeds=1)) == 5 + 4


def test_the_cost_is_that_of_the_accelerators_or_of_the_machine_without_one() -> None:
    machine = search_of(4).model_copy(update={"price_per_hour": 2.0})
    hours = machine.seconds / 3600
    assert machine.record()["forecast_machine_hours"] == pytest.approx(hours)
    assert machine.record()["forecast_cost"] == pytest.approx(2 * hours)
    gpus = search_of(4, slots=4, accelerators=2.0).model_copy(update={"price_per_hour": 2.0})
    assert gpus.record()["forecast_accelerator_hours"] == pytest.approx(2 * gpus.seconds / 3600)
    assert gpus.record()["forecast_cost_high_95_percent"] == pytest.approx(4 * gpus.high / 3600)
    assert "GPU-hours" in gpus.lines()[0]
    assert "cost" in gpus.lines()[0]
    assert "cost" not in search_of(4).lines()[0]
    assert search_of(4).record()["forecast_cost"] is None


def test_the_interval_holds_the_quantiles_of_survival_too() -> None:
    promotion = forecast_promotion(found(device="cuda"), work(), done=0.0, accelerators=0, plan=PLAIN)
    search = search_of(20, confirm_seeds=0)
    assert QUANTILES == (0.05, 0.95)
    assert search.high / search.low > 1.3 * promotion.high / promotion.low


def test_the_largest_number_that_fits_is_found() -> None:
    asked: list[int] = []

    def seconds(trials: int) -> float:
        asked.append(trials)
        return 10.0 * trials

    for budget, most in ((9, 1), (10, 1), (19, 1), (20, 2), (155, 15), (160, 16), (12_345, 1_234)):
        asked.clear()
        assert trials_that_fit(budget, 1, seconds) == most
        assert len(asked) < 25
    assert trials_that_fit(155, 20, seconds) == 20  # what was begun is not taken back
    assert trials_that_fit(1e9, 1, seconds) >= 99_999


def test_trials_that_fit_leave_room_for_the_confirmation() -> None:
    budget = search_of(12).seconds

    def seconds(**search: float) -> int:
        return trials_that_fit(budget, 1, lambda trials: search_of(trials, **search).seconds)

    assert seconds() == 12
    assert seconds(confirm_seeds=0) > 20
