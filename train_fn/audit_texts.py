"""The part of an audit that reads texts: shortcuts, and what leakage is worth, on a sample of whole groups."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from train_fn.audit_counts import Rows
from train_fn.audit_facts import Accuracy, Leakage, Shortcuts
from train_fn.config import DatasetSpec, Splits, TrainConfig
from train_fn.errors import InputError
from train_fn.hub import SPLITS
from train_fn.pages import read_once
from train_fn.shortcuts import Sample, balanced, find_shortcuts, word_scores
from train_fn.source import Source
from train_fn.storage import Paths

if TYPE_CHECKING:
    from datasets import DatasetDict

SAMPLE_ROWS = 60_000  # the premium to about 0.012 (95 %), in two fits of a minute or two and some 2 GB
SAMPLE_CHARACTERS = 120_000_000  # bounds the memory when texts are long
SAMPLE_SEED = 0
TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")

Say = Callable[[str], None]


def grouped_splits(
    source: Source, spec: DatasetSpec, paths: Paths, config: TrainConfig, say: Say
) -> NDArray[np.int8] | str:
    """The split of each row, int8 [rows], when no group is cut; or why there is no such split."""
    from train_fn.splits import load_assigned

    try:
        places = load_assigned(source, spec.slug, paths, "grouped", config.split_seed, say).places
    except InputError as error:
        return str(error)
    split = np.zeros(sum(map(len, places.values())), np.int8)
    for number, name in enumerate(SPLITS):
        split[places[name]] = number
    return split


def read_texts(
    rows: Rows,
    splits: "DatasetDict",
    group: NDArray[np.int64],
    grouped: NDArray[np.int8] | str,
    say: Say,
) -> tuple[Shortcuts, Leakage]:
    """Fit what needs the texts themselves, on a sample of whole groups. `grouped` is from `grouped_splits`."""
    places = draw_groups(group, rows.characters)
    say(f"AUROC    reading {len(places):,} of {len(group):,} texts to see what gives the classes away")
    sample = Sample(take_texts(splits, places), rows.label[places], rows.domain[places], rows.domains)
    kinds: dict[Splits, NDArray[np.int8]] = {"published": rows.published}
    if not isinstance(grouped, str):
        kinds["grouped"] = grouped  # the last one: shortcuts are looked for where nothing leaks
    accuracy: dict[Splits, Accuracy | None] = {"published": None, "grouped": None}
    for kind, split in kinds.items():
        train, test = (np.flatnonzero(split[places] == number) for number in (TRAIN, TEST))
        scores = word_scores(sample, train, test)
        accuracy[kind] = balanced(sample, test, scores)
    overall, domains = find_shortcuts(sample, train, test, scores)
    shortcuts = Shortcuts(
        splits=kind, train_rows=len(train), test_rows=len(test), overall=overall, domains=domains
    )
    refused = grouped if isinstance(grouped, str) else None
    return shortcuts, Leakage(rows=len(places), refused=refused, **accuracy)


def draw_groups(group: NDArray[np.int64], characters: NDArray[np.int32]) -> NDArray[np.int64]:
    """The places of whole groups, drawn until there are SAMPLE_ROWS rows or SAMPLE_CHARACTERS characters.

    Drawn by row, a sample would leave the relatives of its test rows behind, and with them the leakage.
    """
    sizes = np.bincount(group)
    lengths = np.bincount(group, weights=characters)
    order = np.random.default_rng(SAMPLE_SEED).permutation(len(sizes))
    fits = (np.cumsum(sizes[order]) <= SAMPLE_ROWS) & (np.cumsum(lengths[order]) <= SAMPLE_CHARACTERS)
    drawn = np.zeros(len(sizes), np.bool_)
    drawn[order[fits]] = True
    return np.flatnonzero(drawn[group])


def take_texts(splits: "DatasetDict", places: NDArray[np.int64]) -> list[str]:
    """The texts of these places, in ascending order, chunk by chunk: a whole column would be copied."""
    texts: list[str] = []
    start = 0
    for name in SPLITS:
        for chunk in read_once(splits[name].data.table["text"]):
            first, last = np.searchsorted(places, (start, start + len(chunk)))
            texts += chunk.take(pa.array(places[first:last] - start)).to_pylist()
            start += len(chunk)
    return texts
