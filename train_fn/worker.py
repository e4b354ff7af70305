"""One run from its job to its files: what a TorchTrainer worker does, in a search and in a promotion.

`run` serves a search: it ends every failure as a row, for an error would cost the warm worker. `train_fn` is what
a promotion's TorchTrainer starts on every rank: there an error is raised, and Ray's failure policy answers it.
"""

import gc
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from train_fn import checkpoint
from train_fn.batching import ranks
from train_fn.cache import open_set
from train_fn.config import TrainConfig
from train_fn.contamination import left_out_file
from train_fn.errors import InputError, disk_full, no_space
from train_fn.evaluation import Scorer
from train_fn.fitting import fit
from train_fn.job import Job, Outcome, cause_of
from train_fn.loop import make_learner, train
from train_fn.loss import NonFiniteLossError
from train_fn.memory import keep_freed_memory
from train_fn.model import Base, attach, load_base
from train_fn.monitor import Monitor, StoppedError
from train_fn.progress import file_progress, no_progress
from train_fn.results import deliver, score_after, score_before
from train_fn.rows import training_data
from train_fn.state import Row
from train_fn.storage import write_json

__all__ = ["Job", "Outcome", "default_device", "execute", "run", "train_fn"]


def default_device() -> torch.device:
    """The GPU that this process may use, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def run(job: Job, send: Callable[[Row], None], stopped: Callable[[], str]) -> Outcome:
    """Run a trial in this process; `send` gets its rows, the last one with `done`, whatever happens."""
    monitor = Monitor(
        job.run_id, job.folder, job.tracking, send=send, stopped=stopped, keep=job.kept_checkpoints
    )
    try:
        if ended := monitor.tell_again():
            return ended
        execute(job, monitor, default_device())
        return Outcome("COMPLETE", monitor.cause)
    except StoppedError as stop:
        monitor.stop(str(stop))
        return Outcome("STOPPED", str(stop))
    except Exception as error:  # every other end of a trial is a row that names its cause
        if disk_full(error):  # which is no end: it goes on when there is space
            cause = no_space(job.folder)
            monitor.halt(cause)
            return Outcome("STOPPED", cause)
        cause = cause_of(error)
        monitor.fail(cause)
        return Outcome("FAILED", cause)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def train_fn(config: dict[str, Any]) -> None:
    """What a promotion's TorchTrainer runs on every rank; `config` holds the Job, and the files for progress and
    log; the run ends, to go on later, when its `stop` file appears.

    An error leaves the checkpoints: Ray's failure policy starts the run again from them.
    """
    from filelock import FileLock
    from ray.train.torch import get_device

    from train_fn.bar import logged
    from train_fn.tracking import close_all

    job, first, stop = config["job"], ranks()[0] == 0, Path(config["stop"])
    progress = file_progress(Path(config["progress"])) if first else no_progress
    with logged(Path(config["log"])) if first else nullcontext():
        tracking = job.tracking if first else None
        monitor = Monitor(
            job.run_id,
            job.folder,
            tracking,
            stopped=lambda: "INTERRUPTED" if stop.exists() else "",
            progress=progress,
            first=first,
            keep=job.kept_checkpoints,
        )
        try:
            with FileLock(job.folder.parent / f".{job.folder.name}.worker") if first else nullcontext():
                execute(job, monitor, get_device())
        except StoppedError as stopped:
            monitor.stop(str(stopped))
        except (InputError, NonFiniteLossError) as error:  # every rank meets it, and would meet it again
            monitor.end("FAILED", cause_of(error))
            if first:
                write_json(job.folder / "failure.json", {"cause": cause_of(error)})
        except Exception as error:
            monitor.end("INTERRUPTED" if disk_full(error) else "FAILED", cause_of(error))
            raise
        finally:
            close_all()


def execute(job: Job, monitor: Monitor, device: torch.device) -> None:
    """Load, evaluate, train from the last checkpoint, score, and write the results. Raises what goes wrong."""
    data = open_set(job.data)
    prepare_device(device, job.memory_fraction)
    monitor.stage("loading the 4-bit base")
    base = warm_base(job.model, job.train, device)
    config = fit(job, base, base.resolve(job.train))
    detector = attach(base, config)
    learner = make_learner(detector, detector.trainable(), config)
    training = training_data(config, data, job.kind, left_out_file(job.folder))
    score = Scorer(learner.model, training.pad_id, config, monitor.micro_batch)
    threads = torch.get_num_threads()
    try:
        state = monitor.begin(learner, training, config, _decided(config, base))
        if not state.before and config.eval_before_rows:
            monitor.stage("evaluating before training")
            state.before = score_before(job, data, score)
            monitor.before(state)
        monitor.stage("training")
        train(learner, training, config, monitor, state)
        monitor.stage("evaluating the best weights")
        checkpoint.restore(learner.parameters, state.best_weights)
        result = score_after(job, data, training, state, score)
        monitor.complete(state, result.metrics, lambda: deliver(job, data, detector, result))
    finally:
        torch.set_num_threads(threads)


def prepare_device(device: torch.device, memory_fraction: float) -> None:
    """What a process does once before it trains on the device; it may take that share of a GPU's memory."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.cuda.set_per_process_memory_fraction(memory_fraction, device)
    else:
        keep_freed_memory()


def device_name(device: torch.device) -> str:
    """The GPU's name, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def warm_base(source: str, config: TrainConfig, device: torch.device) -> Base:
    """The base that this process holds, loaded again only when what decides it has changed."""
    kept = {"model", "model_revision", "attention", "compute_dtype", "expand_base"}
    return _load_once(source, TrainConfig(**config.model_dump(include=kept)), device)


@lru_cache(maxsize=1)
def _load_once(source: str, config: TrainConfig, device: torch.device) -> Base:
    return load_base(source, config, device)


def _decided(config: TrainConfig, base: Base) -> dict[str, Any]:
    """What decides bits beside the configuration; resume uses it, or says that exactness is lost."""
    return {
        "threads": torch.get_num_threads(),
        "ranks": ranks()[1],
        "torch": torch.__version__,
        "device": device_name(base.device),
        "dtype": str(base.dtype).removeprefix("torch."),
        "attention": base.attention,
        "micro_batch_tokens": config.token_budget,
        "expanded_base": base.expanded,
        "model_revision": base.revision,
    }
