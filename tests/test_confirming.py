"""Confirmations with real Ray, Tune and Optuna, around a training that a formula stands in for (fake_trial.py)."""

import os
import signal
from pathlib import Path

import pytest
from fake_trial import config_of, loss_at, search_fake
from test_runner import optuna_view, rows_of, start, starts, wait_for

from search.draw import draw
from search.study import Study
from train_fn.storage import read_json, read_lines

SEARCH = {"confirm_seeds": 2, "grace_percent": 100}  # no trial is stopped
LUCK = {"0": 5.0, "1": -5.0, "4": -9.0}  # of the study's seed alone: trial 1 seems best, the default worst


@pytest.fixture(autouse=True)
def _workers_find_fake_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


def made(study: Study) -> list[tuple[int, int, str]]:
    return [(record.number, record.seed, record.status) for record in study.reruns()]


def true_losses(study: Study) -> dict[int, float]:
    return {record.number: loss_at(record.params.model_dump(), 100) for record in study.records()}


@pytest.mark.slow
def test_a_search_confirms_its_best_in_the_same_worker_and_again_when_it_is_extended(tmp_path: Path) -> None:
    study = Study(tmp_path / "fake")
    plan = {"luck": LUCK, "wrong": {"2-43": "nan"}}
    assert search_fake(study.folder, 4, plan, **SEARCH).interrupted == ""
    first = [(0, 43), (1, 43), (2, 43), (3, 43), (0, 44), (1, 44), (3, 44)]
    assert made(study) == [(n, s, "FAILED" if n == 2 else "COMPLETE") for n, s in first]
    for record in study.reruns():
        if record.status == "COMPLETE":
            assert [percent for percent, _ in record.curve] == list(range(10, 101, 10))
    begun = [starts(study, n) for n in range(4)] + [starts(study, n, seed) for n, seed in first]
    assert all(len(times) == 1 for times in begun)
    assert len({times[0]["pid"] for times in begun}) == 1
    order = [times[0]["time"] for times in begun]
    assert order == sorted(order)
    assert [state for _, state, _ in optuna_view(study)] == ["COMPLETE"] * 4

    losses, best = true_losses(study), read_json(study.folder / "best.json")
    winner = min((0, 1, 3), key=lambda number: losses[number])
    assert min(study.records(), key=lambda record: record.value).number == 1
    assert (best["number"], best["confirmed"]["candidates"]) == (winner, [0, 1, 3])
    assert best["sentence"].endswith("Trial 2 dropped out: nan loss.")

    rows = (study.folder / "confirm.jsonl").read_text()
    search_fake(study.folder, 5, plan, **SEARCH)
    assert (study.folder / "confirm.jsonl").read_text().startswith(rows)
    assert {(n, seed) for n, seed, _ in made(study)} >= {(4, 43), (4, 44)}
    assert all(len(starts(study, n, seed)) == 1 for n, seed, _ in made(study))
    records = study.records()
    config = config_of(5, **SEARCH)
    assert records[4].params == draw(
        config.search, config.train.seed, 4, records[:4], []
    )  # the model knows no rerun
    assert len(optuna_view(study)) == 5
    best = read_json(study.folder / "best.json")
    judged = best["confirmed"]["candidates"]
    assert {0, 1, 4} <= set(judged)
    assert best["number"] == min(judged, key=lambda number: true_losses(study)[number])
    before = (study.folder / "best.json").read_bytes()
    search_fake(study.folder, 5, plan, **SEARCH)  # there is nothing left to do
    assert (study.folder / "best.json").read_bytes() == before


@pytest.mark.slow
def test_a_confirmation_that_is_killed_and_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    study, search = Study(tmp_path / "fake"), {"confirm_seeds": 1, "grace_percent": 100}
    slow = {
        "seconds": 1.0
    }  # a killed search's worker lives on for seconds, and must not end its trial in them
    process = start(study.folder, 2, slow, **search)
    wait_for(lambda: rows_of(study, 0, 43) >= 2, process)
    trials = (study.folder / "trials.jsonl").read_bytes()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert "2 of 2 runs are missing" in read_json(study.folder / "best.json")["sentence"]

    process = start(study.folder, 2, slow, **search)
    wait_for(lambda: rows_of(study, 1, 43) >= 1, process)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert "SIGTERM came" in out, error
    assert made(study) == [(0, 43, "COMPLETE")]

    search_fake(study.folder, 2, {}, **search)
    assert made(study) == [(0, 43, "COMPLETE"), (1, 43, "COMPLETE")]
    assert (study.folder / "trials.jsonl").read_bytes() == trials
    assert [len(starts(study, n)) for n in range(2)] == [1, 1]
    assert [len(starts(study, n, 43)) for n in range(2)] == [2, 2]
    for record in study.reruns():
        assert [percent for percent, _ in record.curve] == list(range(10, 101, 10))
        curve = read_lines(study.folder_of(record) / "curve.jsonl")
        assert [row["progress"] for row in curve] == list(range(10, 100, 10))  # each once, across the stops
    losses = true_losses(study)
    assert read_json(study.folder / "best.json")["number"] == min(losses, key=lambda number: losses[number])
