"""How much one run computes, counted from the lengths of its rows in the way the loop cuts them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train_fn.batching import Rows, Steps, micro_batches, padded, rank_share, stratified_subset
from train_fn.cache import Split, open_set
from train_fn.config import TrainConfig
from train_fn.evaluation import EVAL_BUDGET
from train_fn.job import Kind
from train_fn.rows import SEED, training_data
from train_fn.schedule import evaluation_points
from train_fn.state import TrainingData

SAMPLED_STEPS = 256  # evenly over the run: padding differs little from step to step


@dataclass(frozen=True)
class Work:
    """One run on its first rank. Tokens count with their padding, where there is any.

    `tokens` [widths] are trained on in micro-batches of `widths` [widths] tokens a row, ascending; `percents` are
    its evaluations; `eval_tokens` those of one of them, `before_tokens` of the evaluation before training,
    `after_tokens` of the rows that are scored at the end; `covered` says that each evaluation scores these too.
    """

    steps: int
    widths: NDArray[np.int64]
    tokens: NDArray[np.float64]
    percents: tuple[int, ...]
    eval_tokens: int
    before_tokens: int
    after_tokens: int
    covered: bool


def count_work(folder: Path, config: TrainConfig, kind: Kind, *, ranks: int = 1) -> Work:
    """The work of a run on the tokenised set in `folder`; `config` is one of a device (Base.resolve).

    That patience may end it before 100 % is not foreseen.
    """
    opened = open_set(folder)
    data = training_data(config, opened, kind)
    plan = Steps(data.train_rows, config.batch_size, config.epochs, config.seed)
    batches, scale = sampled_batches(data, config, ranks)
    widths, where = np.unique([batch_width(data.train, batch) for batch in batches], return_inverse=True)
    tokens = np.bincount(where, [batch_tokens(data.train, batch, config) for batch in batches]).astype(
        np.float64
    )
    final = [(opened.validation, data.final_rows)]
    if kind == "full":
        final.append((opened.test, np.arange(len(opened.test))))
    firsts = [(split, stratified_subset(split.labels, config.eval_before_rows, SEED)) for split, _ in final]
    return Work(
        steps=plan.total,
        widths=widths,
        tokens=tokens * scale,
        percents=tuple(evaluation_points(plan.total, config.evaluations).values()),
        eval_tokens=eval_tokens(opened.validation, data.eval_rows, config, ranks),
        before_tokens=sum(eval_tokens(split, rows, config, ranks) for split, rows in firsts),
        after_tokens=sum(eval_tokens(split, rows, config, ranks) for split, rows in final),
        covered=kind != "full" and np.array_equal(data.final_rows, data.eval_rows),
    )


def sampled_batches(data: TrainingData, config: TrainConfig, ranks: int) -> tuple[list[Rows], float]:
    """The first rank's micro-batches of steps drawn evenly from a run, and the steps of the run for each drawn."""
    plan = Steps(data.train_rows, config.batch_size, config.epochs, config.seed)
    steps = np.linspace(0, plan.total - 1, min(plan.total, SAMPLED_STEPS)).round().astype(int)
    batches: list[Rows] = []
    for step in steps.tolist():
        rows = plan[step]
        mine = rank_share(rows, data.train.lengths[rows], 0, ranks)
        batches += micro_batches(mine, data.train.lengths[mine], config.token_budget, packed=config.packed)
    return batches, plan.total / len(steps)


def batch_width(split: Split, rows: Rows) -> int:
    """What the rows of one micro-batch are padded to; of a packed one, the same of its longest."""
    return padded(int(split.lengths[rows].max()))


def batch_tokens(split: Split, rows: Rows, config: TrainConfig) -> int:
    """The tokens of one micro-batch, padding included."""
    return int(split.lengths[rows].sum()) if config.packed else batch_width(split, rows) * len(rows)


def eval_tokens(split: Split, rows: Rows, config: TrainConfig, ranks: int) -> int:
    """The tokens that the first rank scores of `rows`, with their padding, as evaluation.Scorer cuts them."""
    mine = rank_share(rows, split.lengths[rows], 0, ranks)
    budget = config.token_budget * EVAL_BUDGET
    batches = micro_batches(mine, split.lengths[mine], budget, packed=config.packed)
    return sum(batch_tokens(split, batch, config) for batch in batches)
