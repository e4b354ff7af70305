"""One run from its job to its files: what a TorchTrainer worker does, in a search and in a promotion.

`run` serves a search: it ends every failure as a row, for an error would cost the warm worker. `train_fn` is what
a promotion's TorchTrainer starts on every rank: there an error is raised, and Ray's failure policy answers it.
"""

import gc
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from train_fn import checkpoint
from train_fn.bar import logged
from train_fn.batching import Rows, stratified_subset
from train_fn.cache import Split, TokenizedSet, open_set
from train_fn.config import TrainConfig, Weights, find_dataset
from train_fn.evaluation import predict
from train_fn.loop import NonFiniteLossError, Row, TrainingData, TrainState, make_optimizer, train
from train_fn.loss import class_weights, label_counts
from train_fn.metrics import Metrics, compute
from train_fn.model import Base, Detector, attach, load_base
from train_fn.monitor import Monitor, StoppedError, no_progress
from train_fn.results import Scores, deliver
from train_fn.tracking import RunInfo

EVAL_SEED = 0  # the rows to evaluate on are the same whatever the run's seed, so that seeds compare
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Job:
    """One run: its configuration, its tokenised data, and the folder that is its record."""

    run_id: str
    folder: Path
    train: TrainConfig
    model: str  # where the base is loaded from: a folder
    data: Path
    tracking: RunInfo | None
    score_test: bool
    memory_fraction: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended: COMPLETE, FAILED or STOPPED, and why."""

    status: str
    cause: str = ""


def default_device() -> torch.device:
    """The GPU that this process may use, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def run(job: Job, send: Callable[[Row], None], stopped: Callable[[], str]) -> Outcome:
    """Run a trial in this process; `send` gets its rows, the last one with `done`, whatever happens."""
    monitor = Monitor(job.run_id, job.folder, job.tracking, send=send, stopped=stopped)
    try:
        execute(job, monitor, default_device())
        return Outcome("COMPLETE", monitor.cause)
    except StoppedError as stop:
        if str(stop) == "PRUNED":
            monitor.drop_checkpoints()
        monitor.end(str(stop))
        return Outcome("STOPPED", str(stop))
    except Exception as error:  # every other end of a trial is a row that names its cause
        cause = _cause(error)
        monitor.fail(cause)
        return Outcome("FAILED", cause)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def train_fn(config: dict[str, Any]) -> None:
    """What a promotion's TorchTrainer runs on every rank; `config` holds the Job and the progress file."""
    from ray.train.torch import get_device

    from train_fn.monitor import file_progress
    from train_fn.tracking import close_all

    job, first = config["job"], not dist.is_initialized() or dist.get_rank() == 0
    progress = file_progress(Path(config["progress"])) if first else no_progress
    log = logged(Path(config["log"])) if first else nullcontext()
    monitor = Monitor(job.run_id, job.folder, job.tracking if first else None, progress=progress, first=first)
    try:
        with log:
            execute(job, monitor, get_device())
    except Exception as error:
        monitor.end("FAILED", _cause(error))  # its checkpoints stay: Ray may start it again
        raise
    finally:
        close_all()


def execute(job: Job, monitor: Monitor, device: torch.device) -> None:
    """Load, evaluate, train from the last checkpoint, score, and write the results. Raises what goes wrong."""
    config, data = job.train, open_set(job.data)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.cuda.set_per_process_memory_fraction(job.memory_fraction, device)
    monitor.stage("loading the 4-bit base")
    base = _warm_base(job.model, _base_key(config), device)
    detector = attach(base, config)
    parameters = detector.trainable()
    optimizer = make_optimizer(parameters, config)
    training = training_data(config, data)
    state = TrainState()
    threads = torch.get_num_threads()
    decided = _decided(config, base)
    found = checkpoint.load(job.folder / "checkpoints")
    if found is not None:
        state = monitor.resume(found, parameters, optimizer, decided)
    try:
        _train_and_deliver(job, monitor, detector, optimizer, training, data, state, decided, base)
    finally:
        torch.set_num_threads(threads)


def _train_and_deliver(
    job: Job,
    monitor: Monitor,
    detector: Detector,
    optimizer: torch.optim.AdamW,
    training: TrainingData,
    data: TokenizedSet,
    state: TrainState,
    decided: dict[str, Any],
    base: Base,
) -> None:
    config, parameters = job.train, detector.trainable()
    monitor.begin(state, config, parameters, optimizer, decided, training)
    world = dist.get_world_size() if dist.is_initialized() else 1
    model = DistributedDataParallel(detector) if world > 1 else detector

    def score(split: Split, rows: Rows) -> Scores:
        logits = predict(
            model, split, rows, pad_id=training.pad_id, device=base.device,
            budget=config.micro_batch_tokens, check=monitor.micro_batch,
        )  # fmt: skip
        return Scores(rows, logits, split.labels[rows])

    if not state.before and config.eval_before_rows:
        monitor.stage("evaluating before training")
        state.before = _score_before(config, data, score, job.score_test)
        monitor.before(state)
    monitor.stage("training")
    train(model, parameters, optimizer, training, config, monitor, state)
    monitor.stage("evaluating the best weights")
    if state.best_weights is None:
        raise NonFiniteLossError("no evaluation gave a finite validation log loss")
    checkpoint.restore(parameters, state.best_weights)
    everything = np.arange(len(data.validation))
    if job.score_test or len(training.eval_rows) < len(everything):
        validation = score(data.validation, everything)
        metrics = compute(validation.logits, validation.labels)
    else:  # the best evaluation was on these very rows
        validation, metrics = None, Metrics(**state.best_metrics)
    test = score(data.test, np.arange(len(data.test))) if job.score_test else None
    monitor.complete(state, metrics, lambda: deliver(job, data, detector, state, metrics, validation, test))


def _score_before(
    config: TrainConfig, data: TokenizedSet, score: Callable[[Split, Rows], Scores], test: bool
) -> dict[str, Any]:
    splits = {"validation": data.validation} | ({"test": data.test} if test else {})
    found = {}
    for name, split in splits.items():
        scores = score(split, stratified_subset(split.labels, config.eval_before_rows, EVAL_SEED))
        found[name] = compute(scores.logits, scores.labels).model_dump(mode="json")
    return found


def training_data(config: TrainConfig, data: TokenizedSet) -> TrainingData:
    """The rows of a run and its class weights, from the rows that it trains on."""
    rows = stratified_subset(data.train.labels, config.max_rows, EVAL_SEED)
    published: Weights | None = None
    if config.class_weights == "published":
        published = find_dataset(data.meta.dataset).published_weights
    weights = class_weights(config.class_weights, label_counts(data.train.labels[rows]), published)
    eval_rows = stratified_subset(data.validation.labels, config.eval_rows, EVAL_SEED)
    return TrainingData(data.train, rows, data.validation, eval_rows, data.meta.pad_token_id, weights)


def _base_key(config: TrainConfig) -> TrainConfig:
    """The part of a configuration that decides the base, everything else at its default."""
    kept = {"model", "model_revision", "attention", "compute_dtype", "expand_base"}
    return TrainConfig(**config.model_dump(include=kept))


@lru_cache(maxsize=1)
def _warm_base(source: str, config: TrainConfig, device: torch.device) -> Base:
    return load_base(source, config, device)


def _decided(config: TrainConfig, base: Base) -> dict[str, Any]:
    """What decides bits beside the configuration; resume uses it, or says that exactness is lost."""
    name = torch.cuda.get_device_name(base.device) if base.device.type == "cuda" else "cpu"
    return {
        "threads": torch.get_num_threads(),
        "ranks": dist.get_world_size() if dist.is_initialized() else 1,
        "torch": torch.__version__,
        "device": name,
        "dtype": str(base.dtype).removeprefix("torch."),
        "attention": base.attention,
        "expanded_base": base.expanded,
        "model_revision": base.revision,
    }


def _cause(error: Exception) -> str:
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        w in text.lower() for w in OUT_OF_MEMORY
    ):
        return f"out of memory ({text[:200]})"
    return f"nan loss ({error})" if isinstance(error, NonFiniteLossError) else text[:500]
