"""A search as a command: run until it ends, starves or takes too long, and what its trials took."""

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from processes import tree

from train_fn.storage import PROJECT, read_json

POLL_SECONDS = 1.0
END_SECONDS = 30.0  # that a command has to end by itself
FINISHED = "finished"
MARKS = ("curve.jsonl", "result.json")  # what the training writes after each evaluation, and at its end
# In a trial's folder: seconds that its training stood still to hand over its results, where it had to.
WAITED = "waited.json"

Figures = dict[str, Any]


def supervised(words: list[str], trials: Path, patience: float, limit: float) -> Figures:
    """Run a search whose trials have their folders in `trials`; ends it when no trial got on for `patience`
    seconds, or after `limit`. Returns how it ended and what it took, in seconds. Raises RuntimeError with all
    that it said when it fails.

    `overhead_seconds` is that of a finished trial: the time until the command ended, or for a search that did
    not finish until the last trial did, less the trainings' own seconds.
    """
    started, clock = time.time(), time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(words, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT)
        try:
            ended = _wait(process, trials, patience, limit)
        finally:
            end(process)
        seconds = time.monotonic() - clock
        if ended == FINISHED and process.returncode:
            log.seek(0)
            raise RuntimeError(f"{words[1]} ended with exit code {process.returncode}:\n{log.read()}")
    rows = {file: read_json(file) for file in trials.glob("*/result.json")}
    complete = [file for file, row in rows.items() if row["status"] == "COMPLETE"]
    trained = [rows[file]["seconds"] - _waited(file.with_name(WAITED)) for file in complete]
    last = max((file.stat().st_mtime for file in complete), default=started)
    until = seconds if ended == FINISHED else last - started
    return {
        "ended": ended,
        "seconds": seconds,
        "finished": len(complete),
        "training_seconds": sum(trained),
        "overhead_seconds": (until - sum(trained)) / len(complete) if complete else None,
        "trainings": trained,
        "threads": sorted({read_json(file.with_name("facts.json"))["threads"] for file in complete}),
    }


def _waited(file: Path) -> float:
    return float(read_json(file)["seconds"]) if file.exists() else 0.0


def _wait(process: "subprocess.Popen[bytes]", trials: Path, patience: float, limit: float) -> str:
    started = since = time.monotonic()
    seen = _marks(trials)
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            return FINISHED
        now, marks = time.monotonic(), _marks(trials)
        if marks != seen:
            seen, since = marks, now
        if now - since > patience:
            return f"starved: no trial got on for {patience:g} s"
        if now - started > limit:
            return f"not finished after {limit:g} s"


def _marks(trials: Path) -> dict[Path, int]:
    """When each trial last wrote what it has reached."""
    return {file: file.stat().st_mtime_ns for name in MARKS for file in trials.glob(f"*/{name}")}


def end(process: "subprocess.Popen[Any]") -> None:
    """End a command and all that it started, by asking first; nothing where it has ended by itself."""
    if process.poll() is not None:
        return
    started = list(tree(process.pid))
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
