"""How fast this machine trains the model, measured in seconds:  python -m train_fn.probe SCRATCH

A process of its own, so that the GPU's memory is free again after it. It loads the real base and runs
micro-batches of the data as the loop cuts them, the longest first: a run that does not fit fails here at once.
SCRATCH holds the ProbeJob, and takes what was found, or why nothing was.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from train_fn import checkpoint
from train_fn.batching import Rows
from train_fn.cache import TokenizedSet, open_set
from train_fn.config import TrainConfig
from train_fn.evaluation import EVAL_BUDGET, Scorer
from train_fn.fitting import fit
from train_fn.job import Job, cause_of
from train_fn.loop import Learner, Quiet, make_learner, step_gradient
from train_fn.measured import ASKED, FAILED, FOUND, Measured, Pace, ProbeJob
from train_fn.model import Detector, attach
from train_fn.results import Result, deliver
from train_fn.rows import training_data
from train_fn.state import TrainingData, TrainState
from train_fn.stopwatch import SECONDS, Stopwatch
from train_fn.storage import read_json, write_json
from train_fn.worker import default_device, device_name, prepare_device, warm_base
from train_fn.workload import batch_tokens, batch_width, eval_tokens, sampled_batches

GROUPS = 4  # of micro-batches by length, each with about as many tokens
BATCHES = 3  # of a group, evenly over it


def measure(job: ProbeJob) -> Measured:
    """What the device does in a second. Raises what a run would raise, out of memory for one."""
    device = default_device()
    prepare_device(device, job.memory_fraction)
    opened, watch = open_set(job.data), Stopwatch(device)
    start = time.monotonic() - job.launched
    load = watch.once(lambda: warm_base(job.model, job.train, device))
    base = warm_base(job.model, job.train, device)
    run = Job(
        "probe", job.scratch / "run", job.train, job.model, job.data, None, "trial", job.memory_fraction
    )
    config = fit(run, base, base.resolve(job.train))
    data = training_data(config, opened)

    def fresh() -> tuple[Detector, Learner]:
        detector = attach(base, config)
        return detector, make_learner(detector, detector.trainable(), config)

    attached = watch.mean(fresh)
    detector, learner = fresh()
    detector.train()
    return Measured(
        device=device_name(device),
        attention=config.attention,
        micro_batch_tokens=config.token_budget,
        threads=torch.get_num_threads(),
        start=start,
        load=load,
        attach=attached,
        paces=_paces(learner, data, config, job.ranks, watch),
        evaluation=_evaluation(learner, data, config, watch),
        update=watch.mean(lambda: _update(learner, config)),
        checkpoint=watch.mean(lambda: _checkpoint(learner, job.scratch)),
        deliver=_deliver(detector, opened, data, config, run, watch),
        warm_up=watch.warm_up,
    )


def _paces(
    learner: Learner, data: TrainingData, config: TrainConfig, ranks: int, watch: Stopwatch
) -> tuple[Pace, ...]:
    """The pace of each group of micro-batches, of forward and backward passes alone."""
    found = []
    for group in reversed(length_groups(data, config, sampled_batches(data, config, ranks)[0])):
        tokens = [batch_tokens(data.train, batch, config) for batch in group]
        widths = [batch_width(data.train, batch) for batch in group]

        def passes(group: Sequence[Rows] = group) -> None:
            for batch in group:
                step_gradient(learner.model, data, batch, config, Quiet())

        pace = watch.mean(passes) / sum(tokens)
        found.append(Pace(width=float(np.average(widths, weights=tokens)), seconds_per_token=pace))
    return tuple(reversed(found))


def length_groups(data: TrainingData, config: TrainConfig, batches: Sequence[Rows]) -> list[list[Rows]]:
    """At most GROUPS groups of BATCHES of the micro-batches, ascending by length; one length is in one group."""
    widths = np.array([batch_width(data.train, batch) for batch in batches])
    tokens = np.array([batch_tokens(data.train, batch, config) for batch in batches])
    _, where = np.unique(widths, return_inverse=True)
    sums = np.bincount(where, tokens)
    middle = (np.cumsum(sums) - sums / 2) / sums.sum()
    group_of = (GROUPS * middle).astype(int)[where]
    groups = []
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        members = members[np.argsort(widths[members], kind="stable")]
        places = np.linspace(0, len(members) - 1, min(BATCHES, len(members))).round().astype(int)
        groups.append([batches[member] for member in members[places]])
    return groups


def _evaluation(learner: Learner, data: TrainingData, config: TrainConfig, watch: Stopwatch) -> float:
    """Seconds a padded token, with rows for a micro-batch of an evaluation; of training, where that is slow."""
    score = Scorer(learner.model, data.pad_id, config)
    split, rows = data.validation, data.eval_rows

    def timed(budget: int) -> tuple[float, float]:
        count = min(len(rows), max(1, int(budget / split.lengths[rows].mean())))
        some = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
        return watch.mean(lambda: score(split, some)), eval_tokens(split, some, config, 1)

    seconds, tokens = timed(config.token_budget)
    if seconds < SECONDS:
        seconds, tokens = timed(config.token_budget * EVAL_BUDGET)
    return seconds / tokens


def _update(learner: Learner, config: TrainConfig) -> None:
    nn.utils.clip_grad_norm_(learner.parameters.values(), config.max_grad_norm).item()
    learner.optimizer.step()


def _checkpoint(learner: Learner, folder: Path) -> None:
    weights = checkpoint.snapshot(learner.parameters)
    optimizer = checkpoint.optimizer_tensors(learner.optimizer, learner.parameters)
    position = checkpoint.Position.of(TrainState(), {})
    checkpoint.save(folder / "checkpoints", checkpoint.Checkpoint(position, weights, optimizer, weights))


def _deliver(
    detector: Detector,
    opened: TokenizedSet,
    data: TrainingData,
    config: TrainConfig,
    run: Job,
    watch: Stopwatch,
) -> float:
    """Seconds of the files that a run leaves, the figures of some rows in them."""
    score = Scorer(detector, data.pad_id, config)
    scores = score(data.validation, data.eval_rows[:1])
    result = Result({}, scores.metrics(), {"validation": scores})
    return watch.mean(lambda: deliver(run, opened, detector, result))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write Measured or the cause of failure; returns 1 after a failure."""
    (folder,) = sys.argv[1:] if argv is None else argv
    job = ProbeJob.model_validate(read_json(Path(folder) / ASKED))
    try:
        found = measure(job)
    except Exception as error:  # whatever it is, the run that is forecast shall not be stopped by it
        write_json(job.scratch / FAILED, {"cause": cause_of(error)})
        return 1
    write_json(job.scratch / FOUND, found.model_dump(mode="json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
