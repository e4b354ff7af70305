"""Runs to be tracked, in this process or in a fresh one."""

import os
import subprocess
import sys
from pathlib import Path

from train_fn.tracking import RunInfo

KEY = "0123456789" * 4
CONFUSION = ((5, 1), (2, 7))


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
tracker.finish("COMPLETE", {"seconds": 1.5}, CONFUSION)
"""
