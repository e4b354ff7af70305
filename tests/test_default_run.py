"""The default configuration beside the promoted one: from the same rows, and named by them."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from promoting import POINTS, Place, Trainer, chosen_from, ended, selection, study, trials
from recorded import START

from search.choice import Choice
from search.promotion import PromoteConfig
from search.provenance import provenance
from search.record import ConfirmRecord
from search.selection import select
from search.space import Point
from search.target import Target
from train_fn.config import TrainConfig
from train_fn.default_run import add_default
from train_fn.run_folder import RunFolder
from train_fn.storage import LOSSES, Paths, read_json, write_json, write_text

DEFAULT = {"learning_rate": 1e-4, "lora_rank": 16, "lora_alpha": 32.0}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of(tmp_path / "output")


def scored(records: list[Any]) -> list[Any]:
    """The records with figures on 50 rows."""
    about = {"rows": 50, "auroc": 0.9, "balanced_accuracy": 0.8, "ece": 0.1}
    return [each.model_copy(update={"metrics": {**about, "log_loss": each.value}}) for each in records]


def confirm(made: Any, number: int, seed: int, loss: float) -> None:
    trial = next(record for record in made.records() if record.number == number)
    again = made.ask_again(number, seed)
    record = {**trial.model_dump(), "trial_id": again.trial_id, "value": loss, "seed": seed, "started": START}
    folder = made.folder_of(again)
    np.save(folder / LOSSES, np.linspace(0, 2 * loss, 50))
    made.end(
        ConfirmRecord.model_validate({**record, "metrics": {"rows": 50, "log_loss": loss, "auroc": 1 - loss}})
    )


def told(choice: Choice, number: int, rungs: dict[str, Any] | None = None) -> dict[str, Any]:
    """Of a promotion of that trial as it was."""
    return provenance(choice, number, rungs, Point(**dict(zip(DEFAULT, POINTS[number], strict=True))))


def lineage_of(paths: Paths, number: int, **changed: Any) -> dict[str, Any]:
    """Of a plain promotion of that trial, with --set of these."""
    choice = chosen_from(paths, "s")
    choice = dataclasses.replace(choice, trial=choice.study.records()[number])
    train = choice.trial.params.apply(choice.config.train).model_copy(update=changed)
    target = Target(train, 80_000, {"validation": 1_000, "test": 1_000})
    chosen, place = select(choice, target, PromoteConfig(), paths, 1, transfer=False), Place(paths)
    place.settle(chosen, Trainer(lambda _: 0.5))
    return chosen.lineage(place.run)


def test_a_lineage_has_the_parameters_of_the_run_and_says_whose_the_searchs_figures_are(paths: Paths) -> None:
    study(paths, "s", scored(trials()))
    lineage = lineage_of(paths, 3, learning_rate=1e-3, lora_rank=8)
    assert lineage["params"] == {"learning_rate": 1e-3, "lora_rank": 8, "lora_alpha": POINTS[3][2]}
    (pair,) = lineage["default"]["beside"]
    own = f"learning_rate {POINTS[3][0]:g}, lora_rank {POINTS[3][1]}"
    assert pair["where"].endswith(
        f", on the rows that chose among them, with the trial's own parameters ({own})"
    )


def test_the_default_with_another_rate_is_not_the_default(paths: Paths) -> None:
    study(paths, "s", scored(trials()))
    lineage = lineage_of(paths, 0, learning_rate=1e-3)
    assert lineage["params"] == {**DEFAULT, "learning_rate": 1e-3}  # by which the card tells the two apart
    assert lineage["default"] == {"params": DEFAULT, "beside": []}


def test_the_trials_of_the_search_are_told_with_the_rows_that_chose_them(paths: Paths) -> None:
    study(paths, "s", scored(trials()))
    found = told(chosen_from(paths, "s"), 3)
    assert found["search"]["trials"] == {"COMPLETE": 5}
    assert (found["search"]["dataset"], found["search"]["train_rows"]) == ("s", 2_000)
    assert found["default"]["params"] == Point.of(TrainConfig()).model_dump()
    (pair,) = found["default"]["beside"]
    assert pair["where"] == "trials of the search on s, on the rows that chose among them"
    assert (pair["split"], pair["train_rows"], pair["rows"]) == ("validation", 2_000, 50)
    assert (pair["promoted"]["log_loss"], pair["default"]["log_loss"]) == (0.1, 0.5)
    assert pair["default"].keys() == {"log_loss", "auroc", "balanced_accuracy"}


def test_fresh_seeds_are_told_in_their_place_where_both_have_them(paths: Paths) -> None:
    made = study(paths, "s", scored(trials()))
    config = made.config()
    search = config.search.model_copy(update={"confirm_seeds": 2})
    write_text(
        made.folder / "config.yaml",
        yaml.safe_dump(config.model_copy(update={"search": search}).model_dump(mode="json")),
    )
    for seed in (43, 44):
        for number in (0, 1, 2, 3):
            made.ask(number, Point(**dict(zip(DEFAULT, POINTS[number], strict=True))))
            confirm(made, number, seed, 0.1 * (number + 1) + 0.01 * (seed - 43))
    choice = chosen_from(paths, "s")
    (pair,) = told(choice, 3)["default"]["beside"]
    assert pair["where"] == "mean of 2 fresh seeds in the search on s"
    assert pair["promoted"] == pytest.approx({"log_loss": 0.405, "auroc": 0.595})
    assert pair["default"] == pytest.approx({"log_loss": 0.105, "auroc": 0.895})
    (other,) = told(choice, 4)["default"]["beside"]
    assert other["where"].startswith("trials of the search")


def test_a_default_that_was_stopped_or_wins_stands_beside_nothing(paths: Paths) -> None:
    study(paths, "s", scored([ended(0, 0.5, "PRUNED", came=30), *trials()[1:]]))
    assert told(chosen_from(paths, "s"), 3)["default"]["beside"] == []
    assert told(chosen_from(paths, "s"), 0)["default"]["beside"] == []


def test_the_largest_fraction_of_the_target_that_both_ran_on_is_told(paths: Paths) -> None:
    study(paths, "s", scored(trials()))
    chosen, place = selection(chosen_from(paths, "s"), paths), Place(paths)
    place.settle(chosen, Trainer(lambda train: train.learning_rate))
    lineage = chosen.lineage(place.run)
    assert lineage["trial"] == 0  # the lowest rate has the lowest log loss
    assert lineage["default"]["beside"] == []
    pairs = told(chosen.choice, 1, read_json(place.run.folder / "rungs.json"))["default"]["beside"]
    assert [pair["where"] for pair in pairs[1:]] == ["runs on 5 % of the train rows"]
    assert (pairs[1]["train_rows"], pairs[1]["rows"]) == (4_000, 70)
    assert (pairs[1]["promoted"], pairs[1]["default"]) == ({"log_loss": 2e-4}, {"log_loss": 1e-4})


TRAIN = {"max_rows": None, "learning_rate": 5e-4, "lora_rank": 8, "lora_alpha": 8.0, "seed": 42}
DATA = {"name": "set", "revision": "a", "fingerprint": "b", "split_hash": None}
TEST = {"rows": 40, "log_loss": 0.25, "auroc": 0.75, "balanced_accuracy": 0.5}


def full_run(folder: Path, train: dict[str, Any], **test: float) -> RunFolder:
    folder.mkdir(parents=True)
    write_text(folder / "config.yaml", yaml.safe_dump({"dataset": DATA, "train": train}))
    write_json(folder / "result.json", {})
    write_json(folder / "metrics.json", {"test": {**TEST, **test}})
    return RunFolder(folder, folder / "logs")


@pytest.fixture
def promoted(tmp_path: Path) -> RunFolder:
    run = full_run(tmp_path / "run", TRAIN)
    params = {key: TRAIN[key] for key in DEFAULT}
    told = {"params": params, "rows": {"train": 100}, "default": {"params": DEFAULT, "beside": []}}
    write_json(run.folder / "lineage.json", told)
    return run


def test_a_full_run_of_the_default_on_the_same_data_is_found_later(promoted: RunFolder) -> None:
    assert add_default(promoted) == []
    assert read_json(promoted.folder / "metrics.json")["default"] == []
    full_run(promoted.folder.parent / "the-default", {**TRAIN, **DEFAULT}, log_loss=0.5)
    assert add_default(promoted) == ["default  log loss 0.5000, promoted 0.2500: the full run in the-default"]
    (pair,) = read_json(promoted.folder / "metrics.json")["default"]
    assert (pair["split"], pair["train_rows"], pair["rows"]) == ("test", 100, 40)
    assert pair["default"] == {"log_loss": 0.5, "auroc": 0.75, "balanced_accuracy": 0.5}


@pytest.mark.parametrize("case", ["another seed", "other test rows", "unfinished", "other data", "damaged"])
def test_a_run_that_differs_in_more_is_not_taken_for_the_default(case: str, promoted: RunFolder) -> None:
    other = promoted.folder.parent / "other"
    train = {**TRAIN, **DEFAULT, "seed": 43 if case == "another seed" else 42}
    full_run(other, train, rows=39 if case == "other test rows" else 40)
    if case == "unfinished":
        (other / "result.json").unlink()
    if case == "other data":
        write_text(
            other / "config.yaml", yaml.safe_dump({"dataset": {**DATA, "split_hash": "c"}, "train": train})
        )
    if case == "damaged":
        write_text(other / "config.yaml", "a: [")
    assert add_default(promoted) == []


def test_a_run_without_a_search_has_nothing_beside_it(promoted: RunFolder) -> None:
    write_json(promoted.folder / "lineage.json", {"study": None})
    shutil.copytree(promoted.folder, promoted.folder.parent / "copy")
    assert add_default(promoted) == []
    assert "default" not in read_json(promoted.folder / "metrics.json")
