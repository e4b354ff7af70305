"""Scores of validation and test texts that are planted, as a run would have left them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from train_fn.evaluation import Scores
from train_fn.results import write_predictions
from train_fn.scored import Scored, read_scored

AI, HUMAN = 0, 1


class Planted:
    """A tokenised set as far as predictions and evaluation ask: the columns of its rows."""

    def __init__(self, **splits: pa.Table) -> None:
        self._splits = splits

    def rows(self, name: str) -> pa.Table:
        return self._splits[name]


def about(domain: Sequence[str | None], model: Sequence[str | None], first: int = 0) -> pa.Table:
    places = np.arange(first, first + len(domain))
    return pa.table({"domain": domain, "model": model, "place": places})


def texts(count: int, seed: int, domains: Sequence[str] = ("books", "news", "wiki")) -> dict[str, Any]:
    """So many texts: their margin overlaps by class, differs by domain, and is three times too sure."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    domain = rng.integers(0, len(domains), count)
    model = np.where(labels == AI, rng.choice(["gpt4", "llama", "mpt"], count), "human")
    margin = 3 * (rng.normal(0, 1.5, count) + np.where(labels == AI, 1, -1) + domain / 2)
    return {
        "margin": margin.astype(np.float32),
        "labels": labels,
        "about": about([domains[number] for number in domain], model.tolist(), first=seed * count),
    }


def logits(margin: np.ndarray) -> np.ndarray:
    return np.stack([margin, np.zeros_like(margin)], axis=1).astype(np.float32)


def plant(folder: Path, validation: dict[str, Any], test: dict[str, Any]) -> Planted:
    """Write predictions.parquet of these `texts`: all rows of their splits, or the `rows` that they name."""
    splits = {"validation": validation, "test": test}
    data: Any = Planted(**{name: part["about"] for name, part in splits.items()})
    scores = {
        name: Scores(part.get("rows", np.arange(len(part["labels"]))), logits(part["margin"]), part["labels"])
        for name, part in splits.items()
    }
    write_predictions(data, scores, folder / "predictions.parquet")
    return data


def read(folder: Path) -> tuple[Scored, Scored]:
    """Validation and test."""
    path = folder / "predictions.parquet"
    return read_scored(path, "validation"), read_scored(path, "test")
