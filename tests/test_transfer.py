"""The learning rate over the horizon."""

import math
from dataclasses import replace

import numpy as np
import pytest
from transfer_cases import HIGH, LOW, TARGET, Case, draw, measure

from search.observations import Observation
from search.transfer import propose
from train_fn.errors import InputError

EXPONENTS = (0.0, -0.15, -0.32)


def sweep(size: str, steps: int, optimum: float, noise: float = 2e-4, count: int = 12) -> list[Observation]:
    """Trials of a quadratic with its optimum at `optimum` (a rate)."""
    errors = noise * np.random.default_rng(steps).standard_normal(count)
    return [
        Observation(
            size=size, steps=steps, log_rate=rate, log_loss=0.5 + 0.01 * (rate - math.log(optimum)) ** 2 + e
        )
        for rate, e in zip(np.linspace(LOW, HIGH, count), errors, strict=True)
    ]


def cases(exponent: float, count: int, seed: int, lopsided: bool = False) -> list[Case]:
    generator = np.random.default_rng(seed)
    return [draw(generator, exponent, lopsided=lopsided) for _ in range(count)]


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_without_noise_the_law_is_found(exponent: float) -> None:
    optima = [4e-4 * (steps / 94) ** exponent for steps in (94, 988, TARGET)]
    found = propose(sweep("10k", 94, optima[0]) + sweep("100k", 988, optima[1]), TARGET)
    assert found.exponent == pytest.approx(exponent, abs=0.02)
    assert found.copied == pytest.approx(optima[1], rel=0.04)
    assert found.rate == pytest.approx(optima[2], rel=0.1)
    assert found.reference == "100k"
    assert found.rate_interval[0] <= found.rate <= found.rate_interval[1]


def test_one_size_proposes_no_change_and_says_why() -> None:
    found = propose(sweep("10k", 94, 4e-4), TARGET)
    assert (found.exponent, found.change) == (0, 1)
    assert found.rate == found.copied == pytest.approx(4e-4, rel=0.05)
    assert found.exponent_interval[1] - found.exponent_interval[0] > 0.8
    assert "one horizon says nothing about another" in found.why


def test_noise_shrinks_the_proposal_towards_no_change() -> None:
    trials = sweep("10k", 94, 4e-4), sweep("100k", 988, 4e-4 * (988 / 94) ** -0.32)
    clear = propose(trials[0] + trials[1], TARGET)
    doubtful = [replace_loss(each, 0.03 * (-1) ** place) for place, each in enumerate(trials[0] + trials[1])]
    shrunk = propose(doubtful, TARGET)
    assert clear.exponent == pytest.approx(-0.32, abs=0.02)
    assert abs(shrunk.exponent) < 0.7 * abs(clear.exponent)
    assert "may be none, so it is shrunk" in shrunk.why
    assert "moves with the exponent -0.3" in clear.why


def replace_loss(trial: Observation, more: float) -> Observation:
    return trial.model_copy(update={"log_loss": trial.log_loss + more})


def test_the_scale_of_the_losses_does_not_matter() -> None:
    case = draw(np.random.default_rng(3), -0.15)
    scaled = [each.model_copy(update={"log_loss": 0.01 * each.log_loss}) for each in case.trials]
    assert propose(scaled, TARGET).rate_interval == pytest.approx(propose(case.trials, TARGET).rate_interval)


def test_diverged_trials_are_left_out_and_counted() -> None:
    trials = sweep("10k", 94, 4e-4)
    wild = [*trials[:-1], trials[-1].model_copy(update={"log_loss": 9.0})]
    found = propose(wild, TARGET)
    assert found.left_out >= 1
    assert found.copied == pytest.approx(4e-4, rel=0.1)


def test_a_size_with_too_few_trials_does_not_count() -> None:
    alone = propose(sweep("10k", 94, 4e-4), TARGET)
    found = propose(sweep("10k", 94, 4e-4) + sweep("100k", 988, 1e-4, count=4), TARGET)
    assert found == alone.model_copy(update={"left_out": alone.left_out + 4})


@pytest.mark.parametrize(
    ("trials", "target", "message"),
    [
        ([], TARGET, "needs a size with 5"),
        (sweep("10k", 94, 4e-4, count=4), TARGET, "needs a size with 5"),
        (sweep("10k", 94, 4e-4) + sweep("10k", 95, 4e-4), TARGET, "one number of steps"),
        ([replace_loss(each, math.nan) for each in sweep("10k", 94, 4e-4)], TARGET, "finite"),
        (sweep("10k", 94, 4e-4), 0, "at least one step"),
    ],
)
def test_what_cannot_be_fitted_is_refused(trials: list[Observation], target: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        propose(trials, target)


def test_equal_losses_keep_the_interval_wide() -> None:
    flat = [each.model_copy(update={"log_loss": 0.5}) for each in sweep("10k", 94, 4e-4)]
    low, high = propose(flat, 94).rate_interval
    assert high / low > 8


def test_the_excess_is_zero_at_the_optimum_only() -> None:
    case = draw(np.random.default_rng(0), -0.32)
    assert case.excess(math.exp(case.optimum)) == pytest.approx(0)
    assert replace(case, optimum=case.optimum + 1).excess(math.exp(case.optimum)) == pytest.approx(
        case.curvature
    )


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_intervals_hold_the_truth_and_proposing_harms_seldom(exponent: float) -> None:
    found = measure(cases(exponent, 40, seed=11))
    assert found.rate >= 0.8  # 92 % in 600 cases
    assert found.exponent >= 0.75
    assert max(found.worse_small, found.worse_large) <= 0.075
    assert found.excess < found.excess_small


@pytest.mark.slow
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_200_cases_of_each_law(exponent: float) -> None:
    found = measure(cases(exponent, 200, seed=1))
    print(exponent, found)
    assert 0.85 <= found.rate <= 0.95
    assert 0.85 <= found.exponent <= 0.95
    assert found.worse_small <= 0.05
    assert found.worse_large <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_200_cases_of_lopsided_losses(exponent: float) -> None:
    found = measure(cases(exponent, 200, seed=2, lopsided=True))
    print(exponent, found)
    assert found.rate >= 0.75  # a quadratic is not what these are
    assert max(found.worse_small, found.worse_large) <= 0.1
