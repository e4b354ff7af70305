"""Intervals against scipy and scikit-learn, and what groups do to them."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import roc_auc_score

from train_fn.calibration import weighted_error
from train_fn.intervals import (
    Interval,
    exact,
    mirrored,
    percentiles,
    resample,
    separated,
    share,
    weighted_auroc,
)
from train_fn.metrics import calibration_error

AI, HUMAN = 0, 1


@pytest.mark.parametrize(
    ("hits", "rows"), [(0, 55), (1, 55), (55, 55), (1, 1), (50, 1000), (90_000, 100_000)]
)
def test_the_exact_interval_is_of_the_quantiles_of_the_beta_distribution(hits, rows):
    """Clopper and Pearson 1934, in the form of Brown, Cai and DasGupta 2001, section 4.2.1."""
    found = exact(hits, rows)
    low = beta.ppf(0.025, hits, rows - hits + 1) if hits else 0
    high = beta.ppf(0.975, hits + 1, rows - hits) if hits < rows else 1
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)


def test_a_share_counts_and_of_nothing_there_is_none():
    found = share(np.array([True, False, True, True]))
    assert (found.value, found.hits, found.rows, found.interval) == (0.75, 3, 4, exact(3, 4))
    none = share(np.zeros(0, bool))
    assert (none.value, none.interval, none.rows) == (None, None, 0)


ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1), st.integers(0, 3)), min_size=2, max_size=40)


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_the_weighted_area_is_scikit_learns_also_with_ties_and_weights_of_zero(rows):
    margin, labels, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(all(weights[labels == label].sum() > 0 for label in (AI, HUMAN)))
    expected = roc_auc_score(labels == AI, margin, sample_weight=weights)
    assert weighted_auroc(margin, labels)(weights) == pytest.approx(expected)


def bootstrap(statistic, group, draws=1000):
    return [percentiles(column) for column in resample(statistic, group, draws).T]


def mean_of(values: np.ndarray):
    return lambda weights: np.array([weights @ values / weights.sum()])


def area_of(margin: np.ndarray, labels: np.ndarray):
    area = weighted_auroc(margin, labels)
    return lambda weights: np.array([area(weights)])


def test_over_rows_it_is_the_percentile_bootstrap_of_scipy():
    values = np.random.default_rng(0).exponential(size=400)
    (found,) = bootstrap(mean_of(values), np.arange(400), draws=4000)
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1)
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


def test_copies_in_a_group_make_nothing_surer():
    values = np.random.default_rng(0).exponential(size=300)
    copied = np.repeat(values, 10)
    (once,) = bootstrap(mean_of(values), np.arange(300))
    (grouped,) = bootstrap(mean_of(copied), 7 * np.repeat(np.arange(300), 10))
    (loose,) = bootstrap(mean_of(copied), np.arange(3000))
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert loose.high - loose.low < (grouped.high - grouped.low) / 2


def test_the_interval_of_an_area_covers_the_true_one_nineteen_times_of_twenty():
    """Groups of four texts of one class that share most of their score; the true area is that of two normals."""
    from scipy.stats import norm

    true, covered, rng = norm.cdf(1 / 2**0.5), [], np.random.default_rng(3)
    for _ in range(100):
        group = np.repeat(np.arange(60), 4)
        labels = group % 2
        margin = (labels == AI) + 0.95**0.5 * rng.normal(size=60)[group] + 0.05**0.5 * rng.normal(size=240)
        (found,) = bootstrap(area_of(margin, labels), group, draws=200)
        covered.append(found.low <= true <= found.high)
    assert 0.87 <= np.mean(covered) <= 0.99


def test_draws_without_a_class_are_left_out_and_where_none_is_left_there_is_no_interval():
    labels = np.array([AI, HUMAN, HUMAN])
    (found,) = bootstrap(area_of(np.array([1.0, 2.0, 0.0]), labels), np.arange(3))
    assert (found.low, found.high) == (0.0, 1.0)
    assert bootstrap(lambda weights: np.array([weights @ (labels == 5) / 0.0]), np.arange(3)) == [None]


@pytest.mark.parametrize(
    ("group", "pairs"),
    [
        ([0, 1, 2, 3, 4, 5, 6], 3),  # three AI texts
        ([0, 0, 0, 1, 2, 3, 4], 1),  # of one group
        ([0, 1, 2, 0, 1, 2, 3], 2),  # groups with both classes serve one of them
    ],
)
def test_the_interval_of_a_perfect_area_is_that_of_its_independent_pairs(group, pairs):
    labels = np.array([AI] * 3 + [HUMAN] * 4)
    assert separated(labels, np.array(group)) == exact(pairs, pairs)


def test_a_perfect_area_of_a_single_group_says_nothing():
    assert separated(np.array([AI, HUMAN]), np.zeros(2, int)) == Interval(low=0.0, high=1.0)


def test_a_weighted_calibration_error_is_that_of_the_rows_so_often():
    rng = np.random.default_rng(0)
    margin, labels, times = rng.normal(0, 2, 200), rng.integers(0, 2, 200), rng.integers(0, 4, 200)
    repeated = calibration_error(np.repeat(margin, times), np.repeat(labels, times))
    assert weighted_error(margin, labels)(times.astype(float)) == pytest.approx(repeated)


@pytest.mark.parametrize("temperature", [1.0, 1.5, 3.0])
def test_the_interval_of_a_calibration_error_holds_the_truth_also_near_zero(temperature):
    """Of 40 sets of 400 texts: the percentile interval holds an error of 0 in none."""
    rng = np.random.default_rng(0)

    def planted(rows):
        odds = rng.normal(0, 1.5, rows)
        return temperature * odds, (rng.random(rows) > 1 / (1 + np.exp(-odds))).astype(np.int64)

    truth, held = calibration_error(*planted(500_000)), 0
    for _ in range(40):
        margin, labels = planted(400)
        error = weighted_error(margin, labels)
        draws = resample(lambda weights, error=error: np.array([error(weights)]), np.arange(400), draws=200)
        found = mirrored(draws[:, 0], calibration_error(margin, labels))
        held += found.low <= truth <= found.high
    assert held >= 33
