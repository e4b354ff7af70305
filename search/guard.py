"""What a promotion's target shares with the rows of the search that chose its configuration."""

from typing import TYPE_CHECKING

import numpy as np

from search.study import Study
from train_fn.arrays import read_array
from train_fn.config import LABELS, DatasetSpec, TrainConfig
from train_fn.errors import InputError
from train_fn.storage import Paths, atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from train_fn.contamination import Overlap
    from train_fn.inputs import Inputs
    from train_fn.tokenized import TokenizedSet


def record_texts(
    study: Study,
    spec: DatasetSpec,
    train: TrainConfig,
    inputs: "Inputs",
    paths: Paths,
    say: "Callable[[str], None]",
) -> None:
    """Keep with the study which texts its trials train on. Its settings fix them, so once is enough."""
    from train_fn.contamination import texts_of
    from train_fn.groups import find_groups
    from train_fn.rows import training_data
    from train_fn.tokenized import open_set

    if study.texts_file.exists():
        return
    groups, opened = find_groups(inputs.source, spec.slug, paths, say), open_set(inputs.data)
    texts = texts_of(opened, "train", training_data(train, opened).train_rows, groups)
    with atomic_file(study.texts_file) as temporary, temporary.open("wb") as file:
        np.save(file, texts)


def find_seen(
    study: Study,
    spec: DatasetSpec,
    inputs: "Inputs",
    paths: Paths,
    say: "Callable[[str], None]",
    *,
    decontaminate: bool,
) -> "Overlap":
    """Say how many scored rows of the target the search trained on.

    Raises InputError when the study does not tell, or when leaving them out would leave nothing to score.
    """
    from train_fn.contamination import find_overlap
    from train_fn.groups import find_groups
    from train_fn.tokenized import open_set

    if not study.texts_file.exists():
        raise InputError(
            f"{study.texts_file} must say which texts the search trained on, but is missing; run the search's "
            "command again, which writes it"
        )
    data = open_set(inputs.data)
    groups = find_groups(inputs.source, spec.slug, paths, say)
    overlap = find_overlap(read_array(study.texts_file), data, groups)
    for line in overlap.lines():
        say(line)
    if decontaminate:
        for split, rows in overlap.rows.items():
            _require_classes(data, split, rows)
        say("seen     these rows are left out of every score (--decontaminate)")
    elif any(map(len, overlap.rows.values())):
        say("seen     they are scored all the same; --decontaminate leaves them out of every score")
    return overlap


def _require_classes(data: "TokenizedSet", split: str, left_out: np.ndarray) -> None:
    labels = np.delete(np.asarray(getattr(data, split).labels), left_out)
    if len(np.unique(labels)) < len(LABELS):
        raise InputError(
            f"--decontaminate must leave rows of both classes to score, but of {split} it leaves {len(labels):,} "
            f"of {len(left_out) + len(labels):,} rows; promote to a set that the search did not train on"
        )
