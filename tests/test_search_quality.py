"""The benchmark of the search replays what it says, on landscapes whose optimum is where they say."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.config import resolve_search
from search.space import Point, exponents
from train_fn.storage import PROJECT, append_line

SEARCH = resolve_search({})
SPACE = SEARCH.space
DEFAULT = Point(learning_rate=1e-4, lora_rank=16, lora_alpha=32)
KINDS = ("smooth", "ridged", "noisy", "late")


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def landscape(kind: str, replay: int = 0, noise: float = 0.02, family: str = "development") -> Any:
    from landscapes import make

    return make(kind, family, replay, SPACE, noise)


def grid(rates: int) -> Iterator[Point]:
    """So many learning rates with every rank and ratio."""
    ranks, ratios = exponents(SPACE.lora_rank), exponents(SPACE.lora_alpha_ratio)
    for rate in np.geomspace(SPACE.learning_rate.low, SPACE.learning_rate.high, rates).tolist():
        for rank in range(ranks[0], ranks[1] + 1):
            for ratio in range(ratios[0], ratios[1] + 1):
                yield Point(learning_rate=rate, lora_rank=2**rank, lora_alpha=2.0 ** (rank + ratio))


class Told:
    """A world that answers with given curves, in the order of the runs, and counts them."""

    best = DEFAULT

    def __init__(self, curves: list[list[float]]) -> None:
        self.curves, self.runs = curves, []

    def loss(self, point: Point) -> float:
        return 0.0 if point == self.best else 1.0

    def curve(self, point: Point, seed: int) -> list[tuple[int, float]]:
        curve = self.curves[len(self.runs) % len(self.curves)]
        self.runs.append((point, seed))
        return [(10 * (i + 1), loss) for i, loss in enumerate(curve)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("replay", range(4))
def test_a_fine_grid_finds_the_optimum_that_a_landscape_names(kind: str, replay: int) -> None:
    world = landscape(kind, replay)
    found = min(grid(301), key=world.loss)
    assert 0 <= world.loss(found) - world.loss(world.best) < 1e-3
    assert found.lora_rank == world.best.lora_rank
    assert abs(np.log10(found.learning_rate / world.best.learning_rate)) < 0.3


def test_replays_and_families_have_landscapes_of_their_own_and_always_the_same() -> None:
    made = [
        landscape(kind, replay, family=family)
        for kind in KINDS
        for family in ("development", "reported")
        for replay in range(5)
    ]
    assert len({world.best.learning_rate for world in made}) == len(made)
    assert landscape("noisy", 3) == landscape("noisy", 3)


def test_only_the_noisy_landscape_has_noise_and_as_much_as_asked() -> None:
    point = Point(learning_rate=3e-4, lora_rank=8, lora_alpha=8)
    ends = np.array([landscape("noisy", 1, 0.02).curve(point, seed)[-1][1] for seed in range(400)])
    assert np.std(ends[::2] - ends[1::2]) == pytest.approx(0.02, rel=0.15)
    assert landscape("noisy", 1).curve(point, 5) == landscape("noisy", 1).curve(point, 5)
    for kind in ("smooth", "ridged"):
        world = landscape(kind, 1)
        assert world.curve(point, 1) == world.curve(point, 2)
        assert world.curve(point, 1)[-1][1] == pytest.approx(world.loss(point))


@pytest.mark.parametrize("kind", KINDS)
def test_curves_cross_so_that_stopping_early_can_err(kind: str) -> None:
    rng, crossed = np.random.default_rng(0), []
    points = list(grid(9))
    for replay in range(20):
        world = landscape(kind, replay)
        for one, other in (rng.choice(len(points), 2, replace=False) for _ in range(20)):
            curves = np.array([world.curve(points[i], 1) for i in (one, other)])[..., 1]
            ahead = curves[0] < curves[1]
            crossed.append(ahead[0] != ahead[-1])
    assert 0.05 < np.mean(crossed) < 0.5


def test_our_replay_stops_as_the_rule_of_successive_halving_says() -> None:
    """At 30 and 90 % the best third of those that came there go on, the first of them in any case."""
    from replays import Ours

    rng = np.random.default_rng(0)
    curves = np.minimum.accumulate(rng.normal(0.6, 0.1, (40, 10)), axis=1).tolist()
    ours = Ours(Told(curves), SEARCH.model_copy(update={"grace_percent": 30}), DEFAULT, seed=1)
    rungs: dict[int, list[float]] = {30: [], 90: []}
    for curve in curves:
        ours.step()
        end = 100
        for percent, before in rungs.items():
            loss = curve[percent // 10 - 1]
            stopped = bool(before) and loss > np.percentile(before, 100 / 3)
            before.append(loss)
            if stopped:
                end = percent
                break
        record = ours.records[-1]
        assert record.curve == tuple((10 * (i + 1), loss) for i, loss in enumerate(curve[: end // 10]))
        assert record.status == ("COMPLETE" if end == 100 else "PRUNED")
    assert {record.curve[-1][0] for record in ours.records} == {30, 90, 100}
    assert ours.cost == pytest.approx(sum(record.curve[-1][0] for record in ours.records) / 100)


def test_our_confirmation_costs_its_runs_and_its_winner_is_the_best_on_fresh_seeds() -> None:
    from replays import Ours

    falling = [0.7, 0.65, 0.6, 0.55, 0.5]
    ours = Ours(Told([[loss] * 10 for loss in falling]), SEARCH, DEFAULT, seed=7)
    for _ in falling:
        ours.step()
    assert ours.choice().point == ours.records[4].params
    assert ours.choice().cost == 5
    # Trials 0, 2, 3 and 4 again with two seeds: trial 3 is the best now.
    ours.world = world = Told([[loss] for loss in (0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.4, 0.6)])
    assert ours.confirmed().point == ours.records[3].params
    assert ours.confirmed().cost == 5 + 8
    assert [seed for _, seed in world.runs] == [8] * 4 + [9] * 4  # asked twice, and no run was made twice


def test_the_plain_recipe_is_rays_own_searcher_and_scheduler() -> None:
    """A quarter goes on after 1 and after 4 reports; every trial is complete to Optuna, with its last value."""
    from optuna.trial import TrialState
    from peers import PlainRecipe

    rng = np.random.default_rng(0)
    plain = PlainRecipe(Told(rng.normal(0.6, 0.1, (30, 10)).tolist()), SEARCH, seed=3)
    for _ in range(30):
        plain.step()
    trials = plain._searcher._ot_study.trials
    lengths = [len(trial.intermediate_values) + 1 for trial in trials]
    assert set(lengths) == {1, 4, 10}
    assert lengths[0] == 10
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert plain.cost == pytest.approx(sum(lengths) / 10)
    best = min(trials, key=lambda trial: trial.value)
    assert plain.choice().point == Point.from_drawn(best.params)


def test_an_oracle_has_no_regret_and_a_budget_buys_what_fits_into_it() -> None:
    from peers import Choice, regret
    from quality_figures import BUDGETS, TRIALS
    from replays import scores

    world = landscape("ridged", 2)
    assert regret(world, world.best) == 0
    assert min(regret(world, point) for point in grid(20)) > 0
    oracle = [Choice(world.best, float(count)) for count in range(1, 40)]
    assert scores(world, oracle)["regret"] == dict.fromkeys(TRIALS, 0.0)
    late = [Choice(DEFAULT if count < 8 else world.best, 1.5 * count) for count in range(1, 40)]
    within = scores(world, late)["regret_within"]
    assert [budget for budget in BUDGETS if within[budget] == 0] == [12, 13, 14, 15, 16]  # the 8th costs 12


def test_a_replay_is_a_function_of_its_world_and_seed() -> None:
    from replays import replay

    world = landscape("noisy", 4)
    once = replay(world, SEARCH, DEFAULT, seed=11)
    assert replay(world, SEARCH, DEFAULT, seed=11) == once
    assert replay(world, SEARCH, DEFAULT, seed=12) != once


def test_differences_are_paired() -> None:
    from quality_figures import OURS, PLAIN, RANDOM, UNCONFIRMED, differences, interval

    rng = np.random.default_rng(0)
    luck = rng.normal(0, 1, 50)  # of a landscape, the same for all searchers
    shift = {OURS: 0.0, UNCONFIRMED: 0.1, RANDOM: 0.2, PLAIN: 0.3}
    replays = [
        {name: {"regret": dict.fromkeys((16, 32), own + shift[name])} for name in shift} for own in luck
    ]
    found = differences(replays)
    assert found["ours at 16 - random search at 32"] == pytest.approx((-0.2, -0.2, -0.2))
    assert found["ours, unconfirmed at 16 - plain recipe at 16"] == pytest.approx((-0.2, -0.2, -0.2))
    mean, low, high = interval(luck.tolist())
    assert high - low == pytest.approx(2 * 1.645 * luck.std() / 50**0.5, rel=0.15)
    assert low < mean < high


def table(noise: float, count: int = 60) -> list[dict[str, Any]]:
    """A table as tiny_table.py writes it, of a made-up landscape, with three seeds."""
    from search.draw import spread

    world = landscape("noisy", 5, noise)
    return [
        {"config": number, "seed": seed, **point.model_dump(), "status": "COMPLETE", "value": curve[-1][1],
         "curve": curve}
        for number, point in enumerate(spread(SPACE, 0, count))
        for seed in (1, 2, 3)
        for curve in [world.curve(point, seed)]
    ]  # fmt: skip


def test_the_surface_of_a_table_is_smooth_and_has_its_optimum_and_its_noise() -> None:
    from table_surface import Surface

    truth, surface = landscape("noisy", 5, 0.02), Surface(table(0.02, 120), SPACE)
    errors = [surface.loss(point) - truth.loss(point) for point in grid(15)]
    assert np.sqrt(np.mean(np.square(errors))) < 0.02
    assert surface.loss(surface.best) <= min(surface.loss(point) for point in grid(15))
    assert truth.loss(surface.best) - truth.loss(truth.best) < 0.02
    assert surface.seed_difference == pytest.approx(0.02, rel=0.25)
    assert surface.left_out_error < 0.03


def test_a_run_on_the_surface_gives_nothing_away() -> None:
    """The same run gives the same curve, other seeds and neighbours other ones, about the mean that is the
    truth."""
    from table_surface import Surface

    surface = Surface(table(0.02), SPACE)
    here = Point(learning_rate=3e-4, lora_rank=8, lora_alpha=8)
    beside = Point(learning_rate=3.0001e-4, lora_rank=8, lora_alpha=8)
    curve = surface.curve(here, 1)
    assert curve == surface.curve(here, 1)
    assert [percent for percent, _ in curve] == list(range(10, 101, 10))
    losses = [loss for _, loss in curve[:-1]]
    assert losses == sorted(losses, reverse=True)
    assert surface.loss(here) == pytest.approx(surface.loss(beside), abs=1e-4)
    assert curve != surface.curve(beside, 1)
    ends = [surface.curve(here, seed)[-1][1] for seed in range(300)]
    assert np.mean(ends) == pytest.approx(surface.loss(here), abs=0.008)
    assert len(set(ends)) > 10


def test_a_table_that_is_too_small_or_a_missing_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from search_quality import main

    file = tmp_path / "table.jsonl"
    for lines in ([], [{"about": {}}, *table(0.02, 10)]):
        for line in lines:
            append_line(file, line)
        monkeypatch.setattr(sys, "argv", ["x", "--table", str(file), "--results", str(tmp_path / "results")])
        assert main() == 2
        assert "go on with `python benchmarks/tiny_table.py`" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
