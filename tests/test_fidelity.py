"""Whether a small set predicts a large one."""

import math
from collections.abc import Hashable, Iterable, Mapping

import numpy as np
import pytest
from scipy.stats import kendalltau

from search.fidelity import Curve, Fidelity, agreement, compare
from search.space import Point

SETS = ("10k", "100k")


def whole(values: Mapping[Hashable, float] | Iterable[float]) -> dict[Hashable, Curve]:
    """Complete runs that ended at these log losses."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values)
    return {key: ((50, 9.0), (100, value)) for key, value in items}


def related(generator: np.random.Generator, shared: int, correlation: float) -> Fidelity:
    """A comparison of so many configurations whose true tau is 2 / pi * arcsin(correlation)."""
    small, own = generator.standard_normal((2, shared))
    large = correlation * small + math.sqrt(1 - correlation**2) * own
    return told(compare(whole(small), whole(large), SETS))


def told(found: Fidelity | None) -> Fidelity:
    assert found
    return found


def many(shared: int, correlation: float, cases: int) -> list[Fidelity]:
    generator = np.random.default_rng(shared)
    return [related(generator, shared, correlation) for _ in range(cases)]


def share(found: list[Fidelity], verdict: str) -> float:
    return sum(each.verdict == verdict for each in found) / len(found)


def covered(found: list[Fidelity], correlation: float) -> float:
    truth = 2 / math.pi * math.asin(correlation)
    inside = [each.tau_interval and each.tau_interval[0] <= truth <= each.tau_interval[1] for each in found]
    return sum(map(bool, inside)) / len(found)


def test_tau_is_scipys_with_ties() -> None:
    small, large = [1.0, 2, 2, 3, 5, 4, 7], [2.0, 1, 3, 3, 5, 6, 5]
    found = told(compare(whole(small), whole(large), SETS))
    assert found.tau == pytest.approx(kendalltau(small, large).statistic)


def test_overlap_and_regret_by_hand() -> None:
    small = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "only small": 0.0}
    large = {"d": 0.50, "c": 0.56, "a": 0.53, "b": 0.58, "only large": 0.0}
    found = told(compare(whole(small), whole(large), SETS))
    assert (found.shared, found.top, found.overlap) == (4, 3, 2)
    assert found.regret == pytest.approx(0.03)
    assert found.verdict == "TOO_FEW"
    assert found.tau_interval is found.regret_interval is None
    assert "too few shared configurations" in found.sentence


def test_configurations_are_matched_by_their_values() -> None:
    points = [Point(learning_rate=rate, lora_rank=8, lora_alpha=16) for rate in (1e-4, 2e-4)]
    again = [point.model_copy() for point in points]
    small, large = dict(zip(points, (1, 2), strict=True)), dict(zip(again, (3, 4), strict=True))
    found = told(compare(whole(small), whole(large), SETS))
    assert found.shared == 2
    assert found.tau == 1


def test_the_same_order_predicts_and_costs_nothing() -> None:
    found = told(compare(whole(range(8)), whole({key: key**2 for key in range(8)}), SETS))
    assert (found.verdict, found.tau, found.regret, found.overlap) == ("PREDICTS", 1, 0, 3)
    assert found.sentence.startswith("10k predicts 100k here: tau 1.00")


def test_the_opposite_order_does_not_predict() -> None:
    found = told(compare(whole(range(8)), whole({key: -key for key in range(8)}), SETS))
    assert (found.verdict, found.overlap) == ("DOES_NOT_PREDICT", 0)
    assert found.regret == 7


def test_a_set_of_equal_values_tells_nothing() -> None:
    found = told(compare(whole([0.5] * 8), whole(range(8)), SETS))
    assert (found.verdict, found.tau) == ("TOO_FEW", None)
    assert "all values being equal" in found.sentence


def test_sets_that_share_nothing_are_not_compared() -> None:
    assert compare(whole({1: 0.1}), whole({2: 0.1}), SETS) is None
    assert math.isnan(agreement(whole({1: 0.1}), whole({2: 0.1})))
    assert math.isnan(agreement(whole({1: 0.1, 2: 0.2}), whole({2: 0.1})))


def test_what_was_stopped_is_compared_where_it_was_stopped() -> None:
    """The default `a` ran first and to its end; better ones were stopped at 10 and 30 % by still better ones."""
    small = whole({"a": 0.9, "b": 0.2, "c": 0.3, "d": 0.4})
    large: dict[Hashable, Curve] = {
        "a": ((10, 2.0), (30, 1.5), (100, 0.9)),
        "b": ((10, 1.0), (30, 0.9)),
        "c": ((10, 0.9), (30, 0.8), (100, 0.2)),
        "d": ((10, 1.1),),
    }
    found = told(compare(small, large, SETS))
    assert found.tau == pytest.approx(4 / 6)  # b and c are the only pair in another order
    assert agreement(small, large) == found.tau
    assert (found.stopped, found.overlap) == (2, 3)
    assert found.regret == pytest.approx(0.1)  # b against c at 30 %
    assert "costs 0.1000 log loss at 30 % of the run; 4 shared" in found.sentence
    assert found.sentence.endswith("2 of them stopped early and compared where they were.")


def test_the_regret_of_a_choice_that_ran_to_its_end_is_that_of_the_ends() -> None:
    small = whole({"a": 0.2, "b": 0.1, "c": 0.3})
    large: dict[Hashable, Curve] = {
        "b": ((10, 1.0), (100, 0.35)),
        "a": ((10, 1.5), (100, 0.3)),
        "c": ((10, 0.9),),
    }
    found = told(compare(small, large, SETS))
    assert (found.regret, found.regret_percent) == (pytest.approx(0.05), 100)
    large["c"] = ((10, 0.2),)  # the lowest so far: it could only have fallen further
    assert told(compare(small, large, SETS)).regret == pytest.approx(0.15)


def test_unrelated_sets_seldom_predict_and_related_ones_do() -> None:
    assert share(many(12, 0.0, 100), "PREDICTS") <= 0.12  # 4 % in 2,000 cases
    assert share(many(12, 0.9, 50), "PREDICTS") >= 0.85  # 98 %


@pytest.mark.slow
@pytest.mark.parametrize("shared", [6, 8, 12, 20])
def test_taus_interval_covers_and_unrelated_sets_predict_in_5_percent(shared: int) -> None:
    unrelated, related_, close = (many(shared, correlation, 1_000) for correlation in (0.0, 0.6, 0.9))
    print(
        f"{shared} shared: covers {covered(unrelated, 0):.3f} {covered(related_, 0.6):.3f} "
        f"{covered(close, 0.9):.3f}; predicts {share(unrelated, 'PREDICTS'):.3f} "
        f"{share(related_, 'PREDICTS'):.3f} {share(close, 'PREDICTS'):.3f}; does not predict "
        f"{share(unrelated, 'DOES_NOT_PREDICT'):.3f} {share(close, 'DOES_NOT_PREDICT'):.3f}"
    )
    assert share(unrelated, "PREDICTS") <= 0.065
    assert share(close, "DOES_NOT_PREDICT") <= 0.05
    assert min(covered(unrelated, 0), covered(related_, 0.6), covered(close, 0.9)) >= 0.83
