"""Whose run a folder holds, and when --replace discards it."""

from pathlib import Path

import pytest

from train_fn.errors import InputError
from train_fn.run_folder import REPLACING, RunFolder
from train_fn.storage import write_json

SETTINGS = {"trial_id": "s-0003", "train": {"learning_rate": 1e-4, "seed": 1}}
OTHERS = {**SETTINGS, "train": {"learning_rate": 2e-4, "seed": 1}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that was begun, with a checkpoint."""
    found = RunFolder(tmp_path / "output" / "run", tmp_path / "logs" / "run")
    found.claim(SETTINGS, replace=False)
    (found.folder / "checkpoints").mkdir()
    return found


def left(run: RunFolder) -> bool:
    return (run.folder / "checkpoints").exists()


@pytest.mark.parametrize("replace", [False, True])
def test_an_unfinished_run_of_equal_settings_goes_on_with_replace_too(run: RunFolder, replace: bool) -> None:
    name = run.run_id
    assert run.goes_on(SETTINGS, replace=replace)
    run.claim(SETTINGS, replace=replace)
    assert left(run)
    assert run.run_id == name


def test_a_finished_run_is_kept_or_replaced_as_asked(run: RunFolder) -> None:
    write_json(run.folder / "result.json", {})
    assert run.goes_on(SETTINGS, replace=False)
    assert not run.goes_on(SETTINGS, replace=True)
    run.claim(SETTINGS, replace=True)
    assert not left(run)


def test_a_run_that_replaced_one_and_was_killed_before_its_delivery_is_not_replaced_by_the_same_command(
    run: RunFolder,
) -> None:
    (run.folder / "result.json").write_text("{}")
    run.claim(SETTINGS, replace=True)
    assert not run.finished
    (run.folder / "result.json").write_text("{}")
    assert run.goes_on(SETTINGS, replace=True)
    (run.folder / REPLACING).unlink()  # as `finish` does when all is delivered
    assert not run.goes_on(SETTINGS, replace=True)


def test_a_run_of_other_settings_is_refused_or_replaced_as_asked(run: RunFolder) -> None:
    for ask in (run.goes_on, run.claim):
        with pytest.raises(
            InputError, match=r"an unfinished run of other settings:\n  train.learning_rate: 0.0001"
        ):
            ask(OTHERS, replace=False)
    assert left(run)
    assert not run.goes_on(OTHERS, replace=True)
    run.claim(OTHERS, replace=True)
    assert not left(run)


def test_a_run_whose_settings_cannot_be_read_is_refused_or_replaced_as_asked(run: RunFolder) -> None:
    (run.folder / "config.yaml").write_text("train: [")
    with pytest.raises(InputError, match=r"config\.yaml"):
        run.claim(SETTINGS, replace=False)
    assert left(run)
    run.claim(SETTINGS, replace=True)
    assert not left(run)


def test_what_a_run_found_of_its_undecided_settings_stands(run: RunFolder) -> None:
    run.decide({"learning_rate": 3e-4})
    assert run.goes_on(SETTINGS, replace=False, undecided=("learning_rate",))
    run.claim(SETTINGS, replace=False, undecided=("learning_rate",))
    assert "learning_rate: 0.0003" in (run.folder / "config.yaml").read_text()


def test_a_folder_that_is_no_run_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    RunFolder(tmp_path / "notes", tmp_path / "logs").claim(SETTINGS, replace=False)
    assert (tmp_path / "notes" / "mine.txt").exists()


def test_what_wandb_is_to_keep_may_change_while_a_run_goes_on(run: RunFolder) -> None:
    changed = {**SETTINGS, "train": {**SETTINGS["train"], "wandb_log_model": "all"}}
    run.claim(changed, replace=False)
    assert left(run)
