"""Which rows a run trains on, which steer it, and which it is scored on at its end.

A search compares its trials on one half of validation, and its confirmation is judged on the other: among many
configurations some suit the rows by chance on which they are compared, whatever the seed, and would still look
better on these very rows. Of simulated searches among 20 equals 16 % said so, and 5 % should at most
(tests/test_verdict.py, 1,000 rows, 0.15 nats of such chance a row, little noise of seeds). Related rows lie in one
half: what suits a text suits its copies, and these would judge what the text has chosen.
"""

from pathlib import Path

import numpy as np

from train_fn.batching import Rows, stratified_subset
from train_fn.cache import TokenizedSet
from train_fn.config import LABELS, TrainConfig, Weights, find_dataset
from train_fn.contamination import scored_rows
from train_fn.errors import InputError
from train_fn.groups import related
from train_fn.job import Kind
from train_fn.loss import class_weights, label_counts
from train_fn.state import TrainingData

HALVES = 2  # raise it when the same rows are halved otherwise
SEED = 0  # the rows to evaluate on are the same whatever the run's seed, so that seeds compare


def training_data(
    config: TrainConfig, data: TokenizedSet, kind: Kind = "full", left_out: Path | None = None
) -> TrainingData:
    """The rows of a run, and its class weights from those that it trains on. Raises InputError."""
    rows = stratified_subset(data.train.labels, config.max_rows, SEED)
    published: Weights | None = None
    if config.class_weights == "published":
        published = find_dataset(data.meta.dataset).published_weights
    weights = class_weights(config.class_weights, label_counts(data.train.labels[rows]), published)
    steer, end = _validation(data, kind, left_out)
    eval_rows = steer[stratified_subset(data.validation.labels[steer], config.eval_rows, SEED)]
    return TrainingData(
        train=data.train,
        train_rows=rows,
        validation=data.validation,
        eval_rows=eval_rows,
        final_rows=eval_rows if kind == "rung" else end,
        pad_id=data.meta.pad_token_id,
        weights=weights,
    )


def _validation(data: TokenizedSet, kind: Kind, left_out: Path | None) -> tuple[Rows, Rows]:
    """The validation rows that steer a run, and those that it is scored on at its end."""
    everything = scored_rows("validation", len(data.validation), left_out)
    if kind not in ("trial", "confirm"):
        return everything, everything
    labels = data.validation.labels
    group = related(data, "validation")[everything]
    _, first, code = np.unique(group, return_index=True, return_inverse=True)
    chosen = stratified_subset(labels[everything[first]], len(first) // 2, SEED)
    compared = everything[np.isin(code, chosen)]
    judged = np.setdiff1d(everything, compared, assume_unique=True)
    if len(first) < 4 or any(len(np.unique(labels[half])) < len(LABELS) for half in (compared, judged)):
        raise InputError(
            "a search needs two unrelated validation rows of each class, one half to compare trials on and one to "
            f"judge the winner on, but got {label_counts(labels[everything])} rows of {' and '.join(LABELS)} in "
            f"{len(first)} groups of related ones; add rows to the validation split"
        )
    return compared, judged if kind == "confirm" else compared
