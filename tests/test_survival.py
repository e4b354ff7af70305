"""The simulated ASHA against Ray's own, and what it says of whole searches."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from search.config import SearchConfig
from search.scheduler import METRIC, TIME, Asha
from search.survival import SIMULATED, Race, _losses, _Search, above, judged_evaluations, simulate

TENTHS = tuple(range(10, 101, 10))


def race(percents: tuple[int, ...] = TENTHS, *, search: SearchConfig | None = None, **changes: Any) -> Race:
    """Trials of a second or less, with an evaluation at each percent."""
    search = search or SearchConfig(grace_percent=30)
    values = {
        "percents": percents,
        "at": tuple(percent / 100 for percent in percents),
        "whole": 1.0,
        "again": 1.0,
        "judged": judged_evaluations(search, percents),
        "keep": 1 / search.reduction_factor,
        "trials": 20,
        "ended": 0,
        "slots": 1,
        "confirm_seeds": 0,
    }
    return Race(**{**values, **changes})


def by_ray(search: SearchConfig, percents: tuple[int, ...], losses: list[list[float]]) -> list[int | None]:
    """The percent at which Ray's scheduler stops each trial; `losses` are [trials, evaluations]."""
    scheduler, found = Asha(search, []), []
    for number, curve in enumerate(losses):
        trial: Any = SimpleNamespace(trial_id=str(number), config={})
        scheduler.on_trial_add(None, trial)
        rows = [{TIME: percent, METRIC: loss} for percent, loss in zip(percents, curve, strict=True)]
        stopped = None
        for row in rows[:-1]:
            if scheduler.on_trial_result(None, trial, row) == Asha.STOP:
                stopped = row[TIME]
                break
        else:
            scheduler.on_trial_complete(None, trial, rows[-1])
        found.append(stopped)
    return found


@pytest.mark.parametrize(
    ("percents", "changes"),
    [
        (TENTHS, {}),
        (TENTHS, {"grace_percent": 10}),
        ((20, 40, 60, 80, 100), {}),
        ((20, 40, 60, 80, 100), {"grace_percent": 60}),
        ((7, 13, 20, 27, 33, 40, 47, 53, 60, 67, 73, 80, 87, 93, 100), {"reduction_factor": 2}),
        (
            (33, 67, 100),
            {"grace_percent": 1, "reduction_factor": 4},
        ),  # two rungs have no evaluation of their own
        ((50, 100), {"grace_percent": 1, "reduction_factor": 10}),  # and one stands at 100 %
        ((100,), {}),
    ],
)
def test_trials_are_stopped_where_rays_scheduler_stops_them(
    percents: tuple[int, ...], changes: dict[str, Any]
) -> None:
    search = SearchConfig.model_validate(changes)
    plan = race(percents, search=search, trials=40)
    stopped = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        curves = rng.standard_normal((40, len(percents)))
        judged = [*curves[:, plan.judged].T, curves[:, -1]]
        ours = _Search(plan, np.array(judged).T.tolist())
        _, places = ours._trials()
        found = [None if place is None else percents[place] for place in places]
        assert found == by_ray(search, percents, curves.tolist())
        stopped += sum(place is not None for place in places)
    assert (stopped > 0) == bool(plan.judged)


def test_an_equal_loss_goes_on() -> None:
    assert by_ray(SearchConfig(), (10, 100), [[0.5, 0.5]] * 4) == [None] * 4
    assert not above(0.5, [0.5, 0.5, 0.5], 1 / 3)


def test_three_of_ten_trials_live_to_the_end_of_a_search_judged_once() -> None:
    lives = simulate(race((30, 100), trials=SIMULATED))
    assert lives.complete.mean() / SIMULATED == pytest.approx(1 / 3, abs=0.05)
    assert lives.trained == pytest.approx(0.3 * SIMULATED + 0.7 * lives.complete)
    assert lives.evaluations == pytest.approx(SIMULATED + lives.complete)


def test_one_after_the_other_the_wall_clock_is_the_sum_of_the_lives() -> None:
    lives = simulate(race())
    assert lives.wall == pytest.approx(lives.trained)
    assert 0.4 < lives.trained.mean() / 20 < 0.7


def test_slots_share_the_work_and_wait_for_the_last_trial() -> None:
    alone, four = simulate(race()), simulate(race(slots=4))
    assert alone.wall.mean() / 4 < four.wall.mean() < alone.wall.mean() / 2
    assert simulate(race(trials=3, slots=3)).wall.max() <= 1


def test_the_confirmation_runs_the_default_and_at_most_three_more_on_each_seed() -> None:
    without, lives = simulate(race()), simulate(race(confirm_seeds=2))
    assert set(lives.again) <= {0, 4, 6, 8}
    assert (lives.again == 8).mean() > 0.4
    assert (lives.again == 0).mean() < 0.1  # where the default alone came to its end
    assert lives.wall - without.wall == pytest.approx(lives.again)
    assert set(simulate(race(trials=1, confirm_seeds=2)).again) == {0}  # nothing to set beside the default
    shared = simulate(race(trials=20, ended=20, slots=4, again_left=5, confirm_seeds=2))
    assert set(shared.again) == {5}
    assert set(shared.wall) == {2}


def test_an_extended_search_confirms_only_what_comes_new_among_the_best() -> None:
    anew, extended = (
        simulate(race((100,), trials=21, ended=20, confirm_seeds=2, confirmed=done)) for done in (False, True)
    )
    assert set(anew.again) <= {6, 8}
    assert set(extended.again) == {0, 2}
    assert extended.again.mean() / 2 == pytest.approx(
        3 / 21, abs=0.05
    )  # as often as the last is among the best


def test_the_confirmation_waits_for_all_workers_but_one_to_start_again() -> None:
    """Runs of a second, two slots, of which one is ready 2.5 s later."""
    late = _Search(race(slots=2, restart=2.5), [])
    assert [late._confirmed(count) for count in range(6)] == [0, 1, 2, 3, 3.5, 4]
    resumed = _Search(race(slots=2, restart=2.5, ended=20), [])
    assert [resumed._confirmed(count) for count in range(4)] == [0, 1, 1, 2]


def test_trials_on_record_take_no_time_but_fill_the_rungs() -> None:
    whole, rest = simulate(race()), simulate(race(ended=8))
    first = simulate(race(trials=8))
    assert rest.wall.mean() == pytest.approx(whole.wall.mean() - first.wall.mean(), rel=0.05)
    assert rest.wall.mean() / 12 < first.wall.mean() / 8  # the first trials meet empty rungs


def test_a_long_search_is_foreseen_from_a_shorter_one() -> None:
    lives = [simulate(race(trials=trials), searches=100) for trials in (SIMULATED, 1_000, 2_000)]
    means = [found.wall.mean() for found in lives]
    assert means[2] - means[1] == pytest.approx(1_000 * (means[1] - means[0]) / (1_000 - SIMULATED), rel=1e-6)
    later = (means[2] - means[1]) / 1_000
    assert (
        later < means[0] / SIMULATED < simulate(race()).wall.mean() / 20
    )  # the first trials meet empty rungs


def test_more_trials_take_longer_in_every_simulated_search() -> None:
    walls = [simulate(race(trials=trials), searches=50).wall for trials in (5, 6, 20)]
    assert (walls[0] < walls[1]).all()
    assert (walls[1] < walls[2]).all()


def test_the_losses_of_a_trial_are_alike_from_rung_to_rung() -> None:
    losses = _losses(race(), 5_000, np.random.default_rng(0))
    assert losses.std(axis=0) == pytest.approx(1, abs=0.05)
    assert np.corrcoef(losses.T)[0, 1] == pytest.approx(0.8, abs=0.03)
    assert np.corrcoef(losses.T)[0, 2] == pytest.approx(0.8**2, abs=0.05)


def test_a_default_search_is_simulated_in_about_a_second() -> None:
    started = time.process_time()
    simulate(race(confirm_seeds=2), seed=99)
    assert time.process_time() - started < 2  # 0.15 s on a free core
