"""The verdict of a confirmation."""

import numpy as np
import pytest
from scipy.stats import t as student
from verdict_cases import ALIKE, EQUAL, LONE, NAMES, Noise, better, chosen, losses, verdicts

from search.verdict import Verdict, judge
from train_fn.errors import InputError

TYPICAL = Noise(seed_sd=0.01, rows=1_000)


def draw(noise: Noise = TYPICAL, gaps: tuple[float, ...] = ALIKE, seed: int = 0) -> np.ndarray:
    return losses(np.random.default_rng(seed), noise, gaps)


def say(values: np.ndarray, default: int = 0) -> Verdict:
    return judge(values, default, NAMES[: len(values)])


def test_a_wide_gap_is_clearly_better_and_the_sentence_says_so() -> None:
    values = draw(gaps=(12.0, 30.0, 14.0))
    found = say(values)
    assert (found.verdict, found.winner, found.challenger) == ("BETTER", 2, 2)
    assert found.means == pytest.approx(values.mean(axis=(1, 2)).tolist())
    assert found.difference == pytest.approx(found.means[2] - found.means[0])
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high < 0
    assert found.sentence.startswith("trial 7 is clearly better than the default: log loss ")
    assert "2 fresh seeds, 1000 rows" in found.sentence


def test_the_default_wins_when_no_mean_is_lower() -> None:
    found = say(draw(gaps=(-12.0, -14.0, -20.0)))
    assert (found.verdict, found.winner, found.challenger) == ("DEFAULT", 0, 1)
    assert found.difference > 0
    assert found.sentence.startswith("The default itself wins; the best other is trial 3")


def test_equal_losses_are_the_defaults() -> None:
    assert say(np.ones((3, 2, 10))).verdict == "DEFAULT"


def test_a_small_gain_is_not_distinguishable_and_the_interval_holds_0() -> None:
    found = say(draw(gaps=(0.8, 0.0, 0.0), seed=1))
    assert found.verdict == "NOT_DISTINGUISHABLE"
    assert found.winner != 0
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_one_seed_is_never_enough_and_says_so() -> None:
    found = say(draw(Noise(0.01, 1_000, seeds=1), (30.0, 0.0, 0.0)))
    assert found.verdict == "NOT_DISTINGUISHABLE"
    assert found.high is not None
    assert found.high < 0  # row noise alone would have called it better
    assert (
        "One seed cannot tell a better configuration from a lucky run. The interval holds row"
        in found.sentence
    )
    bare = say(draw(Noise(0.01, 1_000, seeds=1)).mean(axis=2))
    assert bare.low is bare.high is None
    assert "no interval" in bare.sentence


@pytest.mark.parametrize("place", range(4))
def test_the_defaults_place_does_not_matter(place: int) -> None:
    values = draw(gaps=(2.5, 1.0, 0.0))
    order = [1, 2, 3]
    order.insert(place, 0)
    moved = judge(values[order], place, [NAMES[each] for each in order])
    assert moved.verdict == say(values).verdict
    assert moved.difference == pytest.approx(say(values).difference)
    assert moved.high == pytest.approx(say(values).high, abs=2e-3)


def test_what_a_seed_does_to_all_candidates_changes_nothing() -> None:
    values = draw()
    shifted = values + np.array([0.0, 5.0])[:, None]
    assert say(shifted).high == pytest.approx(say(values).high)


def test_what_a_row_does_to_all_candidates_changes_nothing() -> None:
    values = draw()
    harder = values + np.random.default_rng(1).exponential(3, values.shape[2])
    assert say(harder).high == pytest.approx(say(values).high)


def test_two_candidates_by_their_means_are_a_paired_t_test() -> None:
    """With one candidate nothing is selected: the upper end is Student's, one-sided 5 %."""
    means = np.array([[0.50, 0.53, 0.49, 0.55], [0.47, 0.48, 0.48, 0.50]])
    gains = means[0] - means[1]
    lowest = gains.mean() - student.ppf(0.95, 3) * gains.std(ddof=1) / 2
    found = say(means)
    assert found.high == pytest.approx(-lowest, rel=0.1)
    assert "these rows only" in found.sentence


def test_many_rows_and_no_seed_noise_leave_the_row_bootstraps_interval() -> None:
    generator = np.random.default_rng(0)
    own = generator.exponential(0.3, (2, 1, 1_000)) + np.zeros((2, 3, 1))  # the same on every seed
    gains = own[0, 0] - own[1, 0]
    resampled = [generator.choice(gains, len(gains)).mean() for _ in range(2_000)]
    found = say(own)
    assert found.high is not None
    assert found.high + np.quantile(resampled, 0.05) == pytest.approx(0, abs=0.15 * np.std(resampled))


def test_copies_of_the_rows_in_any_order_change_nothing_where_their_groups_are_told() -> None:
    values = draw()
    order = np.random.default_rng(1).permutation(3 * values.shape[2])
    copies, group = np.tile(values, 3)[..., order], np.tile(np.arange(values.shape[2]), 3)[order]
    found, bare = judge(copies, 0, NAMES, group), judge(copies, 0, NAMES)
    assert [found.low, found.high] == pytest.approx([say(values).low, say(values).high])
    assert bare.low is not None
    assert found.low is not None
    assert bare.low > found.low + 1e-4  # as if three times the rows had been read


@pytest.mark.parametrize("group", [np.zeros(1_000, int), np.arange(999)])
def test_groups_that_say_nothing_of_the_rows_are_refused(group: np.ndarray) -> None:
    with pytest.raises(InputError, match="two groups at least"):
        judge(draw(), 0, NAMES, group)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 9), (3, 0, 9), (3, 2, 1), (3, 2, 4, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least two"):
        judge(np.zeros(shape), 0, NAMES[: shape[0]])


def test_a_failed_candidate_and_an_unknown_default_are_refused() -> None:
    values = draw()
    with pytest.raises(InputError, match="4 candidates"):
        say(values, default=4)
    values[2, 1, 7] = np.nan
    with pytest.raises(InputError, match="not for trial 7"):
        say(values)


def test_equal_candidates_are_seldom_called_better_and_a_gap_of_3_errors_mostly() -> None:
    assert better(verdicts(TYPICAL, EQUAL, 150, seed=1))[0] <= 0.09
    assert better(verdicts(TYPICAL, ALIKE, 60, seed=2))[0] >= 0.70


def test_related_rows_mislead_only_where_nobody_knows_of_them() -> None:
    assert better(chosen(200, seed=8, size=8))[0] <= 0.075
    assert better(chosen(60, seed=8, size=8, related=False))[0] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("noise", [TYPICAL, Noise(0.005, 500), Noise(0.03, 5_000), Noise(0.03, 500)], ids=str)
def test_2000_searches_of_equal_candidates(noise: Noise) -> None:
    false, upper = better(verdicts(noise, EQUAL, 2_000, seed=1))
    print(f"{noise}: clearly better {false:.4f}, at most {upper:.4f}")
    assert false <= 0.055  # 5 %, and the noise of 2,000 draws
    assert upper <= 0.075


@pytest.mark.slow
@pytest.mark.parametrize(
    "noise", [TYPICAL, Noise(0.005, 500), Noise(0.03, 5_000), Noise(0.01, 1_000, 3)], ids=str
)
def test_power_at_3_standard_errors(noise: Noise) -> None:
    alike, lone = (better(verdicts(noise, gaps, 1_000, seed=2))[0] for gaps in (ALIKE, LONE))
    print(f"{noise}: all three {alike:.3f}, one alone {lone:.3f}")
    assert alike > 0.80
    assert lone > 0.25  # 51 % is the most that 3 degrees of freedom allow, 83 % the most with none missing


@pytest.mark.slow
def test_chance_to_suit_the_rows_misleads_only_where_the_same_rows_choose_and_judge() -> None:
    same, _ = better(chosen(1_000, seed=8, apart=False))
    apart, _ = better(chosen(1_000, seed=8, apart=True))
    print(f"clearly better: judged on the same rows {same:.3f}, on others {apart:.3f}")
    assert same > 0.08
    assert apart <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("size", "least"), [(3, 0.1), (8, 0.3)])
def test_1000_searches_on_related_rows(size: int, least: float) -> None:
    told, upper = better(chosen(1_000, seed=9, size=size))
    untold, _ = better(chosen(1_000, seed=9, size=size, related=False))
    print(f"groups of {size}: clearly better {told:.3f}, at most {upper:.3f}; groups not told {untold:.3f}")
    assert told <= 0.06  # 5 %, and the noise of 1,000 draws
    assert upper <= 0.075
    assert untold > least


@pytest.mark.slow
def test_2000_searches_on_skewed_rows_by_means_and_with_unequal_noise() -> None:
    skewed, _ = better(verdicts(Noise(0.01, 500), EQUAL, 2_000, seed=5, skewed=True))
    means, _ = better(verdicts(TYPICAL, EQUAL, 2_000, seed=6, by_mean=True))
    noisy, _ = better(verdicts(Noise((0.01, 0.03, 0.01, 0.01), 1_000), EQUAL, 2_000, seed=7))
    print(f"skewed {skewed:.4f}, by means {means:.4f}, one candidate three times as noisy {noisy:.4f}")
    assert max(skewed, means) <= 0.06  # 5 %, and the noise of 2,000 draws
    assert noisy <= 0.06
