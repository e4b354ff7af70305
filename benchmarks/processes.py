"""What a command takes: the processor's time and the memory of its processes, read from /proc."""

import json
import resource
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from train_fn.storage import PROJECT

SAMPLE_SECONDS = 0.05
MEMORY = ("VmHWM", "RssAnon")


def processor_seconds() -> float:
    """What this process and those that it has waited for took so far, in user and kernel."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def watched(words: list[str]) -> tuple[Any, dict[str, int]]:
    """Run a command whose last line is JSON; returns that, and the peak memory of its biggest process in bytes.

    Raises CalledProcessError when it fails.
    """
    peaks = dict.fromkeys(MEMORY, 0)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        while process.poll() is None:
            for pid in tree(process.pid):
                for key, value in memory_of(pid).items():
                    peaks[key] = max(peaks[key], value)
            time.sleep(SAMPLE_SECONDS)
        told = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return json.loads(told.splitlines()[-1]), peaks


def tree(pid: int) -> Iterable[int]:
    """The process and all below it that are there now."""
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = file.read_text().split()
        except OSError:  # it has ended
            continue
        for child in below:
            yield from tree(int(child))


def memory_of(pid: int) -> dict[str, int]:
    """Bytes, by the names of /proc; nothing when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines)
    return {key: int(value.split()[0]) * 1024 for key, value in pairs if key in MEMORY}
