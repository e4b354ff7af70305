"""The leakage premium is told when a run exists on published and on grouped splits, and only then."""

from pathlib import Path

import pytest
import yaml

from train_fn.premium import premium_lines
from train_fn.run_folder import RunFolder
from train_fn.storage import Paths, write_json

TRAIN = {"splits": "published", "learning_rate": 1e-4}


def finished(paths: Paths, name: str, right: tuple[int, int], **train: object) -> RunFolder:
    """A finished run with 100 rows of each class, so many of them right."""
    run = RunFolder.of(paths, name)
    run.folder.mkdir(parents=True)
    matrix = [[right[0], 100 - right[0]], [100 - right[1], right[1]]]
    accuracy = sum(right) / 200
    test = {"balanced_accuracy": accuracy, "auroc": accuracy, "log_loss": 1 - accuracy}
    write_json(run.folder / "metrics.json", {"test": {**test, "confusion_matrix": matrix}})
    write_json(run.folder / "result.json", {})
    (run.folder / "config.yaml").write_text(yaml.safe_dump({"train": {**TRAIN, **train}}))
    return run


def test_the_premium_is_published_minus_grouped_with_its_doubt(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path / "output")
    published = finished(paths, "model-set", (90, 80))
    assert premium_lines(published, paths) == []
    grouped = finished(paths, "model-set-grouped", (70, 80), splits="grouped")
    lines = premium_lines(grouped, paths)
    assert lines == premium_lines(published, paths)
    assert "balanced_accuracy: 0.8500 on published splits, 0.7500 on grouped: premium +0.1000" in lines[0]
    # sqrt(0.9 * 0.1 / 100 + 0.8 * 0.2 / 100) / 2 = 0.0250 and sqrt(0.21 / 100 + 0.16 / 100) / 2 = 0.0304
    doubt = float(lines[0].split("+- ")[1].rstrip(")"))
    assert doubt == pytest.approx(1.96 * (0.025**2 + 0.0304**2) ** 0.5, abs=1e-4)
    assert "log_loss: 0.1500 on published splits, 0.2500 on grouped: premium -0.1000" in lines[2]
    assert len(lines) == 3


def test_runs_that_differ_in_more_than_their_splits_are_told_apart(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path / "output")
    run = finished(paths, "model-set", (90, 80))
    finished(paths, "model-set-grouped", (70, 80), splits="grouped", learning_rate=3e-4)
    assert premium_lines(run, paths)[-1] == (
        "leakage  the two runs differ in learning_rate too, so not all of it is leakage"
    )
