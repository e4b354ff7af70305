"""The benchmark of the forecast runs what it says and reads it right."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from recorded import ended, make_study

from search.config import resolve
from search.foreseen import FORECAST
from train_fn.config import find_dataset
from train_fn.storage import PROJECT, Paths, write_json
from train_fn.values import parse_sets


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def test_there_are_ten_cases_and_more_and_their_settings_exist() -> None:
    from forecast_error import CASES

    assert len(CASES) >= 10
    assert len({case.name for case in CASES}) == len(CASES)
    searches = [case for case in CASES if not case.of]
    for case in searches:
        words = case.words.split()
        sets = [value for word, value in pairwise(words) if word == "--set"]
        resolve(find_dataset("sample"), parse_sets(sets), {})
    assert {case.of for case in CASES if case.of} <= {case.name for case in searches}


def test_a_case_is_read_from_the_record_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast_error import CASES, measure

    case, commands = CASES[0], []

    def run(words: list[str], **about: Any) -> "subprocess.CompletedProcess[str]":
        commands.append(words)
        study = make_study(tmp_path / "output" / "studies" / case.name, [ended(0, 0.5), ended(1, 0.4)])
        ends = {"forecast_seconds_low_5_percent": 90, "forecast_seconds_high_95_percent": 110}
        told = {"forecast_seconds": 100, "actual_seconds": 105, "relative_error": 0.05, **ends}
        write_json(study.folder / FORECAST, told)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    row = measure(case, Paths(tmp_path / "output"))
    assert commands[0][:2] == [sys.executable, str(PROJECT / "search" / "tune.py")]
    assert "forecast=always" in commands[0]
    assert row["inside"]
    assert row["relative_error"] == 0.05
    assert row["own_seconds_of_the_runs"] == 2 * 240


def test_a_case_that_fails_shows_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast_error import CASES, measure

    done = subprocess.CompletedProcess([], 2, "", "error: no space left")
    monkeypatch.setattr(subprocess, "run", lambda *words, **about: done)
    with pytest.raises(RuntimeError, match="no space left"):
        measure(CASES[0], Paths(tmp_path / "output"))
