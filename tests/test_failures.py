"""A run that goes wrong says why, and costs nobody else anything."""

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import fault
from safetensors.torch import load_file, save_file
from training import Caller, adapter, equal, make_job

from train_fn.storage import read_json
from train_fn.worker import Job

Maker = Callable[..., Job]


@pytest.fixture
def poisoned(small_model: Path, tmp_path: Path) -> Path:
    """The model with a NaN in the embedding of one word."""
    folder = shutil.copytree(small_model, tmp_path / "poisoned")
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][60, 0] = math.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def allocate(*_: Any) -> None:
    torch.empty(2**60)


def out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def failed(job: Job, start: str) -> None:
    """The job ends as a row that says why, in the record too."""
    caller = Caller()
    assert caller.run(job) == "FAILED"
    last = caller.rows[-1]
    assert last["cause"].startswith(start), last["cause"]
    assert (last["status"], last["done"], math.isnan(last["objective"])) == ("FAILED", True, True)
    assert set(last) >= {"progress", "seconds"}
    assert read_json(job.folder / "result.json") == {**last, "objective": None}
    assert not (job.folder / "checkpoints").exists()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> Iterator[None]:
    """A run before and a run after the failures, in the same process."""
    folder = tmp_path_factory.mktemp("healthy")
    jobs = [make_job(folder / name, small_model, tokens) for name in ("before", "after")]
    assert Caller().run(jobs[0]) == "COMPLETE"
    yield
    assert Caller().run(jobs[1]) == "COMPLETE"
    assert equal(adapter(jobs[0].folder), adapter(jobs[1].folder))


@fault("loss that is not finite")
@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("eval_before_rows", [0, 32])
def test_a_loss_that_is_not_finite_fails_the_run_alone(
    new_job: Maker, poisoned: Path, eval_before_rows: int
) -> None:
    failed(replace(new_job(eval_before_rows=eval_before_rows), model=str(poisoned)), "nan loss")


@fault("memory of the device")
@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("trouble", [allocate, out_of_memory])
def test_running_out_of_memory_fails_the_run_alone(
    new_job: Maker, monkeypatch: pytest.MonkeyPatch, trouble: Callable[..., None]
) -> None:
    monkeypatch.setattr("train_fn.loop.weighted_loss", trouble)
    failed(new_job(), "out of memory")


@pytest.mark.usefixtures("healthy")
def test_any_other_error_fails_the_run_alone(new_job: Maker) -> None:
    failed(replace(new_job(), model="/nowhere"), "InputError: model /nowhere must be")
