"""The draw with a prior: what is tried first, what the model learns, and whether that helps or harms."""

from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from prior_cases import DEFAULT, excesses, prior_from, search_on
from recorded import ended

from search.config import SearchConfig
from search.draw import PRIOR_UNTIL, draw, known_trials
from search.prior import Prior, Tried
from search.record import TrialRecord

SEARCH = SearchConfig()
AFTER = (6, 8, 12, 16, 20)
LARGE = np.array([-3.5, 4, 1])
optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return prior_from(search_on(LARGE, seed=1))


def reversed_prior(prior: Prior) -> Prior:
    """The same points with the opposite order."""
    trials = [
        trial.model_copy(update={"curve": tuple((at, -value) for at, value in trial.curve)})
        for trial in prior.trials
    ]
    return prior.model_copy(update={"trials": tuple(trials)})


def test_the_priors_best_are_tried_after_the_default_and_then_the_model_draws(prior: Prior) -> None:
    records = search_on(LARGE, 0, prior, trials=8)
    assert [record.params for record in records[:6]] == [DEFAULT, *prior.enqueued]
    assert not {record.params for record in records[6:]} & set(prior.enqueued)


def test_a_draw_depends_on_record_prior_seed_and_number_alone(prior: Prior) -> None:
    records = search_on(LARGE, 0, prior, trials=9)
    again = Prior.model_validate_json(prior.model_dump_json())
    for number in range(1, 9):
        shuffled = list(reversed(records[:number]))
        assert draw(SEARCH, 42, number, shuffled, [], again) == draw(
            SEARCH, 42, number, records[:number], [], prior
        )
    assert draw(SEARCH, 42, 7, records[:7], [], prior) != draw(SEARCH, 42, 7, records[:7], [])


def told(records: Sequence[TrialRecord], prior: Prior) -> list[tuple[float, float]]:
    """The learning rates and scores that the model is given, those of the prior first."""
    known = known_trials([Tried.of(record) for record in records], prior)
    return [(point.learning_rate, score) for point, score in known]


def tried(*losses: float | None, rate: float = 1e-4) -> list[TrialRecord]:
    """Trials at rising learning rates; None is one that failed."""
    return [
        ended(
            n, loss, "COMPLETE" if loss else "FAILED", came=100 if loss else 0, point=(rate * (n + 1), 8, 8.0)
        )
        for n, loss in enumerate(losses)
    ]


def test_the_model_is_given_ranks_within_each_study_the_priors_first() -> None:
    small = tried(5.0, 7.0, None, 6.0)
    small.append(ended(4, 0.1, "PRUNED", came=30, point=(5e-4, 8, 8.0)))
    given = told(tried(0.02, 0.01, rate=1e-3), prior_from(small))
    old, new = dict(given[:5]), dict(given[5:])
    assert list(old) == pytest.approx(
        [1e-4, 4e-4, 2e-4, 5e-4, 3e-4]
    )  # the pruned one, then the failed one last
    assert list(old.values()) == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert new == {2e-3: 0.25, 1e-3: 0.75}


def test_of_a_point_tried_in_both_studies_only_the_new_trial_counts() -> None:
    given = told(tried(0.01, 0.02), prior_from(tried(5.0, 6.0, 7.0)))
    assert given == [(pytest.approx(3e-4), 2.5 / 3), (1e-4, pytest.approx(0.5 / 3)), (2e-4, 0.5)]


def test_what_both_studies_tried_ties_their_scales_together() -> None:
    """The prior's best four, again in that order, stay its best; a better one than all comes before them."""
    losses = [0.1 * number for number in range(1, 11)]
    own = tried(*losses[:4])
    scores = dict(told(own, prior_from(tried(*losses))))
    assert scores == pytest.approx({1e-4 * (n + 1): 0.1 * n + 0.05 for n in range(10)})
    better = [*own, ended(4, 0.01, point=(5e-3, 8, 8.0))]
    scores = dict(told(better, prior_from(tried(*losses))))
    assert 0 < scores[5e-3] < scores[1e-4] == pytest.approx(0.05)


def test_a_prior_that_the_studys_own_trials_contradict_is_left_out(prior: Prior) -> None:
    records = search_on(LARGE, 0, prior, trials=9)
    against = reversed_prior(prior)
    assert len(told(records[:1], against)) > 1  # one point has no order
    assert len(told(records, prior)) > len(records)
    assert len(told(records, against)) == len(records)
    for number in range(7, 9):
        assert draw(SEARCH, 3, number, records[:number], [], against) == draw(
            SEARCH, 3, number, records[:number], []
        )


def test_a_prior_has_said_what_it_can_after_ten_trials(prior: Prior) -> None:
    records = search_on(LARGE, 0, prior, trials=PRIOR_UNTIL)
    assert len(told(records[:-1], prior)) > PRIOR_UNTIL - 1
    assert len(told(records, prior)) == PRIOR_UNTIL


def test_a_good_prior_is_better_after_its_own_best_trials() -> None:
    mean = {kind: values.mean() for kind, values in excesses(4, (6,), ("equal",)).items()}
    assert mean["equal"] < 0.3 * mean["none"]


@pytest.mark.slow
@pytest.mark.parametrize("pruned", [False, True])
def test_over_40_seeds_a_prior_helps_where_it_can_and_costs_its_own_trials_where_it_misleads(
    pruned: bool,
) -> None:
    found = excesses(40, AFTER, pruned=pruned)
    mean = {kind: values.mean(axis=0) for kind, values in found.items()}
    print(f"excess log loss (nats) after {AFTER} trials, {'with' if pruned else 'without'} ASHA")
    for kind, values in found.items():
        better = (values < found["none"]).mean(axis=0)
        print(
            f"{kind:10s} {row(mean[kind], 4)}  median {row(np.median(values, axis=0), 4)}  better {row(better, 2)}"
        )
    assert mean["equal"][1] < 0.6 * mean["none"][1]  # after 8 trials
    assert (mean["equal"] < mean["none"]).all()
    assert mean["shifted"][0] < mean["none"][0]
    for kind in ("shifted", "unrelated", "opposite"):
        assert mean[kind][3] < mean["none"][1]  # after 16 trials, where one without a prior is after 8


def row(values: NDArray[np.float64], places: int) -> str:
    return " ".join(f"{value:.{places}f}" for value in values)
