"""What is made once for all tests of the training."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from train_fn.worker import Job

# Ray's own 15 would leave the tests' trials without a core beside any other work, until they time out.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from small import write_model

    torch.set_num_threads(1)  # bits depend on it, and runs are compared with runs in other processes
    return write_model(tmp_path_factory.mktemp("models") / "qwen3-small")


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    from small import write_set

    return write_set(tmp_path_factory.mktemp("sets") / "words", str(small_model))


@pytest.fixture
def new_job(tmp_path: Path, small_model: Path, tokens: Path) -> "Callable[..., Job]":
    from training import make_job

    def make(name: str = "run", **changes: Any) -> "Job":
        return make_job(tmp_path / name, small_model, tokens, **changes)

    return make


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> Path:
    """The checkpoints of a run that was stopped after step 7 of 8."""
    from training import Caller, make_job

    job = make_job(tmp_path_factory.mktemp("stopped") / "run", small_model, tokens)
    assert Caller(stop_at=20).run(job) == "STOPPED"
    return job.folder / "checkpoints"


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """The folder of a full run on texts of words, some of them longer than its max_length. Not to be changed."""
    from delivering import deliver_run

    return deliver_run(tmp_path_factory.mktemp("delivered"), small_model)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plain run of the tiny model as its command leaves it. Not to be changed."""
    from delivering import train_run

    return train_run(tmp_path_factory.mktemp("trained"))
