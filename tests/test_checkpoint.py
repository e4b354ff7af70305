"""A run that is interrupted, anywhere and anyhow, ends as one that never stopped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training import Caller, adapter, equal, in_process, make_job, run_killed, without_seconds

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
from train_fn.state import TrainState
from train_fn.storage import read_json
from train_fn.worker import Job

EVERY_STEP = 1e-9  # minutes
Maker = Callable[..., Job]


@pytest.fixture
def new_job(tmp_path: Path, small_model: Path, tokens: Path) -> Maker:
    def make(name: str, **changes: Any) -> Job:
        return make_job(tmp_path / name, small_model, tokens, **changes)

    return make


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path
) -> tuple[Path, list[dict[str, Any]]]:
    """The folder and the rows of the run that never stopped."""
    job, caller = make_job(tmp_path_factory.mktemp("runs") / "whole", small_model, tokens), Caller()
    assert caller.run(job) == "COMPLETE"
    return job.folder, caller.rows


def same_end(job: Job, rows: list[dict[str, Any]], undisturbed: tuple[Path, list[dict[str, Any]]]) -> bool:
    folder, expected = undisturbed
    return (
        equal(adapter(job.folder), adapter(folder))
        and without_seconds(rows) == without_seconds(expected)
        and read_json(job.folder / "metrics.json") == read_json(folder / "metrics.json")
    )


def test_a_run_stopped_again_and_again_ends_as_one_that_never_stopped(
    new_job: Maker, undisturbed: tuple[Path, list[dict[str, Any]]]
) -> None:
    """An attempt is stopped in its third or fourth micro-batch, so that it ends a step and rarely two."""
    job = new_job("run", checkpoint_minutes=EVERY_STEP)
    stops, steps = 0, [0]
    while (caller := Caller(stop_at=3 + stops % 2)).run(job) == "STOPPED":
        stops += 1
        found = load(job.folder / "checkpoints")
        steps.append(found.position.step if found else 0)
        assert stops < 40
    assert len(set(steps)) > 5
    assert same_end(job, caller.rows, undisturbed)


@pytest.mark.parametrize("stop_at", [2, 9, 16, 20])
def test_a_run_stopped_once_ends_as_one_that_never_stopped(
    new_job: Maker, undisturbed: tuple[Path, list[dict[str, Any]]], stop_at: int
) -> None:
    """Here a checkpoint is written at evaluations only: up to two steps are done again."""
    job, first, second = new_job("run"), Caller(stop_at), Caller()
    assert (first.run(job), second.run(job)) == ("STOPPED", "COMPLETE")
    assert same_end(job, second.rows, undisturbed)


def test_the_recorded_rows_are_sent_again_unchanged(new_job: Maker) -> None:
    job, first, second = new_job("run"), Caller(stop_at=20), Caller(stop_at=1)
    assert first.run(job) == "STOPPED"
    assert len(first.rows) == 3
    second.run(job)
    assert second.rows == first.rows
    lines = (job.folder / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == first.rows


def test_a_run_stopped_between_a_step_and_its_evaluation_makes_up_for_it(
    new_job: Maker, undisturbed: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    job, caller = new_job("run", checkpoint_minutes=EVERY_STEP), Caller()
    with monkeypatch.context() as patched:
        patched.setattr("train_fn.loop._evaluate", die)
        with pytest.raises(KeyboardInterrupt):
            caller.run(job)
    found = load(job.folder / "checkpoints")
    assert found is not None
    assert (found.position.step, found.position.curve) == (2, ())
    assert caller.run(job) == "COMPLETE"
    assert same_end(job, caller.rows, undisturbed)


def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    new_job: Maker, undisturbed: tuple[Path, list[dict[str, Any]]]
) -> None:
    """In the second of the three files of tensors of the second checkpoint."""
    job, caller = new_job("run"), Caller()
    assert in_process(run_killed, job, 5) == -9
    assert list((job.folder / "checkpoints").glob(".step-*.tmp"))
    found = load(job.folder / "checkpoints")
    assert found is not None
    assert found.position.step == 2
    assert caller.run(job) == "COMPLETE"
    assert same_end(job, caller.rows, undisturbed)
    assert not (job.folder / "checkpoints").exists()


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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
    damage(folder / "step-000000006" / name)
    found = load(folder)
    assert found is not None
    assert found.position.step == 4


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> Path:
    """The checkpoints of a run that was stopped after step 6 of 8."""
    job = make_job(tmp_path_factory.mktemp("stopped") / "run", small_model, tokens)
    assert Caller(stop_at=20).run(job) == "STOPPED"
    return job.folder / "checkpoints"


def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(
    new_job: Maker, stopped: Path, undisturbed: tuple[Path, list[dict[str, Any]]]
) -> None:
    job, caller = new_job("run"), Caller()
    shorten(shutil.copytree(stopped, job.folder / "checkpoints") / "step-000000006" / "optimizer.safetensors")
    assert caller.run(job) == "COMPLETE"
    assert same_end(job, caller.rows, undisturbed)


def test_the_last_checkpoints_are_kept_and_hold_safetensors_and_json_only(stopped: Path) -> None:
    assert [path.name for path in sorted(stopped.iterdir())] == ["step-000000004", "step-000000006"]
    assert KEEP == 2
    assert {path.suffix for path in stopped.rglob("*") if path.is_file()} == {".safetensors", ".json"}


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
