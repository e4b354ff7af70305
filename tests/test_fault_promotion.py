"""Signals, a dead worker, a dead raylet and a full disk in one promotion, which ends with the undisturbed bits."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from faults import fault
from killed import below, ended, failed, signalled, step_of, wait_until
from promotions import TRAIN, adapter, finish, promote, study_in, write_rows
from small_disk import SmallDisk, small_disk
from wandb_files import read_runs

from train_fn.storage import read_json

__all__ = ["small_disk"]
RUN, SECONDS = "qwen3-tiny-rows", 10.0
LONG = TRAIN.model_copy(update={"epochs": 6.0})


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "rows")


@pytest.fixture(scope="module")
def calm(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("calm") / "output"
    study_in(output, LONG)
    finish(promote(rows, output))
    return output


def same(output: Path, calm: Path) -> bool:
    left, right = adapter(calm), adapter(output)
    return (
        left.keys() == right.keys()
        and all(torch.equal(left[name], right[name]) for name in left)
        and read_json(output / RUN / "metrics.json") == read_json(calm / RUN / "metrics.json")
    )


def further(run: Path) -> Callable[[], bool]:
    """Whether a checkpoint came since the call, so that the run is under way."""
    before = step_of(run)
    return lambda: step_of(run) > before


@fault("signals to a promotion")
@fault("worker of a promotion")
@fault("raylet of a promotion")
def test_a_promotion_stopped_and_killed_in_every_way_ends_with_the_same_bits(
    rows: Path, calm: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    run, took = output / RUN, {}
    study_in(output, LONG)
    for number, times in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
        process = promote(rows, output, wandb="offline")
        wait_until(process, further(run))
        told, took[number.name] = signalled(process, number, times)
        assert "stopped; nothing finished is lost" in told
        assert re.search(r"next     python \S*promote.py --best", told)
        assert "Traceback" not in told
        assert [found.exit_code for found in read_runs(tmp_path / "logs")] == [255] * len(took)

    process = promote(rows, output)
    wait_until(process, further(run))
    below(process, "raylet").kill()
    assert failed(process).startswith("Ray itself died; the same command goes on")

    process = promote(rows, output)
    wait_until(process, further(run))
    below(process, "RayTrainWorker").kill()
    told = ended(process)
    assert "resumes at step" in told
    assert "not bit for bit" not in told
    assert same(output, calm)
    print(took)
    assert max(took.values()) < SECONDS, took


@fault("disk full in a promotion")
def test_a_disk_that_fills_up_ends_a_promotion_with_one_message(
    rows: Path, calm: Path, small_disk: SmallDisk
) -> None:
    small_disk.resize(128 * 1024)
    output = small_disk.folder / "output"
    study_in(output, LONG)
    process = promote(rows, output)
    wait_until(process, further(output / RUN))
    filler = small_disk.fill()
    assert re.match(r"no space left for .*; free some, then the same command goes on", failed(process))
    filler.unlink()
    finish(promote(rows, output))
    assert same(output, calm)
