"""Runs to be tracked, in this process or in a fresh one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from train_fn import tracking, wandb_run
from train_fn.tracking import RunInfo
from train_fn.tracking_charts import Chart

KEY = "0123456789" * 4
CHARTS = {"called": Chart(("text", "score"), (("one", 0.5), ("two", None)))}


def info(folder: Path, number: int = 0) -> RunInfo:
    return RunInfo(
        id=f"study-{number}",
        name=f"trial {number}",
        group="study",
        job_type="trial",
        project="A Project",
        config={"learning_rate": 1e-3, "lora_rank": 16},
        tags=("10k", "search"),
        folder=folder,
    )


def offline(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Runs of this process are offline, and what W&B copies goes under `folder`."""
    patch.setenv("WANDB_MODE", "offline")
    patch.setenv("WANDB_DATA_DIR", str(folder / "staging"))
    patch.setattr(tracking, "_said", set())
    patch.setattr(wandb_run, "_online_failed", False)


def child(script: str, folder: Path, **environment: str) -> subprocess.Popen:
    """A fresh Python with its own home and only the W&B settings given; `script` sees `run` and `folder`."""
    head = (
        "import logging, os, sys, time\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from train_fn import wandb_run\nfrom train_fn.tracking import *\nfrom tracking_runs import *\n"
        "wandb_run.INIT_SECONDS = 3.0\n"
        f"folder = Path({str(folder / 'logs')!r})\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", head + script],
        env={**clean, "HOME": str(home), "NETRC": str(home / ".netrc"), **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


RUN = """
tracker = open_tracker(info(folder))
for step in (0, 256, 512):
    tracker.log({"train_loss": 1.0}, step)
tracker.log(CHARTS, 513)
tracker.finish("COMPLETE", {"seconds": 1.5})
"""
WITHOUT_CHARTS = RUN.replace("tracker.log(CHARTS, 513)\n", "")  # online they need more of a server
