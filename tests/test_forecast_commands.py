"""The forecast through the command lines: a dry run, a search that is killed, a promotion."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders import write_sample

from search.foreseen import FORECAST, SITTINGS
from train_fn.storage import PROJECT, read_json

pytestmark = pytest.mark.slow
SETTINGS = (
    "--model tiny --study foreseen --confirm-seeds 0 --set forecast=always --set max_length=64 "
    "--set batch_size=16 --set epochs=1 --set evaluations=5 --set eval_before_rows=0 --set grace_percent=100"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreseen") / "output"


def start(script: str, data: Path, output: Path, *more: str) -> "subprocess.Popen[str]":
    words = [
        sys.executable,
        str(PROJECT / "search" / script),
        "--dataset",
        str(data),
        "--output",
        str(output),
    ]
    environment = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [*words, *more],
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def said(script: str, data: Path, output: Path, *more: str) -> str:
    process = start(script, data, output, *more)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return told


def test_a_dry_run_measures_once_and_starts_nothing(data: Path, output: Path) -> None:
    dry = [*SETTINGS.split(), "--trials", "3", "--dry-run", "--price-per-hour", "2"]
    first, second = (said("tune.py", data, output, *dry) for _ in range(2))
    for told in (first, second):
        assert "forecast 0:0" in told
        assert "cost" in told
        assert "nothing was started" in told
    assert "probing" in first
    assert "probing" not in second
    assert not list((output / "studies").glob("*"))


def test_a_killed_search_keeps_its_forecast_and_adds_up_its_time(data: Path, output: Path) -> None:
    study = output / "studies" / "foreseen"
    words = [*SETTINGS.split(), "--trials", "3"]
    process = start("tune.py", data, output, *words)
    deadline = time.monotonic() + 200
    while not ((study / "trials.jsonl").exists() and (study / SITTINGS).exists()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = read_json(study / FORECAST)
    told = said("tune.py", data, output, *words)
    after = read_json(study / FORECAST)
    assert after["forecast_seconds"] == before["forecast_seconds"]
    assert len(read_json(study / SITTINGS)) == 2
    assert after["actual_seconds"] == pytest.approx(sum(read_json(study / SITTINGS).values()))
    assert ", took 0:0" in told
    assert "nothing is left to run" in said("tune.py", data, output, *words, "--dry-run")


def test_a_promotion_is_foreseen_and_settled(data: Path, output: Path) -> None:
    words = ["--study", "foreseen", "--set", "forecast=always", "--set", "epochs=2"]
    run = output / f"qwen3-tiny-{data.name.lower()}"
    assert "nothing was started" in said("promote.py", data, output, *words, "--dry-run")
    assert not run.exists()
    told = said("promote.py", data, output, *words)
    assert ", took 0:0" in told
    kept = read_json(run / FORECAST)
    assert kept["actual_seconds"] == pytest.approx(sum(read_json(run / SITTINGS).values()))
    assert abs(kept["relative_error"]) < 3
    assert "nothing is left to run" in said("promote.py", data, output, *words, "--dry-run")
