"""A real search of a tiny detector as a process that may be sent signals, and what must hold of its study."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from train_fn.storage import PROJECT

TRIALS = 3
SETTINGS = (
    f"--model tiny --study faults --trials {TRIALS} --confirm-seeds 0 --set max_length=64 --set batch_size=8 "
    "--set epochs=12 --set evaluations=4 --set checkpoint_minutes=0.01 --set eval_before_rows=0 "
    "--set startup_trials=2 --set grace_percent=100"
)
Process = "subprocess.Popen[str]"


def search(data: Path, output: Path, *more: str, wandb: str = "offline") -> Process:
    words = [sys.executable, str(PROJECT / "search" / "tune.py"), "--dataset", str(data), *SETTINGS.split()]
    environment = {**os.environ, "WANDB_MODE": wandb, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [*words, *more, "--output", str(output)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_until(process: Process, moment: Callable[[], object], seconds: float = 900) -> None:
    """Wait for the moment, which must come before the process ends."""
    deadline = time.monotonic() + seconds
    while not moment():
        assert process.poll() is None, process.communicate()[0]
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError(process.communicate()[0])
        time.sleep(0.005)


def ended(process: Process, code: int = 0, seconds: float = 900) -> str:
    told, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, told
    return told


def failed(process: Process) -> str:
    """The one error of a command that a fault ended."""
    told = ended(process, 1)
    assert "Traceback" not in told
    assert told.count("error: ") == 1
    return told.partition("error: ")[2]


def signalled(process: Process, number: signal.Signals, times: int) -> tuple[str, float]:
    """What the command said, and how long it took to end, after signals to its whole group."""
    began = time.monotonic()
    for _ in range(times):
        os.killpg(process.pid, number)
        time.sleep(0.3)
    told = ended(process, 130, 120)
    return told, time.monotonic() - began


def below(process: Process, name: str) -> psutil.Process:
    """The process of that name among the command's own."""
    found = [child for child in psutil.Process(process.pid).children(recursive=True) if name in child.name()]
    assert found, [child.name() for child in psutil.Process(process.pid).children(recursive=True)]
    return found[0]


def rows(study: Path) -> list[dict[str, object]]:
    file = study / "trials.jsonl"
    return [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def step_of(folder: Path) -> int:
    """That of the newest checkpoint below."""
    return max((int(found.name.split("-")[1]) for found in folder.glob("checkpoints/step-*")), default=0)
