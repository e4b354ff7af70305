"""Which candidate a promotion takes by rungs, and that a kill changes nothing of it."""

from pathlib import Path

import numpy as np
import pytest
from promoting import POINTS, TRAIN, Killed, Place, Trainer, chosen_from, ended, selection, study, trials

from search.choice import ranked
from search.confirm import Confirmed
from search.selection import Selection
from train_fn.config import TrainConfig
from train_fn.contamination import Overlap, left_out_file, scored_rows, write_left_out
from train_fn.errors import InputError
from train_fn.storage import Paths, read_json
from train_fn.values import read_yaml

SMALL, LARGE = 800, 4_000  # 1 % and 5 % of the rows


def swapped(train: TrainConfig) -> float:
    """Trial 3, the search's best, is the best on 1 % and the worst on more."""
    order = {3e-4: 0.3, 2e-4: 0.2, 1e-4: 0.5}
    return order.get(train.learning_rate, 0.1 if train.max_rows == SMALL else 0.9)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of(tmp_path / "output")


@pytest.fixture
def top(paths: Paths) -> Selection:
    """`--top 3`: trials 3, 1, 2 and the default."""
    study(paths, "s", trials())
    return selection(chosen_from(paths, "s"), paths)


def test_candidates_are_ranked_by_fresh_seeds_first_and_the_default_is_one(paths: Paths) -> None:
    pruned = ended(0, 0.05, "PRUNED", point=POINTS[0])
    made = study(paths, "s", [pruned, *trials()[1:], ended(5, None, "FAILED")])
    choice = chosen_from(paths, "s")
    assert [each.number for each in ranked(choice)] == [3, 1, 2, 4, 0]
    assert ranked(choice)[-1].value is None
    confirmed = Confirmed(winner=2, sentence="-", candidates=(0, 2, 3), seeds=(43,), means=(0.6, 0.2, 0.3))
    again = ranked(type(choice)(made, choice.config, choice.trial, "-", confirmed))
    assert [(each.number, each.value) for each in again] == [(2, 0.2), (3, 0.3), (0, 0.6), (1, 0.2), (4, 0.4)]


def test_the_best_on_more_rows_is_promoted_and_the_default_is_tried_once(
    top: Selection, paths: Paths
) -> None:
    assert [each.number for each in top.candidates] == [3, 1, 2, 0]
    place, trainer = Place(paths), Trainer(swapped)
    job = place.settle(top, trainer)
    assert trainer.ran == [
        "0003-lr0.0004-0.01",
        "0001-lr0.0002-0.01",
        "0002-lr0.0003-0.01",
        "0000-lr0.0001-0.01",
        "0003-lr0.0004-0.05",
        "0001-lr0.0002-0.05",
    ]
    assert (job.train.learning_rate, job.train.lora_rank, job.train.lora_alpha) == POINTS[1]
    assert (job.train.max_rows, job.folder, job.kind) == (None, place.run.folder, "full")
    assert read_yaml(place.run.folder / "config.yaml")["train"] == job.train.model_dump(mode="json")
    assert job.tracking
    assert job.tracking.config["learning_rate"] == POINTS[1][0]
    assert job.tracking.config["trial_id"] == "s-0001"


def test_all_runs_of_a_rung_differ_in_the_candidate_alone(top: Selection, paths: Paths) -> None:
    trainer = Trainer(swapped)
    Place(paths).settle(top, trainer)
    free = {"learning_rate", "lora_rank", "lora_alpha"}
    kinds = [job.train.model_dump_json(exclude=free) for job in trainer.jobs]
    assert len(set(kinds[:4])) == len(set(kinds[4:])) == 1
    assert [job.train.max_rows for job in trainer.jobs] == 4 * [SMALL] + 2 * [LARGE]
    for job in trainer.jobs:
        assert job.kind == "rung"
        assert (job.train.evaluations, job.train.eval_before_rows, job.train.eval_rows) == (2, 0, 100)
        assert (job.train.warmup_ratio, job.train.epochs, job.train.seed) == (0.05, 1, 42)
        assert job.tracking
        assert job.tracking.job_type == "rung"
        assert job.tracking.config["trial_id"] == f"s-{job.folder.name[:4]}"
        assert job.tracking.config["learning_rate"] == job.train.learning_rate
    assert len({job.tracking.id for job in trainer.jobs if job.tracking}) == 6


def test_the_plan_and_its_cost_are_said_before_the_first_run_and_recorded(
    top: Selection, paths: Paths
) -> None:
    place, trainer = Place(paths), Trainer(swapped, dies=1)
    with pytest.raises(Killed):
        place.settle(top, trainer)
    cost = next(line for line in place.said if line.startswith("cost"))
    found = read_json(place.run.folder / "rungs.json")
    assert cost.startswith(f"cost     {100 * found['cost']:.1f} % of the full run")
    assert 0.14 < found["cost"] < 0.16
    # 80,000 rows of 3 passes; 10 evaluations of 100 rows, before 2 x 1,000, after 2 x 1,000.
    full = 240_000 + 1_000 + 2_000 + 2_000
    assert found["cost"] == pytest.approx((4 * (3 * SMALL + 200) + 2 * (3 * LARGE + 200)) / full)
    assert "chosen" not in found
    place.settle(top, Trainer(swapped))
    found = read_json(place.run.folder / "rungs.json")
    first, last = found["rungs"]
    assert [(row["trial"], row["loss"], row["went_on"]) for row in first] == [
        (3, 0.1, True),
        (1, 0.2, True),
        (2, 0.3, False),
        (0, 0.5, False),
    ]
    assert [(row["trial"], row["loss"], row["went_on"]) for row in last] == [(1, 0.2, True), (3, 0.9, False)]
    assert {row["rows"]: row["steps"] for row in (*first, *last)} == {SMALL: 25, LARGE: 125}
    assert {row["seconds"] for row in first} == {1.5}
    assert found["chosen"]["trial_id"] == "s-0001"
    assert found["sentence"].startswith("trial 1 goes on to the full run: log loss 0.2000 on 5 %")
    assert found["sentence"].endswith("against 0.9000 of trial 3; the search had it at place 2 of 4")
    lineage = top.lineage(place.run)
    assert (lineage["trial"], lineage["value"], lineage["reason"]) == (1, 0.2, found["sentence"])
    assert lineage["params"] == {"learning_rate": 2e-4, "lora_rank": 8, "lora_alpha": 16.0}
    assert lineage["rungs"] == {"file": "rungs.json", "cost": found["cost"]}


@pytest.mark.parametrize("dies", range(1, 7))
def test_killed_at_any_run_the_same_command_runs_what_is_left_and_chooses_the_same(
    top: Selection, paths: Paths, dies: int
) -> None:
    place, killed, rest = Place(paths), Trainer(swapped, dies=dies), Trainer(swapped)
    with pytest.raises(Killed):
        place.settle(top, killed)
    job = place.settle(top, rest)
    assert killed.ran[:-1] + rest.ran == [*dict.fromkeys(killed.ran + rest.ran)]
    assert len(killed.ran[:-1] + rest.ran) == 6
    assert job.train.learning_rate == 2e-4
    third = Trainer(swapped)
    assert place.settle(top, third) == job
    assert third.ran == []


def test_a_half_done_run_refuses_another_top_and_a_plain_promotion(top: Selection, paths: Paths) -> None:
    place = Place(paths)
    with pytest.raises(Killed):
        place.settle(top, Trainer(swapped, dies=2))
    choice = top.choice
    for other in (
        selection(choice, paths, 2),
        selection(choice, paths, 1),
        selection(choice, paths, 3, transfer=True),
        selection(choice, paths, 3, rungs=(0.02, 0.05)),
    ):
        with pytest.raises(InputError, match="unfinished run of other settings"):
            place.settle(other, Trainer(swapped))
    assert place.settle(selection(choice, paths, 3, workers=2), Trainer(swapped)).train.learning_rate == 2e-4


def test_another_top_of_the_same_candidates_is_refused_too(top: Selection, paths: Paths) -> None:
    four, five = (selection(top.choice, paths, count, max_extra_cost=1) for count in (4, 5))
    assert four.candidates == five.candidates
    Place(paths).settle(four, Trainer(swapped))
    with pytest.raises(InputError, match="top: 4 in the folder, 5 now"):
        Place(paths).settle(five, Trainer(swapped))


def test_a_plain_promotion_has_nothing_to_find_and_its_settings_stay_as_they_were(
    top: Selection, paths: Paths
) -> None:
    plain, place, trainer = selection(top.choice, paths, 1), Place(paths), Trainer(swapped)
    assert list(plain.settings.items()) == [
        ("study", "s"),
        ("trial_id", "s-0003"),
        ("promotion", {"workers": 1, "cpus_per_worker": None, "max_failures": 3}),
    ]
    job = place.settle(plain, trainer)
    assert (trainer.ran, place.said) == ([], [])
    assert job.train == plain.target.train
    about = ["study", "trial_id", "trial", "reason", "value", "params", "search", "default"]
    assert list(plain.lineage(place.run)) == about


def test_a_candidate_that_diverges_drops_out_and_is_not_run_again(top: Selection, paths: Paths) -> None:
    def diverging(train: TrainConfig) -> float:
        return float("nan") if train.learning_rate == 4e-4 else swapped(train)

    place, trainer = Place(paths), Trainer(diverging)
    assert place.settle(top, trainer).train.learning_rate == 2e-4
    assert trainer.ran[4:] == ["0001-lr0.0002-0.05", "0002-lr0.0003-0.05"]
    row = read_json(place.run.folder / "rungs.json")["rungs"][0][-1]
    assert (row["trial"], row["loss"], row["went_on"], row["cause"]) == (
        3,
        None,
        False,
        "nan loss (at step 3)",
    )
    again = Trainer(diverging)
    place.settle(top, again)
    assert again.ran == []


def test_a_run_without_an_end_stops_the_command(top: Selection, paths: Paths) -> None:
    def broken(train: TrainConfig) -> float:
        raise InputError("the run must end with a result, but: the worker died")

    with pytest.raises(InputError, match="the worker died"):
        Place(paths).settle(top, Trainer(broken))


def test_rows_that_are_left_out_of_the_full_runs_scores_are_left_out_of_theirs(
    top: Selection, paths: Paths
) -> None:
    place, trainer = Place(paths), Trainer(swapped)
    left_out = {"validation": np.array([3]), "test": np.array([0, 1])}
    write_left_out(Overlap(left_out, {}, {}), place.run.folder)
    place.settle(top, trainer)
    for job in trainer.jobs:
        assert scored_rows("validation", 5, left_out_file(job.folder)).tolist() == [0, 1, 2, 4]


def test_more_candidates_than_complete_trials_are_refused(top: Selection, paths: Paths) -> None:
    with pytest.raises(InputError, match="--top 6 needs as many complete trials, but study s has 5"):
        selection(top.choice, paths, 6, max_extra_cost=9)
    study(paths, "lone", [trials()[0]])
    with pytest.raises(InputError, match="study lone has 1"):
        selection(chosen_from(paths, "lone"), paths, 2)
    study(paths, "failed", [ended(0, None, "FAILED"), ended(1, None, "FAILED")])
    with pytest.raises(InputError, match="no complete trial yet"):
        chosen_from(paths, "failed")


def test_too_few_steps_are_warned_of(top: Selection, paths: Paths) -> None:
    small = selection(top.choice, paths, 3, rows=16_000)
    place = Place(paths)
    place.settle(small, Trainer(lambda train: 0.5))
    (warning,) = [line for line in place.said if line.startswith("warning")]
    assert "5 steps on 1 %" in warning
    assert place.said.index(warning) < next(
        at for at, line in enumerate(place.said) if line.startswith("run ")
    )


def test_rows_that_may_not_be_scored_cost_nothing(top: Selection) -> None:
    assert top.target.size(0.01).cost > 0.01
    fewer = type(top.target)(TRAIN, 80_000, {"validation": 10, "test": 10})
    assert fewer.size(0.01).cost == pytest.approx((3 * SMALL + 20) / (240_000 + 10 * 10 + 4 * 10))
