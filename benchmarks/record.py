"""One JSON file a benchmark: its figures, and what they were measured on."""

import argparse
import datetime
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from train_fn.storage import PROJECT, write_json

RESULTS = PROJECT / "benchmarks" / "results"
PACKAGES = "torch transformers peft bitsandbytes accelerate ray optuna wandb datasets scikit-learn".split()


def options_of(description: str | None, results: str = "the folder for the JSON") -> argparse.ArgumentParser:
    """What all benchmarks' command lines have: their module's text as help, and --results."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help=results)
    return parser


def slug(text: str) -> str:
    """`NVIDIA H200` -> `nvidia-h200`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def circumstances() -> dict[str, Any]:
    """Date, commit, command, processor and versions. Of absolute paths only the last part is kept."""
    words = [sys.argv[0], *sys.argv[1:]]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "command": shlex.join(["python", *(_portable(word) for word in words)]),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "load": os.getloadavg()[0],  # a benchmark beside other work is slower than alone
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": dict(_versions(PACKAGES)),
    }


def write_result(folder: Path, name: str, figures: dict[str, Any]) -> Path:
    """Write `figures` under what they were measured on to folder/<name>-<date>.json; returns the path."""
    about = circumstances()
    path = folder.absolute() / f"{name}-{about['date'][:10]}.json"
    write_json(path, {**about, **figures})
    return path


def _commit() -> str:
    """The commit, `+changes` behind it where tracked files differ; COMMIT serves where there is no git."""
    if given := os.environ.get("COMMIT"):
        return given
    git = ["git", "-C", str(PROJECT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + ("+changes" if changes else "")


def _portable(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else path.name


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.machine()


def _versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
