"""A run that is interrupted, anywhere and anyhow, ends as one that never stopped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training import Caller, adapter, equal, in_process, make_job, run_killed, shorten, without_seconds

from train_fn.checkpoint import load
from train_fn.storage import read_json
from train_fn.worker import Job

EVERY_STEP = 1e-9  # minutes
Maker = Callable[..., Job]
Ended = tuple[Path, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> Ended:
    """The folder and the rows of the run that never stopped."""
    job, caller = make_job(tmp_path_factory.mktemp("runs") / "whole", small_model, tokens), Caller()
    assert caller.run(job) == "COMPLETE"
    return job.folder, caller.rows


def same_end(job: Job, rows: list[dict[str, Any]], undisturbed: Ended) -> bool:
    folder, expected = undisturbed
    return (
        equal(adapter(job.folder), adapter(folder))
        and without_seconds(rows) == without_seconds(expected)
        and read_json(job.folder / "metrics.json") == read_json(folder / "metrics.json")
    )


def test_a_run_stopped_again_and_again_ends_as_one_that_never_stopped(
    new_job: Maker, undisturbed: Ended
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


@pytest.mark.parametrize("stop_at", [2, 9, 20])
def test_a_run_stopped_once_ends_as_one_that_never_stopped(
    new_job: Maker, undisturbed: Ended, stop_at: int
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
    new_job: Maker, undisturbed: Ended, monkeypatch: pytest.MonkeyPatch
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
    new_job: Maker, undisturbed: Ended
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


def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(
    new_job: Maker, stopped: Path, undisturbed: Ended
) -> None:
    job, caller = new_job("run"), Caller()
    shorten(shutil.copytree(stopped, job.folder / "checkpoints") / "step-000000007" / "optimizer.safetensors")
    assert caller.run(job) == "COMPLETE"
    assert same_end(job, caller.rows, undisturbed)


def test_a_run_stopped_while_it_writes_its_results_writes_them_again(
    new_job: Maker, undisturbed: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    job, caller = new_job("run"), Caller()
    with monkeypatch.context() as patched:
        patched.setattr("train_fn.results.write_json", die)
        with pytest.raises(KeyboardInterrupt):
            Caller().run(job)
    assert not (job.folder / "result.json").exists()
    assert caller.run(job) == "COMPLETE"
    assert caller.asked == 0  # nothing is trained or evaluated again
    assert same_end(job, caller.rows, undisturbed)
