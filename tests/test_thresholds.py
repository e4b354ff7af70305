"""The threshold of a false positive rate against a brute-force search, RAID's rule, scikit-learn and new texts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_curve

from train_fn.thresholds import TARGETS, Point, choose

RAID_TOLERANCE = 0.0005
SCORES = st.integers(0, 250).flatmap(
    lambda n: arrays(np.float64, n, elements=st.integers(-12, 12).map(lambda number: number / 4))
)


def searched(human: np.ndarray, percent: int) -> float | None:
    """Every score as a threshold, one after the other: the lowest that calls a text AI, and not too many."""
    for threshold in sorted(human.tolist()):
        called = sum(score >= threshold for score in human.tolist())
        if called > 0 and called * 100 <= percent * len(human):
            return float(threshold)
    return None


@settings(deadline=None, max_examples=80)
@given(SCORES, st.sampled_from(sorted(TARGETS.values())))
def test_the_threshold_is_that_of_a_brute_force_search(human, percent):
    point = choose(human, percent, 1.0)
    assert point.margin == searched(human, percent)
    assert (point.why == "") == (point.margin is not None)
    assert point.human_texts == len(human)
    assert point.false_positives == (0 if point.margin is None else (human >= point.margin).sum())


def spread(*tops: float, of: int = 100) -> np.ndarray:
    """These scores, and others below all of them."""
    return np.array([*tops, *(-1 - np.arange(of - len(tops)))])


@pytest.mark.parametrize(
    ("human", "percent", "margin", "called"),
    [
        (spread(6, 5, 4, 3, 2, 1), 5, 2, 5),
        (spread(6, 5, 4, 3, 2, 1), 1, 6, 1),
        (spread(6, 5, 4, 4, 4, 4), 5, 5, 2),  # the tie would make six of them
        (spread(6, 5, 5, 5, 5), 5, 5, 5),
        (spread(6, of=20), 5, 6, 1),
        (
            np.array([np.float32(0.1)] + [-np.float32(0.1)] * 19, dtype=np.float64),
            5,
            float(np.float32(0.1)),
            1,
        ),
    ],
)
def test_planted_scores_have_the_threshold_worked_out_by_hand(human, percent, margin, called):
    point = choose(np.random.default_rng(0).permutation(human), percent, 1.0)
    assert (point.margin, point.false_positives, point.why) == (margin, called, "")


@pytest.mark.parametrize(
    ("human", "percent", "why"),
    [
        (np.zeros(0), 5, "FPR 5 % needs 20 human validation texts, but there are 0"),
        (np.zeros(1), 5, "FPR 5 % needs 20 human validation texts, but there are 1"),
        (spread(1, of=19), 5, "FPR 5 % needs 20 human validation texts, but there are 19"),
        (spread(1, of=55), 1, "FPR 1 % needs 100 human validation texts, but there are 55"),
        (np.zeros(40), 5, "FPR 5 % cannot be met: 40 of 40 human validation texts share the highest score"),
        (
            spread(*[9] * 6),
            5,
            "FPR 5 % cannot be met: 6 of 100 human validation texts share the highest score",
        ),
        (spread(9, 9), 1, "FPR 1 % cannot be met: 2 of 100 human validation texts share the highest score"),
    ],
)
def test_a_rate_that_the_texts_cannot_carry_is_refused_in_words(human, percent, why):
    point = choose(human, percent, 1.0)
    assert point == Point(margin=None, probability=None, human_texts=len(human), false_positives=0, why=why)


def raid_rates(human: np.ndarray, target: float) -> set[float]:
    """The rates for which RAID's evaluator has a result; it looks for the nearest to the target."""
    rates = {float((human >= score).mean()) for score in np.unique(human)}
    return {rate for rate in rates if rate - target <= RAID_TOLERANCE}


@pytest.mark.parametrize("percent", TARGETS.values())
@pytest.mark.parametrize("seed", range(3))
def test_on_as_many_texts_as_raid_has_a_domain_the_target_itself_is_met(seed, percent):
    human = np.random.default_rng(seed).normal(size=2000)
    rate = choose(human, percent, 1.0).false_positives / 2000
    assert rate == percent / 100
    assert rate in raid_rates(human, percent / 100)


@pytest.mark.parametrize("percent", TARGETS.values())
@pytest.mark.parametrize("levels", [1, 2, 3, 10, 40, 300])
def test_on_scores_of_few_levels_the_rate_is_raids_nearest_that_does_not_exceed_the_target(levels, percent):
    human = np.random.default_rng(levels).integers(0, levels, 2000).astype(float)
    point, target = choose(human, percent, 1.0), percent / 100
    met = [rate for rate in raid_rates(human, target) if rate <= target]
    assert (point.margin is None) == (not met)
    assert point.false_positives / 2000 == max(met, default=0)


def test_the_rate_is_a_point_of_scikit_learns_roc_curve():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 3000)
    margin = np.round(rng.normal(size=3000) + (labels == 0), 2)
    false_rate, _, thresholds = roc_curve(labels == 0, margin, drop_intermediate=False)
    for percent in TARGETS.values():
        point = choose(margin[labels == 1], percent, 1.0)
        (found,) = false_rate[thresholds == point.margin]
        assert found == pytest.approx(point.false_positives / point.human_texts)
        human_scores = np.isin(thresholds, margin[labels == 1])
        assert found == false_rate[human_scores & (false_rate <= percent / 100)].max()


def test_new_texts_are_called_ai_at_a_rate_of_at_most_the_target_in_the_mean():
    """Of 40 texts 2 may be called: 2 / 41. Just above the third score it would be 3 / 41."""
    drawn = np.random.default_rng(2).random((4000, 40))
    rates = [1 - (choose(human, 5, 1.0).margin or 0) for human in drawn]
    assert np.mean(rates) == pytest.approx(2 / 41, abs=4 * np.std(rates) / 4000**0.5)


def test_the_probability_is_calibrated_and_the_numbers_are_plain():
    point = choose(spread(6, 5, 4, 3, 2, 1), 5, 2.0)
    assert point.probability == pytest.approx(1 / (1 + np.exp(-1)))
    assert json.loads(json.dumps(point.model_dump(), allow_nan=False)) == point.model_dump()
