"""Searches with real Ray, Tune and Optuna around a training that a formula stands in for (fake_trial.py)."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_trial import config_of, loss_at, search_fake

from search.draw import draw
from search.record import TrialRecord
from search.study import Study
from train_fn.errors import InputError

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _workers_find_fake_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


def start(study: Path, trials: int, plan: dict[str, object], **search: object) -> "subprocess.Popen[str]":
    """The same search as a process of its own."""
    words = [str(study), str(trials), json.dumps(plan), json.dumps(search)]
    command = [sys.executable, "-m", "fake_trial", *words]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition: object, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 90
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def starts(study: Study, number: int, seed: int | None = None) -> list[dict[str, float]]:
    file = study.trial_folder(number, seed) / "starts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def rows_of(study: Study, number: int, seed: int | None = None) -> int:
    """How many rows a run has written."""
    file = study.trial_folder(number, seed) / "curve.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def optuna_view(study: Study) -> list[tuple[int, str, dict[int, float]]]:
    import optuna

    view = optuna.load_study(study_name=study.name, storage=f"sqlite:///{study.folder / 'optuna.db'}")
    return [(trial.number, trial.state.name, trial.intermediate_values) for trial in view.trials]


def check_record(study: Study, trials: int, **search: object) -> list[TrialRecord]:
    """What must hold of every finished study, whatever happened on the way."""
    records = study.records()
    assert sorted(record.number for record in records) == list(range(trials))
    assert len({record.params for record in records}) == trials
    assert [number for number, _, _ in optuna_view(study)] == list(range(trials))
    names = {"COMPLETE": "COMPLETE", "PRUNED": "PRUNED", "FAILED": "FAIL"}
    by_number = {record.number: record for record in records}
    assert [state for _, state, _ in optuna_view(study)] == [
        names[by_number[n].status] for n in range(trials)
    ]
    config = config_of(trials, **search)
    for number in range(1, trials):
        earlier = [record for record in records if record.number < number]
        assert by_number[number].params == draw(config.search, config.train.seed, number, earlier, [])
    best = json.loads((study.folder / "best.json").read_text())
    assert best["value"] == min(record.value for record in records if record.status == "COMPLETE")
    assert best["trials"] == trials
    return records


@pytest.mark.slow
def test_a_search_records_each_end_as_what_it_was_and_a_larger_number_extends_it(tmp_path: Path) -> None:
    study = Study(tmp_path / "fake")
    plan = {"wrong": {"1": "nan", "2": "raise"}}
    assert search_fake(study.folder, 6, plan, grace_percent=20).interrupted == ""
    first = check_record(study, 6)
    assert [record.status for record in first[:3]] == ["COMPLETE", "FAILED", "FAILED"]
    assert [record.cause for record in first[1:3]] == ["nan loss", "ValueError: bad luck"]
    workers = [{begin["pid"] for begin in starts(study, number)} for number in range(6)]
    assert (
        workers[0] == workers[1] == workers[2]
    )  # one warm worker, which a loss that is no number leaves whole
    assert workers[3] == workers[4] == workers[5] != workers[2]  # what raised may have broken its process
    assert all(len(pids) == 1 for pids in workers)
    pruned = [record for record in first if record.status == "PRUNED"]
    assert pruned
    for record in pruned:
        assert dict(record.curve) == optuna_view(study)[record.number][2]
        assert record.curve[-1][0] in (20, 60)  # stopped at a rung
        assert record.value == record.curve[-1][1]
        assert json.loads((study.trial_folder(record.number) / "stopped.json").read_text()) == "PRUNED"
    begun = [starts(study, record.number)[0]["time"] for record in first]
    times = [b - a for a, b in itertools.pairwise(begun)]
    # Own work is 0.5 s. In trial 0 the worker warms up, and trial 3 waits for a new one.
    assert max(times[1], *times[3:]) < 1.5, times

    rows = (study.folder / "trials.jsonl").read_text()
    search_fake(study.folder, 8, plan, grace_percent=20)
    check_record(study, 8)
    assert (study.folder / "trials.jsonl").read_text().startswith(rows)
    assert all(len(starts(study, number)) == 1 for number in range(8))


@pytest.mark.slow  # test_killed_search.py has the same with real training
def test_a_search_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    study, trials = Study(tmp_path / "fake"), 4
    slow = {"seconds": 0.3, "slow_write": 0.3}

    moments = [
        lambda: bool(starts(study, 0)),  # before the first result
        lambda: len(study.records()) >= 1 and rows_of(study, 1) >= 1,  # between two results
        lambda: len(study.records()) >= 2 and any((study.folder / "trials").glob("*/half.tmp")),  # in a write
    ]
    ended: dict[int, TrialRecord] = {}
    for moment in moments:
        process = start(study.folder, trials, slow)
        wait_for(moment, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        ended = {record.number: record for record in study.records()}

    process = start(study.folder, trials, slow)
    wait_for(lambda: len(starts(study, 1)) >= 3 or len(study.records()) > len(ended), process)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert "SIGTERM came" in out, error
    assert not study.stop_file.exists()

    search_fake(study.folder, trials, {})
    records = {record.number: record for record in check_record(study, trials)}
    for number, record in ended.items():
        assert records[number] == record  # what had ended was not touched
    for record in records.values():
        if record.status == "COMPLETE":
            curve = [
                (percent, loss_at(record.params.model_dump(), percent)) for percent in range(10, 101, 10)
            ]
            assert list(record.curve) == curve  # each evaluation once, though sent again after each kill
    assert len(starts(study, 0)) == 2  # the kill before its first result, and the end


@pytest.mark.slow
def test_a_lost_worker_costs_its_own_trial_and_no_other(tmp_path: Path) -> None:
    study = Study(tmp_path / "fake")
    search = {"hang_minutes": 0.05, "grace_percent": 90}
    search_fake(study.folder, 4, {"wrong": {"1": "die", "2": "hang"}}, **search)
    records = {record.number: record for record in check_record(study, 4, **search)}
    assert "worker process died" in records[1].cause
    assert "no sign of life" in records[2].cause
    assert [records[number].status for number in range(3)] == ["COMPLETE", "FAILED", "FAILED"]
    assert records[3].curve[-1][0] >= 90  # a new worker trained it, to the only rung or past it
    assert len({starts(study, number)[0]["pid"] for number in range(4)}) == 3


@pytest.mark.slow
def test_the_time_budget_leaves_the_running_trial_unfinished(tmp_path: Path) -> None:
    study = Study(tmp_path / "fake")
    outcome = search_fake(study.folder, 4, {"seconds": 30}, time_budget=6)
    assert outcome.interrupted == "the time budget is used up"
    assert [trial.number for trial in study.unfinished()] == [0]
    assert study.records() == []


def test_a_second_search_of_the_same_study_is_refused(tmp_path: Path) -> None:
    study = Study(tmp_path / "fake")
    with (
        study.locked(),
        pytest.raises(InputError, match=rf"process {os.getpid()}"),
        Study(study.folder).locked(),
    ):
        pass


@pytest.mark.slow
def test_a_machine_that_fails_every_trial_ends_the_search_and_costs_three(tmp_path: Path) -> None:
    study, wrong = Study(tmp_path / "fake"), {str(number): "raise" for number in range(2, 12)}
    with pytest.raises(InputError, match="the last 3 trials all failed: ValueError: bad luck"):
        search_fake(study.folder, 12, {"wrong": wrong}, grace_percent=100)
    assert [record.status for record in study.records()] == ["COMPLETE"] * 2 + ["FAILED"] * 3
    search_fake(study.folder, 8, {}, grace_percent=100)
    assert [record.status for record in study.records()][5:] == ["COMPLETE"] * 3
