"""Real texts, where a folder of them is at hand: DETECTOR_REAL_DATA names it (train, validation, test)."""

import os
from pathlib import Path

import pytest

from train_fn.baseline import tfidf_baseline
from train_fn.config import LABELS, find_dataset
from train_fn.data import load_splits
from train_fn.storage import Paths

FOLDER = os.environ.get("DETECTOR_REAL_DATA", "")
pytestmark = pytest.mark.skipif(
    not Path(FOLDER or "-").is_dir(), reason="DETECTOR_REAL_DATA names no folder of texts"
)


def test_real_texts_load_and_the_baseline_stands_where_it_was_measured(tmp_path: Path) -> None:
    splits = load_splits(find_dataset(FOLDER), paths=Paths(tmp_path / "output")).splits
    train, test = splits["train"], splits["test"]
    assert set(train["label"]) == set(range(len(LABELS)))
    found = tfidf_baseline(train["text"], train["label"], test["text"], test["label"])
    assert 0.82 < found < 0.88
