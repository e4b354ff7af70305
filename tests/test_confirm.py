"""The confirmation: what is planned, what becomes of its runs, and which trial wins, without Ray."""

import math
from pathlib import Path

import numpy as np
import pytest
from fake_trial import config_of
from recorded import ended, make_study

from search.choice import find_best
from search.confirm import plan
from search.record import LOCK, Rerun, record_of
from search.sampler import StudySearch
from search.scheduler import Asha
from search.study import Study
from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.storage import LOSSES, RELATED, Paths, read_json, write_json

SEARCH = config_of(5, confirm_seeds=2).search
FIVE = [0.40, 0.30, 0.35, 0.50, 0.33]  # of trials 0 to 4; the best three are 1, 4 and 2


def five(folder: Path, losses: list[float] = FIVE, seeds: int = 2, trials: int = 5) -> Study:
    return make_study(
        folder, [ended(*item) for item in enumerate(losses)], config_of(trials, confirm_seeds=seeds)
    )


def rerun(study: Study, number: int, seed: int, loss: float, cause: str = "", rows: int = 60) -> None:
    """Record one run of the confirmation, with a loss a row."""
    run = study.ask_again(number, seed)
    status = "FAILED" if cause else "COMPLETE"
    noise = np.random.default_rng([number, seed]).normal(0, 0.01, rows)
    np.save(study.folder_of(run) / LOSSES, (loss + noise - noise.mean()).astype(np.float32))
    study.end(record_of(run, [{"progress": 100, "objective": loss, "seconds": 2.0}], status, cause))


def confirm(study: Study, means: dict[int, float]) -> None:
    for number, seed in study.confirmation().missing:
        rerun(study, number, seed, means[number] + 0.01 * (seed - 43))


def test_the_best_three_and_the_default_have_the_same_fresh_seeds() -> None:
    records = [ended(*item) for item in enumerate(FIVE)]
    runs = plan(records, SEARCH, 42)
    assert runs == [(n, seed) for seed in (43, 44) for n in (0, 1, 2, 4)]
    assert plan(list(reversed(records)), SEARCH, 42) == runs
    assert plan(records, SEARCH.model_copy(update={"confirm_seeds": 3}), 42)[: len(runs)] == runs
    assert {seed for _, seed in plan(records, SEARCH, 2**31 - 1)} == {0, 1}


def test_a_default_among_the_best_is_run_once_and_one_that_failed_is_run_too() -> None:
    best = [ended(*item) for item in enumerate([0.1, 0.3, 0.35, 0.5])]
    assert {number for number, _ in plan(best, SEARCH, 42)} == {0, 1, 2}
    failed = [
        ended(0, None, "FAILED", came=0, cause="nan loss"),
        ended(1, 0.3),
        ended(2, 0.2, "PRUNED", came=30),
    ]
    assert {number for number, _ in plan(failed, SEARCH, 42)} == {0, 1}


def test_there_is_no_plan_without_seeds_or_without_another_candidate(tmp_path: Path) -> None:
    records = [ended(*item) for item in enumerate(FIVE)]
    assert plan(records, SEARCH.model_copy(update={"confirm_seeds": 0}), 42) == []
    assert plan([ended(0, 0.4), ended(1, 0.2, "PRUNED", came=30)], SEARCH, 42) == []
    study = make_study(tmp_path / "s", [ended(1, 0.3)], config_of(2, confirm_seeds=2))
    assert study.confirmation().missing == []  # trial 0 has not ended yet


def test_the_winner_is_chosen_by_the_fresh_seeds_alone(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    before = read_json(study.folder / "best.json")
    assert (before["number"], before["confirmed"]) == (1, None)
    assert "not confirmed on fresh seeds: 8 of 8 runs are missing" in before["sentence"]
    confirm(study, {0: 0.40, 1: 0.45, 2: 0.34, 4: 0.36})
    best = read_json(study.folder / "best.json")
    assert (best["number"], best["trial_id"], best["value"]) == (2, "s-0002", 0.35)
    confirmed = best["confirmed"]
    assert (confirmed["winner"], confirmed["verdict"]) == (2, "BETTER")
    assert (confirmed["candidates"], confirmed["seeds"], confirmed["rows"]) == ([0, 1, 2, 4], [43, 44], 60)
    assert confirmed["means"] == pytest.approx([0.405, 0.455, 0.345, 0.365], abs=1e-6)
    assert confirmed["difference"] == pytest.approx(-0.06, abs=1e-6)
    assert confirmed["low"] < -0.06 < confirmed["high"] < 0
    assert best["sentence"] == confirmed["sentence"]
    assert best["sentence"].startswith(
        "Trial 2 is clearly better than the default: log loss 0.3450 against 0.4050"
    )


def test_the_default_may_win(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    confirm(study, {0: 0.30, 1: 0.45, 2: 0.34, 4: 0.36})
    best = read_json(study.folder / "best.json")
    assert (best["number"], best["confirmed"]["verdict"]) == (0, "DEFAULT")


def test_a_promotion_takes_the_confirmed_winner_and_says_why(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path)
    study = five(paths.studies / "s")
    model, spec = config_of(1).train.model, DatasetSpec(name="2M", hub_id="x/y")
    before = find_best(paths, model, spec)
    assert (before.trial.number, before.value) == (1, 0.30)
    assert "not confirmed" in before.reason
    confirm(study, {0: 0.40, 1: 0.45, 2: 0.34, 4: 0.36})
    best = find_best(paths, model, spec)
    assert best.trial.number == 2
    assert best.value == pytest.approx(0.345)
    assert "Trial 2 is clearly better than the default" in best.reason
    assert find_best(paths, model, spec, study="s").trial.number == 2
    assert find_best(paths, model, spec, study="s", trial=1).trial.number == 1


def test_a_default_that_won_can_be_promoted_though_its_trial_was_stopped(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path)
    records = [ended(0, 0.9, "PRUNED", came=30), ended(1, 0.3)]
    study = make_study(paths.studies / "s", records, config_of(2, confirm_seeds=2))
    confirm(study, {0: 0.2, 1: 0.5})
    model, spec = config_of(1).train.model, DatasetSpec(name="2M", hub_id="x/y")
    assert find_best(paths, model, spec).trial.number == 0
    assert find_best(paths, model, spec, study="s", trial=0).trial.number == 0


def test_a_candidate_whose_run_failed_drops_out_and_is_not_run_again(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    rerun(study, 2, 43, 0.1, cause="out of memory (2 GiB)")
    assert study.confirmation().missing == [(0, 43), (1, 43), (4, 43), (0, 44), (1, 44), (4, 44)]
    confirm(study, {0: 0.40, 1: 0.45, 4: 0.36})
    best = read_json(study.folder / "best.json")
    assert best["number"] == 4
    assert best["confirmed"]["candidates"] == [0, 1, 4]
    assert best["sentence"].endswith("Trial 2 dropped out: out of memory (2 GiB).")


@pytest.mark.parametrize(
    ("failing", "winner", "words"),
    [
        ((0,), 4, "Trial 4 has a mean log loss of 0.3600, but the default can"),
        ((1, 2, 4), 0, "The default has a mean log loss of 0.4000, but no other candidate can"),
        ((0, 1, 2, 4), 1, "No candidate came through its runs."),
    ],
)
def test_without_the_default_or_with_it_alone_there_is_no_verdict(
    failing: tuple[int, ...], winner: int, words: str, tmp_path: Path
) -> None:
    study = five(tmp_path / "s", seeds=1)
    for number in failing:
        rerun(study, number, 43, 0.1, cause="nan loss")
    confirm(study, {0: 0.40, 1: 0.45, 2: 0.37, 4: 0.36})
    best = read_json(study.folder / "best.json")
    assert best["number"] == winner
    assert best["confirmed"]["verdict"] is None
    assert words in best["sentence"]
    assert best["sentence"].count("dropped out: nan loss") == len(failing)


def test_more_trials_change_the_plan_and_runs_already_made_are_kept(tmp_path: Path) -> None:
    study = five(tmp_path / "s", trials=6)
    confirm(study, {0: 0.40, 1: 0.45, 2: 0.34, 4: 0.36})
    new = ended(5, 0.2)
    study.ask(5, new.params)
    study.end(new)
    best = read_json(study.folder / "best.json")
    assert (best["number"], best["confirmed"]) == (5, None)
    assert "2 of 8 runs are missing" in best["sentence"]
    assert study.confirmation().missing == [(5, 43), (5, 44)]
    confirm(study, {5: 0.5})
    best = read_json(study.folder / "best.json")
    assert best["confirmed"]["candidates"] == [0, 1, 4, 5]
    assert best["number"] == 4


def test_losses_that_were_cleared_away_leave_a_verdict_on_the_means(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    confirm(study, {0: 0.40, 1: 0.45, 2: 0.34, 4: 0.36})
    (study.trial_folder(2, 44) / LOSSES).unlink()
    study.write_best()
    best = read_json(study.folder / "best.json")
    assert (best["number"], best["confirmed"]["rows"]) == (2, None)


def test_related_rows_widen_the_interval_of_a_verdict(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    confirm(study, {0: 0.40, 1: 0.45, 2: 0.39, 4: 0.399})

    def width() -> float:
        confirmed = study.winner().confirmed
        return confirmed.high - confirmed.low

    for run in study.reruns():  # ten rows and their copies, the same on both seeds
        own = np.random.default_rng(run.number).normal(0.4, 0.1, 10)
        np.save(study.folder_of(run) / LOSSES, np.repeat(own, 6))
    untold = width()
    for run in study.reruns():
        np.save(study.folder_of(run) / RELATED, np.repeat(np.arange(10), 6))
    assert width() > 2 * untold


def test_what_a_killed_confirmation_left_goes_on_as_it_was_asked_for(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    half = study.ask_again(2, 43)
    assert isinstance(half, Rerun)
    assert half.trial_id == "s-0002-s43"
    with (study.folder / "confirm.jsonl").open("a") as file:
        file.write('{"half')
    study.repair()
    study.repair()
    assert study.reruns() == []
    assert len(study.records()) == 5
    assert study.ask_again(2, 43) == half


def row(percent: int, objective: float, **more: object) -> dict[str, object]:
    return {
        f"row/{key}": value for key, value in {"progress": percent, "objective": objective, **more}.items()
    }


def test_the_searcher_hands_out_each_run_once_and_tells_optuna_nothing(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    search = StudySearch(study, study.config(), lambda: False, {})
    before = len(search._ot_study.get_trials())
    given = {}
    for name in "abcdefgh":
        given[name] = search.suggest(name)
        assert given[name]["params"] == study.asked()[given[name]["number"]].params.model_dump()
    assert search.suggest("i") is None  # one of the eight may be given back
    runs = [(run["number"], run["seed"], run["confirm"]) for run in given.values()]
    assert runs == [(n, seed, True) for seed in (43, 44) for n in (0, 1, 2, 4)]
    search.on_trial_complete("c", error=True)  # its worker died before the run began
    assert search.suggest("c2") == given["c"]
    for name in ["a", "b", "c2", *"defgh"]:
        search.on_trial_result(name, row(50, 0.4))
        search.on_trial_complete(name, row(100, 0.3, status="COMPLETE"))
    assert search.suggest("i") == "FINISHED"
    assert len(study.reruns()) == 8
    assert len(study.records()) == 5
    assert len(search._ot_study.get_trials()) == before
    assert search._ot_trials == {}


@pytest.mark.parametrize("error", [False, True], ids=["CUDA error", "lost worker"])
def test_a_run_that_fails_by_its_machines_fault_is_tried_three_times_and_never_costs_its_candidate(
    tmp_path: Path, error: bool
) -> None:
    study, cause = five(tmp_path / "s"), "AcceleratorError: CUDA error: unspecified launch failure"
    causes = dict.fromkeys("abc", cause)
    search = StudySearch(study, study.config(), lambda: False, causes)
    for name in "abc":
        given = search.suggest(name)
        assert (given["number"], given["seed"]) == (0, 43)
        folder = study.trial_folder(0, 43)
        (folder / LOCK).touch()  # it began
        assert not (folder / "result.json").exists()  # which a worker would only tell again
        write_json(folder / "result.json", {"status": "FAILED"})
        failed = row(20, math.nan, status="FAILED", cause=cause)
        search.on_trial_complete(name, None if error else failed, error=error)
    assert search.suggest("d") == "FINISHED"
    assert isinstance(search.failure, InputError)
    assert f"3 times: {cause}; mend that" in str(search.failure)
    assert len(study.confirmation().missing) == 8


def test_a_run_that_is_tried_again_and_succeeds_is_one_of_the_confirmation(tmp_path: Path) -> None:
    study = five(tmp_path / "s")
    search = StudySearch(study, study.config(), lambda: False, {})
    for name, last in (
        ("a", row(20, math.nan, status="FAILED", cause="RuntimeError: NCCL")),
        ("b", row(100, 0.3, status="COMPLETE")),
    ):
        assert (search.suggest(name)["number"], study.reruns()) == (0, [])
        search.on_trial_complete(name, last)
    assert [(run.number, run.seed, run.status) for run in study.reruns()] == [(0, 43, "COMPLETE")]


@pytest.mark.parametrize(
    "last",
    [
        {"objective": math.nan, "status": "FAILED", "cause": "nan loss (at step 41)"},
        {"objective": math.nan, "status": "FAILED", "cause": "out of memory (2 GiB)"},
        {"objective": math.inf, "status": "COMPLETE"},
    ],
    ids=["nan", "memory", "inf"],
)
def test_a_run_that_fails_by_its_parameters_drops_its_candidate_at_once(
    tmp_path: Path, last: dict[str, object]
) -> None:
    study = five(tmp_path / "s")
    search = StudySearch(study, study.config(), lambda: False, {})
    search.suggest("a")
    search.on_trial_complete("a", row(100, **last))
    assert [run.status for run in study.reruns()] == ["FAILED"]
    assert 0 in study.confirmation().failed


def test_the_confirmation_waits_for_the_last_trial(tmp_path: Path) -> None:
    study = five(tmp_path / "s", trials=6)
    search = StudySearch(study, study.config(), lambda: False, {})
    assert search.suggest("a")["number"] == 5
    assert search.suggest("b") is None
    search.on_trial_complete("a", row(100, 0.2, status="COMPLETE"))
    assert search.suggest("b")["confirm"]
    assert {number for number, _ in study.confirmation().runs} == {0, 1, 4, 5}


def test_the_scheduler_lets_every_run_go_on_and_keeps_no_mark_of_it() -> None:
    class Of:
        def __init__(self, name: str, **config: object) -> None:
            self.trial_id, self.config = name, config

    asha = Asha(SEARCH, [ended(*item) for item in enumerate(FIVE)])

    def rungs() -> list[dict[str, float]]:
        return [dict(rung) for _, rung in asha._brackets[0]._rungs]

    before, trial, again = rungs(), Of("t"), Of("c", confirm=True)
    for one in (trial, again):
        asha.on_trial_add(None, one)
    for percent in (10, 30, 90):
        assert asha.on_trial_result(None, again, {"progress": percent, "objective": 9.0}) == "CONTINUE"
    asha.on_trial_complete(None, again, {"progress": 100, "objective": 9.0})
    assert rungs() == before
    assert asha.on_trial_result(None, trial, {"progress": 10, "objective": 9.0}) == "STOP"
