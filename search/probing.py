"""Run the probe (train_fn/probe.py) as runs will train, in processes of its own, and keep what it found."""

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from train_fn.config import TrainConfig
from train_fn.locks import waiting_lock
from train_fn.measured import ASKED, FAILED, FOUND, LOG, Measured, ProbeJob
from train_fn.storage import PROJECT, read_json, write_json

LIMIT_SECONDS = 600.0  # then the device is so slow that a probe tells too little for what it costs
RAY_NICENESS = 15  # which Ray gives its workers: beside other work the probe waits as they will
DECIDING = {  # what of a configuration decides its speed
    "model_revision", "max_length", "attention", "compute_dtype", "expand_base", "lora_rank", "lora_dropout",
    "target_modules", "batch_size", "micro_batch_tokens", "gradient_checkpointing",
}  # fmt: skip


class ProbeError(Exception):
    """The probe found nothing; the message is the cause in one line."""


@dataclass(frozen=True)
class Place:
    """How runs are placed: `copies` share a device, each with so many CPU threads and that share of its memory,
    and `ranks` share a step."""

    threads: int
    copies: int
    memory_fraction: float
    ranks: int = 1


def find_measured(
    data: Path, model: str, config: TrainConfig, place: Place, say: Callable[[str], None]
) -> Measured:
    """What was measured before for this machine and these settings, else measured now, which takes some seconds.

    `data` is the tokenised set; the file lies beside it. Raises ProbeError.
    """
    parts = {
        "data": data.name,
        "model": model,
        "config": config.model_dump(mode="json", include=DECIDING),
        "place": vars(place),
        "machine": _machine(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    file = data.parent / f"probe-{digest[:20]}.json"
    # One probe a set: it removes what killed ones have left there, and two at once would slow each other down.
    with waiting_lock(data.parent / "probe", "probing", say):
        if (known := _known(file)) is not None:
            return known
        say("probing  a few steps of the real model on this machine, to foresee how long the whole takes")
        found = _measure(data, model, config, place)
        write_json(file, {**found.model_dump(mode="json"), "of": parts})
        return found


def _machine() -> dict[str, Any]:
    from train_fn.hardware import gpu_names

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    threads = os.environ.get("OMP_NUM_THREADS")
    names = {"gpus": gpu_names(), "visible": visible, "cpus": os.cpu_count(), "threads": threads}
    return {"host": platform.node(), "processor": platform.machine(), "torch": version("torch"), **names}


def _known(file: Path) -> Measured | None:
    try:
        values = read_json(file)
        return Measured.model_validate({key: values[key] for key in Measured.model_fields})
    except (OSError, ValueError, KeyError, ValidationError):
        return None


def _measure(data: Path, model: str, config: TrainConfig, place: Place) -> Measured:
    """Copies at once, as runs will be; the first one's figures, which the others' company has slowed down."""
    for left in data.parent.glob(".probe.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)  # of a killed process: the lock says that it is gone
    with TemporaryDirectory(prefix=".probe.", suffix=".tmp", dir=data.parent) as folder:
        copies = [Path(folder) / str(number) for number in range(place.copies)]
        running = [_launch(copy, data, model, config, place) for copy in copies]
        try:
            _wait(running)
        finally:
            for process in running:
                process.kill()
                process.wait()
        for copy, process in zip(copies, running, strict=True):
            if process.returncode:
                raise ProbeError(_cause(copy, process.returncode))
        return Measured.model_validate(read_json(copies[0] / FOUND))


def _launch(
    scratch: Path, data: Path, model: str, config: TrainConfig, place: Place
) -> "subprocess.Popen[bytes]":
    job = ProbeJob(
        data=data,
        model=model,
        train=config,
        ranks=place.ranks,
        memory_fraction=place.memory_fraction,
        scratch=scratch,
        launched=time.monotonic(),  # one clock for all processes of a machine
    )
    write_json(scratch / ASKED, job.model_dump(mode="json"))
    words = ["nice", "-n", str(RAY_NICENESS), sys.executable, "-m", "train_fn.probe", str(scratch)]
    environment = {"OMP_NUM_THREADS": str(place.threads), **os.environ}  # Ray sets it too, unless it is set
    with (scratch / LOG).open("wb") as log:
        return subprocess.Popen(words, cwd=PROJECT, env=environment, stdout=log, stderr=log)


def _wait(running: "list[subprocess.Popen[bytes]]") -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    for process in running:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise ProbeError(f"the probe was not through after {LIMIT_SECONDS:.0f} s") from error


def _cause(scratch: Path, code: int) -> str:
    if (scratch / FAILED).exists():
        return str(read_json(scratch / FAILED)["cause"])
    if code < 0:
        return f"the probe was ended by {signal.Signals(-code).name}"
    lines = (scratch / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"the probe ended with code {code}"
