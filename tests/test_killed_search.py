"""kill -9 of a real search's driver, three times, then the same command: nothing is lost, nothing is run twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from faults import fault
from folders import write_sample

from train_fn.storage import PROJECT

TRIALS = 6
SETTINGS = (
    "--model tiny --study killed --trials 6 --confirm-seeds 0 --set max_length=64 --set batch_size=16 "
    "--set epochs=1 --set evaluations=5 --set eval_before_rows=0 --set startup_trials=3"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("rows"))


def search(data: Path, output: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, str(PROJECT / "search" / "tune.py"), "--dataset", str(data), *SETTINGS.split()]
    environment = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [*words, "--output", str(output)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return told


def kill_when(process: "subprocess.Popen[str]", moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not moment():
        assert process.poll() is None, "the search ended before the moment to kill it came"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@fault("driver of a search")
def test_a_search_killed_three_times_loses_and_repeats_nothing(data: Path, tmp_path: Path) -> None:
    study = tmp_path / "killed" / "output" / "studies" / "killed"
    trials = study / "trials"

    def rows() -> list[str]:
        file = study / "trials.jsonl"
        return [line for line in file.read_text().split("\n")[:-1] if line] if file.exists() else []

    kill_when(search(data, study.parents[1]), lambda: (trials / "0000" / "params.json").exists())
    assert rows() == []
    kill_when(
        search(data, study.parents[1]),
        lambda: len(rows()) >= 2 and any((trials / f"{n:04d}" / "curve.jsonl").exists() for n in (2, 3)),
    )
    kept = rows()
    assert 2 <= len(kept) < TRIALS
    kill_when(search(data, study.parents[1]), lambda: any(trials.glob("*/checkpoints/.step-*.tmp")))
    finish(search(data, study.parents[1]))

    assert rows()[: len(kept)] == kept
    records = [json.loads(line) for line in rows()]
    assert [record["number"] for record in records] == list(range(TRIALS))
    assert len({json.dumps(record["params"]) for record in records}) == TRIALS
    view = optuna.load_study(study_name=None, storage=f"sqlite:///{study / 'optuna.db'}")
    assert {trial.state.name for trial in view.trials} <= {"COMPLETE", "PRUNED"}
    assert not list(trials.glob("*/checkpoints"))
