"""What a checkpoint holds, and what is read back from a damaged one."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training import Caller, equal, make_job, shorten

from train_fn.checkpoint import (
    KEEP,
    Checkpoint,
    Position,
    load,
    optimizer_tensors,
    restore,
    restore_optimizer,
    save,
)
from train_fn.job import Kind
from train_fn.state import TrainState
from train_fn.worker import Job

Maker = Callable[..., Job]


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [shorten, empty, Path.unlink])
@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "best.safetensors", "position.json"]
)
def test_a_damaged_checkpoint_is_passed_over(
    stopped: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "checkpoints")
    damage(folder / "step-000000007" / name)
    found = load(folder)
    assert found is not None
    assert found.position.step == 6


def test_the_last_checkpoints_are_kept_and_hold_safetensors_and_json_only(stopped: Path) -> None:
    assert [path.name for path in sorted(stopped.iterdir())] == ["step-000000006", "step-000000007"]
    assert KEEP == 2
    assert {path.suffix for path in stopped.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_a_run_that_goes_back_behind_damaged_checkpoints_keeps_those_it_writes(
    stopped: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "checkpoints")
    saved = load(folder)
    for path in folder.glob("*/position.json"):
        empty(path)
    assert load(folder) is None
    for step in (2, 4):
        position = saved.position.model_copy(update={"step": step})
        save(folder, dataclasses.replace(saved, position=position))
        assert load(folder).position.step == step


@pytest.mark.parametrize(("kind", "asked", "kept"), [("full", 3, 3), ("full", 0, 0), ("trial", 3, 0)])
def test_a_full_run_that_is_complete_keeps_the_newest_checkpoints_that_are_asked_for(
    tmp_path: Path, small_model: Path, tokens: Path, kind: Kind, asked: int, kept: int
) -> None:
    changes = {"keep_checkpoints": asked, "checkpoint_minutes": 1e-6}  # a checkpoint a step
    job = make_job(tmp_path / "run", small_model, tokens, kind=kind, **changes)
    assert Caller().run(job) == "COMPLETE"
    found = sorted(path.name for path in (job.folder / "checkpoints").glob("*"))
    assert found == [f"step-{step:09d}" for step in (6, 7, 8)][3 - kept :]


def test_another_models_checkpoint_is_refused(new_job: Maker, stopped: Path) -> None:
    job, caller = new_job("run", target_modules=["q_proj"]), Caller()
    shutil.copytree(stopped, job.folder / "checkpoints")
    assert caller.run(job) == "FAILED"
    assert "checkpoint of another model" in caller.rows[-1]["cause"]


def stepped(seed: int) -> tuple[dict[str, torch.nn.Parameter], torch.optim.AdamW]:
    """Two parameters that an optimiser has moved twice."""
    torch.manual_seed(seed)
    parameters = {name: torch.nn.Parameter(torch.randn(3)) for name in ("a.weight", "b/weight")}
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.1, fused=True)
    for _ in range(2):
        for parameter in parameters.values():
            parameter.grad = torch.randn(3)
        optimizer.step()
    return parameters, optimizer


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    state = TrainState(
        step=7,
        best=0.1 + 0.2,
        best_metrics={"log_loss": 0.1 + 0.2},
        best_weights={"a.weight": torch.tensor([1 / 3])},
        stale=1,
        seconds=1 / 7,
        losses=[1 / 3],
        curve=[{"step": 5, "progress": 50, "objective": 2 / 3, "device": "cpu"}],
        before={"validation": {"log_loss": 0.7}},
    )
    parameters, optimizer = stepped(seed=0)
    moments, decided = optimizer_tensors(optimizer, parameters), {"threads": 1}
    weights = {name: p.detach() for name, p in parameters.items()}
    save(tmp_path, Checkpoint(Position.of(state, decided), weights, moments, state.best_weights))
    found = load(tmp_path)
    assert found is not None
    assert found.state() == state
    assert found.position.decided == decided
    others, other = stepped(seed=1)
    restore(others, found.weights)
    restore_optimizer(other, others, found.optimizer)
    assert equal(optimizer_tensors(other, others), moments)
    for one, two in zip(parameters.values(), others.values(), strict=True):
        one.grad = two.grad = torch.ones(3)
    optimizer.step()
    other.step()
    assert all(torch.equal(parameters[name], others[name]) for name in parameters)


def test_a_state_without_an_evaluation_can_be_saved(tmp_path: Path) -> None:
    state = TrainState(step=1)
    save(tmp_path, Checkpoint(Position.of(state, {}), {"a": torch.ones(1)}, {}, state.best_weights))
    found = load(tmp_path)
    assert found is not None
    assert found.state() == state


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "nothing") is None
