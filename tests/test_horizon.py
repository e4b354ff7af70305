"""The learning rate of a promotion: from which trials it is proposed, how far it moves, and what is recorded."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from promoting import Killed, Place, Trainer, chosen_from, ended, selection, study

from search.choice import Choice
from search.horizon import Horizon, look_ahead, observations
from search.record import TrialRecord
from search.selection import Selection
from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.storage import Paths, read_json

STEPS = {2_000: 63, 20_000: 625}  # by train rows, at 32 a step


def sweep(optimum: float, count: int = 12) -> list[TrialRecord]:
    """Trials of a quadratic in the log learning rate, the best of them within 3 % of `optimum`."""
    rates = np.append(np.geomspace(5e-5, 2e-3, count - 1), optimum).tolist()
    noise = 1e-4 * np.random.default_rng(count).standard_normal(count)
    losses = [0.5 + 0.02 * math.log(rate / optimum) ** 2 for rate in rates]
    return [
        ended(number, loss + error, point=(rate, 16, 32.0))
        for number, (rate, loss, error) in enumerate(zip(rates, losses, noise, strict=True))
    ]


def law(paths: Paths, exponent: float) -> Choice:
    """Two studies of that exponent; the larger one's winner has the learning rate 4e-4."""
    small = 4e-4 * (STEPS[2_000] / STEPS[20_000]) ** exponent
    study(paths, "small", sweep(small), rows=2_000)
    study(paths, "large", sweep(4e-4), rows=20_000)
    return chosen_from(paths, "large")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of(tmp_path / "output")


def moving(
    paths: Paths, exponent: float = -0.32, rows: int = 2_000_000, top: int = 1, **promotion: Any
) -> Selection:
    """A promotion of the larger study's winner to that many rows, which are 100 times its steps."""
    return selection(law(paths, exponent), paths, top, transfer=True, rows=rows, **promotion)


def horizon_of(chosen: Selection) -> Horizon:
    assert chosen.horizon
    return chosen.horizon


def test_trials_of_other_sizes_and_seeds_count_and_those_of_other_trainings_do_not(paths: Paths) -> None:
    choice = law(paths, -0.2)
    study(paths, "again", sweep(3e-4, 6), rows=2_000, seed=7, max_rows=2_000, lora_rank=8, learning_rate=2e-4)
    study(paths, "kept", sweep(3e-4, 5), rows=2_000, wandb_log_model="none", keep_checkpoints=3)
    study(paths, "longer", sweep(3e-4), epochs=2)
    study(paths, "model", sweep(3e-4), model="other/model")
    study(paths, "stopped", [ended(0, 0.1, "PRUNED"), ended(1, None, "FAILED")], seed=8)
    found = observations(paths, choice)
    assert {(each.size, each.steps) for each in found} == {
        ("small, 2,000 rows", 63),
        ("large, 20,000 rows", 625),
        ("again, 2,000 rows", 63),
        ("kept, 2,000 rows", 63),
    }
    assert len(found) == 12 + 12 + 6 + 5


def test_the_winners_rate_moves_with_the_exponent_of_the_studies(paths: Paths) -> None:
    chosen = moving(paths, -0.2, 200_000)
    horizon = horizon_of(chosen)
    assert (horizon.study_steps, horizon.target_steps, horizon.observations) == (625, 6_250, 24)
    assert horizon.fit.exponent == pytest.approx(-0.2, abs=0.02)
    moved = horizon.move(chosen.candidates[0].params.learning_rate)
    assert moved.proposed == pytest.approx(4e-4 * 10**horizon.fit.exponent, rel=0.001)
    low, high = horizon.fit.exponent_interval
    assert moved.interval == pytest.approx((moved.copied * 10**low, moved.copied * 10**high))
    told = horizon.sentence(moved)
    assert "0.63 times the 4.00e-04 of 625 steps" in told
    assert re.search(r"\d trials of 63 steps \(small, 2,000 rows\) and 1\d trials of 625 steps", told)


def test_a_near_move_is_taken_without_a_run_and_recorded(paths: Paths) -> None:
    chosen, place, trainer = moving(paths, -0.2, 200_000), Place(paths), Trainer(lambda _: 0.5)
    job = place.settle(chosen, trainer)
    assert trainer.ran == []
    found = read_json(place.run.folder / "learning_rate.json")
    assert job.train.learning_rate == found["taken"] == found["proposed"]
    assert found["copied"] == pytest.approx(4e-4)
    assert found["horizon"]["observations"] == 24
    assert [(each["steps"], each["trials"]) for each in found["horizon"]["sizes"]] == [(625, 12), (63, 12)]
    assert found["probe"] == []
    lineage = chosen.lineage(place.run)
    assert lineage["learning_rate"] == found
    assert lineage["params"] == {"learning_rate": found["taken"], "lora_rank": 16, "lora_alpha": 32.0}
    assert "rungs" not in lineage
    assert place.said == [f"rate     {found['sentence']}"]


def far(train: TrainConfig) -> float:
    """The best of a probe's rates is the middle one."""
    return abs(math.log(train.learning_rate / 3.1e-4))


def test_a_far_move_is_probed_and_the_best_of_three_is_taken(paths: Paths) -> None:
    chosen, place, trainer = moving(paths), Place(paths), Trainer(far)
    job = place.settle(chosen, trainer)
    found = read_json(place.run.folder / "learning_rate.json")
    assert found["proposed"] < found["copied"] / 3
    rates = [row["learning_rate"] for row in found["probe"]]
    exponent = horizon_of(chosen).fit.exponent
    assert rates == pytest.approx([4e-4 * 5 ** (share * exponent) for share in (0, 0.5, 1)], rel=0.01)
    assert [job.train.learning_rate for job in trainer.jobs] == rates
    assert {job.train.max_rows for job in trainer.jobs} == {100_000}
    assert found["taken"] == job.train.learning_rate == found["probe"][1]["full_run_learning_rate"]
    assert found["taken"] == pytest.approx(4e-4 * 100 ** (exponent / 2), rel=0.01)
    assert [row["loss"] for row in found["probe"]] == [far(job.train) for job in trainer.jobs]
    assert any(line.startswith("probe    3 learning rates on 5 %") for line in place.said)
    assert any(line.startswith("cost     15.0 %") for line in place.said)
    assert not (place.run.folder / "rungs.json").exists()


@pytest.mark.parametrize("dies", [1, 2, 3])
def test_a_killed_probe_goes_on_with_what_the_studies_said_at_its_start(paths: Paths, dies: int) -> None:
    chosen, place = moving(paths), Place(paths)
    killed, rest = Trainer(far, dies=dies), Trainer(far)
    with pytest.raises(Killed):
        place.settle(chosen, killed)
    study(paths, "new", sweep(1e-4), rows=200_000)
    later = selection(chosen.choice, paths, 1, transfer=True, rows=2_000_000)
    assert horizon_of(later).fit.exponent != horizon_of(chosen).fit.exponent
    job = place.settle(later, rest)
    assert len({*killed.ran, *rest.ran}) == 3
    assert len(killed.ran[:-1] + rest.ran) == 3
    assert job.train.learning_rate == pytest.approx(horizon_of(chosen).probe(4e-4, 3_125)[1][1])


def test_a_probe_as_long_as_the_search_tells_nothing_and_is_not_run(paths: Paths) -> None:
    """Of a law that is exactly true, the probe would find the searched rate and the full run's not."""
    chosen = moving(paths, rungs=(0.01,))
    assert horizon_of(chosen).target_steps == 62_500
    place, trainer = Place(paths), Trainer(far)
    job = place.settle(chosen, trainer)
    assert trainer.ran == []
    assert job.train.learning_rate == pytest.approx(4e-4 / 3)
    assert "differs in length from the search" in place.said[-1]


def test_a_far_move_that_cannot_be_probed_is_held_at_three_times(paths: Paths) -> None:
    chosen, place, trainer = moving(paths, max_extra_cost=0.1), Place(paths), Trainer(far)
    job = place.settle(chosen, trainer)
    assert trainer.ran == []
    assert job.train.learning_rate == pytest.approx(4e-4 / 3)
    assert (
        "that fits max_extra_cost and differs in length from the search would tell: held at 1.33e-04"
        in place.said[-1]
    )
    rising = horizon_of(chosen)
    fit = rising.fit.model_copy(update={"exponent": 0.3})
    up = rising.model_copy(update={"fit": fit})
    assert up.far
    assert up.move(4e-4).held == pytest.approx(12e-4)


def test_rungs_and_a_probe_share_the_bound_and_the_run_of_the_copied_rate(paths: Paths) -> None:
    # The larger study's best three and its default; all but the rate is equal in them.
    chosen, place, trainer = moving(paths, top=3), Place(paths), Trainer(far)
    place.settle(chosen, trainer)
    assert len(trainer.ran) == 6
    assert any("held at" in line for line in place.said)
    roomy, other = (
        selection(chosen.choice, paths, 3, transfer=True, rows=2_000_000, max_extra_cost=0.3),
        Trainer(far),
    )
    again = Place(Paths.of(paths.output / "roomy"))
    again.settle(roomy, other)
    assert len(other.ran) == 6 + 2
    found = read_json(again.run.folder / "learning_rate.json")
    assert found["copied"] == read_json(again.run.folder / "rungs.json")["chosen"]["params"]["learning_rate"]
    assert found["probe"][0]["loss"] == far(other.jobs[4].train)


def test_one_size_moves_nothing_and_says_why(paths: Paths) -> None:
    study(paths, "large", sweep(4e-4), rows=20_000)
    chosen = selection(chosen_from(paths, "large"), paths, 1, transfer=True, rows=2_000_000)
    place, trainer = Place(paths), Trainer(far)
    assert place.settle(chosen, trainer).train.learning_rate == pytest.approx(4e-4)
    assert trainer.ran == []
    assert "one horizon says nothing about another" in place.said[-1]


def test_too_few_trials_are_refused(paths: Paths) -> None:
    study(paths, "lone", sweep(4e-4)[-1:], rows=2_000)
    with pytest.raises(InputError, match="search more, or copy the learning rate"):
        look_ahead(paths, chosen_from(paths, "lone"), 1_000)


def test_a_target_without_a_step_is_refused(paths: Paths) -> None:
    with pytest.raises(InputError, match="at least one step"):
        look_ahead(paths, law(paths, 0.0), 0)
