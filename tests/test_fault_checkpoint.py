"""A run that finds its checkpoints damaged, or another run's: it ends right, or says what is wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import fault
from training import Caller, adapter, equal, shorten

from train_fn.worker import Job

Maker = Callable[..., Job]


def empty(path: Path) -> None:
    path.write_bytes(b"")


@fault("damaged checkpoints")
@pytest.mark.parametrize("damage", [shorten, empty])
def test_damaged_checkpoints_cost_time_and_no_bit(
    new_job: Maker, stopped: Path, damage: Callable[[Path], None]
) -> None:
    """The newest is damaged, then all are: the run goes on from the one before, then begins anew."""
    calm = new_job("calm")
    assert Caller().run(calm) == "COMPLETE"
    for name, folders in {"newest": 1, "all": 2}.items():
        job = new_job(name)
        found = sorted(shutil.copytree(stopped, job.folder / "checkpoints").glob("step-*"))
        for folder in found[-folders:]:
            for file in folder.iterdir():
                damage(file)
        assert Caller().run(job) == "COMPLETE"
        assert equal(adapter(job.folder), adapter(calm.folder))


@fault("another model's checkpoint")
def test_another_models_checkpoint_is_refused_by_name(new_job: Maker, stopped: Path) -> None:
    job, caller = new_job("run", target_modules=["q_proj"]), Caller()
    shutil.copytree(stopped, job.folder / "checkpoints")
    assert caller.run(job) == "FAILED"
    assert "checkpoint of another model" in caller.rows[-1]["cause"]
