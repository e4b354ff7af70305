"""Folders of rows whose copies, lengths and labels are known, for the tests of the audit."""

import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from folders import SPLITS, write
from letters import write_tokenizer

from train_fn.config import DatasetSpec, TrainConfig

AI, HUMAN = "AI_Generated", "Human_Written"
Row = tuple[str, str, str | None]  # text, label, domain


def text(number: int, words: int = 30) -> str:
    """Words of five letters that no other number has: 6 * words - 1 characters."""
    rng = np.random.default_rng(number)
    return " ".join("".join(rng.choice(list(string.ascii_lowercase), 5)) for _ in range(words))


def attacked(original: str) -> str:
    """The same words to a reader."""
    return original.title().replace(" ", "  ")


def planted(folder: Path, **splits: Sequence[Row]) -> Path:
    for name in SPLITS:
        texts, labels, domains = map(list, zip(*splits[name], strict=True))
        write(folder / f"{name}.parquet", {"text": texts, "label": labels, "domain": domains})
    return folder


def copies(folder: Path, groups: int = 60) -> Path:
    """Every text stands three times in train, once in validation and once in test, never to the letter.

    Its label cannot be told from its words but by having seen a copy.
    """
    splits: dict[str, list[Row]] = {name: [] for name in SPLITS}
    for number in range(groups):
        words, label = text(number), (AI, HUMAN)[number % 2]
        rows = [words, words.upper(), words + "!", words.title(), attacked(words)]
        for name, row in zip(("train", "train", "train", "validation", "test"), rows, strict=True):
            splits[name].append((row, label, "wiki"))
    return planted(folder, **splits)


def tokenizer(folder: Path) -> str:
    """A token for each letter of a to z, and one for the end."""
    return str(write_tokenizer(folder, ["<pad>", "<end>", *string.ascii_lowercase]))


def settings(folder: Path, model: str, **changes: object) -> tuple[DatasetSpec, TrainConfig]:
    spec = DatasetSpec(name="set", path=folder, published_weights=(0.9, 1.1))
    return spec, TrainConfig(**{"model": model, "max_length": 128, **changes})  # type: ignore[arg-type]
