"""The runs of a promotion: each a TorchTrainer with N workers, all on one Ray."""

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from search.choice import Choice
from search.cluster import check_machines
from search.config import Address, ForecastMode
from search.machine import Machines, some_ray, workers_of
from search.rung_runs import Train
from search.stoppable import fit
from train_fn.bar import RunBar
from train_fn.config import DatasetSpec, TrainConfig, check_train
from train_fn.errors import Fault, InputError, disk_full, no_space
from train_fn.storage import CONFIGS, read_json
from train_fn.values import Settings, build, nearest, read_yaml
from train_fn.voice import say

POLL_SECONDS = 0.5


class PromoteConfig(Settings):
    """How a full run is run. The reasons for the values stand in configs/promote.yaml."""

    address: Address = None
    workers: int = Field(default=1, ge=1, lt=2**31)
    cpus_per_worker: int | None = Field(default=None, ge=1, lt=2**31)
    forecast: ForecastMode = "auto"
    max_failures: int = Field(default=3, ge=0, lt=2**31)
    rungs: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(default=(0.01, 0.05), min_length=1)
    max_extra_cost: float = Field(default=0.2, gt=0)

    @field_validator("rungs")
    @classmethod
    def _ascending(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        if list(rungs) != sorted(set(rungs)):
            raise ValueError("must be fractions that ascend, such as [0.01, 0.05]")
        return rungs


def resolve_promotion(
    choice: Choice, spec: DatasetSpec, sets: Mapping[str, Any], flags: Mapping[str, Any]
) -> tuple[TrainConfig, PromoteConfig]:
    """The study's configuration < the data set's section < the trial's parameters < --set. Raises InputError.

    All rows are used unless --max-rows says otherwise: the study's own limit was for the search.
    """
    values = {**sets, **{key: value for key, value in flags.items() if value is not None}}
    unknown = [key for key in values if key not in {**TrainConfig.model_fields, **PromoteConfig.model_fields}]
    if unknown:
        known = [*TrainConfig.model_fields, *PromoteConfig.model_fields]
        raise InputError(f"--set: unknown key {unknown[0]}; {nearest(unknown[0], known)}")
    train = {key: value for key, value in values.items() if key in TrainConfig.model_fields}
    base = {**choice.config.train.model_dump(), "max_rows": None}
    if spec.name != choice.config.dataset.name:
        # The target's own section, but never another model than the winner's.
        base |= {key: value for key, value in spec.train.items() if key not in ("model", "model_revision")}
    promoted = choice.trial.params.apply(build(TrainConfig, base, "the study's configuration"))
    config = build(TrainConfig, {**promoted.model_dump(), **train}, "the promoted configuration")
    source = CONFIGS / "promote.yaml"
    own = {key: value for key, value in values.items() if key in PromoteConfig.model_fields}
    return check_train(spec, config), build(PromoteConfig, {**read_yaml(source), **own}, str(source))


@contextmanager
def one_ray(config: PromoteConfig) -> Iterator[Train]:
    """Yields what trains a job, with its log at the path, on one Ray for all jobs of the block.

    It trains with `config.workers` ranks, from the last checkpoint if there is one, and returns when that is done.
    A worker that dies is started again from its checkpoint, `max_failures` times. Raises InputError when the
    machines have too little for the workers, or when the training failed; Fault when the disk is full;
    KeyboardInterrupt after a signal.
    """
    with some_ray(config.address) as machines:

        def train(job: Any, log: Path) -> None:
            if config.address:
                check_machines((job.folder, log.parent), (job.data, Path(job.model)))
            scratch = job.folder / ".ray"
            shutil.rmtree(scratch, ignore_errors=True)
            try:
                with _watched(job.folder / ".progress.json", log) as progress:
                    _fit(job, config, machines, scratch, progress, log)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

        yield train


def _fit(
    job: Any, config: PromoteConfig, machines: Machines, scratch: Path, progress: Path, log: Path
) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from train_fn.worker import train_fn

    resources, gpus = worker_resources(config, machines)
    failure, stop = job.folder / "failure.json", job.folder / ".stop"
    failure.unlink(missing_ok=True)
    trainer = TorchTrainer(
        train_fn,
        train_loop_config={"job": job, "progress": str(progress), "log": str(log), "stop": str(stop)},
        scaling_config=ScalingConfig(
            num_workers=config.workers, use_gpu=gpus, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name="promotion",
            storage_path=str(scratch),
            failure_config=FailureConfig(
                max_failures=config.max_failures, controller_failure_limit=config.max_failures
            ),
        ),
    )
    again = f"the whole log: {log}; the same command goes on from the last checkpoint"
    try:
        fit(trainer, stop)
    except TrainingFailedError as error:
        causes = [*getattr(error, "worker_failures", {}).values(), error]
        if any(map(disk_full, causes)):
            raise Fault(no_space(job.folder)) from error
        raise InputError(f"the run must end with a result, but: {_last_line(causes[0])}; {again}") from error
    finally:
        stop.unlink(missing_ok=True)
    if failure.exists():
        raise InputError(f"the run must end with a result, but: {read_json(failure)['cause']}; {again}")


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else type(error).__name__


def worker_resources(config: PromoteConfig, machines: Machines) -> tuple[dict[str, float], bool]:
    """What each worker takes. Refuses what the machines do not have: Ray would wait for it without end."""
    cpus, gpus = workers_of(machines)
    use_gpu = any(gpus)

    def places(share: int) -> int:
        each = (cores // share for cores in cpus)
        return sum(map(min, gpus, each)) if use_gpu else sum(each)

    shares = [share for share in range(1, max(cpus) + 1) if places(share) >= config.workers]
    share = config.cpus_per_worker or max(shares, default=1)
    if places(share) < config.workers:
        where = "this machine, but it has" if len(machines) == 1 else f"{len(cpus)} machines, but they have"
        raise InputError(
            f"{config.workers} workers of {share} CPU cores{' and a GPU' if use_gpu else ''} each must fit on "
            f"{where} {sum(cpus)} cores and {sum(gpus)} GPUs; use fewer --workers"
        )
    return {"CPU": float(share), **({"GPU": 1.0} if use_gpu else {})}, use_gpu


@contextmanager
def _watched(progress: Path, log: Path) -> Iterator[Path]:
    """Show what the first rank writes: its progress file as a bar, new lines of its log above it."""
    progress.unlink(missing_ok=True)
    start = log.stat().st_size if log.exists() else 0
    done = threading.Event()
    with RunBar() as bar:
        watcher = threading.Thread(target=_watch, args=(bar, progress, log, start, done), daemon=True)
        watcher.start()
        try:
            yield progress
        finally:
            done.set()
            watcher.join()
            progress.unlink(missing_ok=True)


def _watch(bar: RunBar, progress: Path, log: Path, start: int, done: threading.Event) -> None:
    last = False
    while not last:
        last = done.wait(POLL_SECONDS)
        if log.exists():
            with log.open("rb") as file:
                file.seek(start)
                whole = file.read().rpartition(b"\n")[0]
            start += len(whole) + 1 if whole else 0
            for line in whole.decode(errors="replace").splitlines():
                say(line)
        if progress.exists():
            told = read_json(progress)
            bar.tell(told.pop("stage"), told.pop("done"), told.pop("total"), told)
