"""What a study's folder keeps of its forecast and of the time it took."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search import foreseen
from search.foreseen import FORECAST, SITTINGS, Foreseen, settle, sitting
from search.report_extras import extras
from train_fn.storage import PROJECT, read_json, write_json

KILLED = """
import sys, time
from pathlib import Path
from search import foreseen
foreseen.TICK_SECONDS = 0.2
with foreseen.sitting(Path(sys.argv[1])):
    time.sleep(60)
"""


def kept(folder: Path, seconds: float = 100.0, trials: int = 20) -> None:
    Foreseen({"forecast_seconds": seconds}, {"trials": trials}).keep(folder)


def sat(folder: Path, **seconds: float) -> None:
    write_json(folder / SITTINGS, seconds)


def settled(folder: Path) -> list[str]:
    said: list[str] = []
    settle(folder, said.append)
    return said


def test_sittings_add_up_and_the_error_is_that_of_the_forecast(tmp_path: Path) -> None:
    kept(tmp_path)
    sat(tmp_path, monday=50.0, tuesday=40.0)
    assert settled(tmp_path) == ["forecast 0:01:40, took 0:01:30 (-10 %)"]
    told = read_json(tmp_path / FORECAST)
    assert told["actual_seconds"] == 90
    assert told["relative_error"] == pytest.approx(-0.1)


def test_a_command_that_goes_on_keeps_the_first_forecast(tmp_path: Path) -> None:
    kept(tmp_path, 100)
    sat(tmp_path, monday=60.0)
    kept(tmp_path, 50)  # of what is left
    assert read_json(tmp_path / FORECAST)["forecast_seconds"] == 100


def test_a_search_that_is_extended_is_judged_by_the_forecast_of_its_extension(tmp_path: Path) -> None:
    kept(tmp_path, 100)
    sat(tmp_path, monday=120.0)
    assert settled(tmp_path)
    kept(tmp_path, 200, trials=40)
    sat(tmp_path, monday=120.0, tuesday=210.0)
    assert settled(tmp_path) == ["forecast 0:03:20, took 0:03:30 (+5 %)"]


def test_a_search_is_settled_once(tmp_path: Path) -> None:
    kept(tmp_path)
    sat(tmp_path, monday=90.0)
    settled(tmp_path)
    before = (tmp_path / FORECAST).read_bytes()
    sat(tmp_path, monday=90.0, tuesday=500.0)  # more trials, without a forecast
    assert settled(tmp_path) == []
    assert (tmp_path / FORECAST).read_bytes() == before


def test_a_forecast_that_was_never_settled_goes_where_other_is_run_and_a_settled_one_stays(
    tmp_path: Path,
) -> None:
    kept(tmp_path, 100)
    sat(tmp_path, monday=30.0)
    Foreseen(scope={"trials": 20}).keep(tmp_path)
    assert settled(tmp_path)
    Foreseen(scope={"trials": 40}).keep(tmp_path)
    assert read_json(tmp_path / FORECAST)["actual_seconds"] == 30
    kept(tmp_path, 100, trials=30)
    Foreseen(scope={"trials": 40}).keep(tmp_path)
    assert settled(tmp_path) == []
    assert not (tmp_path / FORECAST).exists()


def test_without_a_forecast_nothing_is_written_or_said(tmp_path: Path) -> None:
    Foreseen().keep(tmp_path)
    assert settled(tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_a_sitting_stands_beside_the_earlier_ones(tmp_path: Path) -> None:
    sat(tmp_path, monday=50.0)
    with sitting(tmp_path):
        time.sleep(0.2)
    first, second = read_json(tmp_path / SITTINGS).values()
    assert first == 50
    assert 0.1 < second < 10


def test_a_sitting_that_is_killed_counts_up_to_its_last_tick(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    deadline = time.monotonic() + 60
    while not (tmp_path / SITTINGS).exists() or max(read_json(tmp_path / SITTINGS).values()) < 0.5:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0.5 <= sum(read_json(tmp_path / SITTINGS).values()) < 60


def test_a_full_disk_does_not_stop_a_sitting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(foreseen, "write_json", full)
    monkeypatch.setattr(foreseen, "TICK_SECONDS", 0.01)
    with sitting(tmp_path):
        time.sleep(0.1)


def test_the_report_shows_forecast_and_actual(tmp_path: Path) -> None:
    kept(tmp_path)
    sat(tmp_path, monday=90.0)
    settled(tmp_path)
    (part,) = extras(tmp_path)
    assert part.title == "Forecast against actual"
    assert ("forecast seconds", "100") in part.tables[0].rows
    assert ("actual seconds", "90") in part.tables[0].rows
