"""What a promotion and a plain training run share: claiming the run's folder, its job, and finishing it."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from train_fn.cache import open_set
from train_fn.config import PROJECT_NAME, DatasetSpec, TrainConfig
from train_fn.default_run import add_default
from train_fn.delivery import Delivery
from train_fn.errors import OWN_CAUSES, Fault, InputError, disk_full, no_space
from train_fn.groups import find_groups
from train_fn.inputs import Inputs
from train_fn.job import cause_of
from train_fn.judged import EVALUATION, judge, judged_lines
from train_fn.lineage import write_lineage
from train_fn.premium import premium_lines
from train_fn.room import check_room, full_bytes
from train_fn.run_folder import (
    REPLACING,
    RunFolder,
    Say,
    add_baseline,
    run_name,
    settings_of,
    summary,
)
from train_fn.storage import Paths
from train_fn.tracking import JobType, RunInfo, close_all, sync_hint
from train_fn.tracking_delivery import track_delivery
from train_fn.worker import Job


def run_settings(config: TrainConfig, inputs: Inputs, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What config.yaml of a full run holds; `origin` names the trial it comes from."""
    return settings_of(config, open_set(inputs.data).meta, **origin)


def claim_run(
    spec: DatasetSpec,
    config: TrainConfig,
    paths: Paths,
    inputs: Inputs,
    origin: Mapping[str, Any],
    delivery: Delivery,
    *,
    replace: bool,
    undecided: Collection[str] = (),
) -> tuple[RunFolder, Job]:
    """Claim the run's folder and describe the run. `origin` names the trial it comes from, if any, and `undecided`
    those of `config` that are yet to be found.

    Raises InputError, before anything in the folder is touched, also where the disk has no room for the run.
    """
    run = RunFolder.of(paths, run_name(config.model, spec, config.splits))
    if replace or not run.finished:
        needed = full_bytes(Path(inputs.model), config, merged=delivery.merged)
        check_room(paths.output, needed, "checkpoints and results")
    job_type: JobType = "promotion" if origin else "train"
    run.claim(run_settings(config, inputs, origin), replace=replace, undecided=undecided)
    inputs.keep_audit(run.folder)
    tracking = RunInfo(
        id=run.run_id,
        name=run.name,
        group=str(origin.get("study") or run.name),
        job_type=job_type,
        project=PROJECT_NAME,
        config={**config.model_dump(mode="json"), **origin, "dataset": spec.name},
        tags=(spec.name, job_type),
        folder=run.logs,
        keeps_weights=config.wandb_log_model == "all",
    )
    job = Job(run.name, run.folder, config, inputs.model, inputs.data, tracking, "full")
    return run, job


def execute_here(job: Job, run: RunFolder) -> None:
    """Run the job in this process, under a progress bar. Raises what goes wrong in it."""
    from train_fn.bar import RunBar, logged
    from train_fn.monitor import Monitor, StoppedError
    from train_fn.signals import on_stop
    from train_fn.worker import default_device, execute

    stops: list[str] = []
    with RunBar() as bar, logged(run.logs / "run.log", shown=True), on_stop(stops.append):
        monitor = Monitor(
            job.run_id,
            job.folder,
            job.tracking,
            stopped=lambda: "INTERRUPTED" if stops else "",
            progress=bar.tell,
            keep=job.kept_checkpoints,
        )
        try:
            execute(job, monitor, default_device())
        except StoppedError as stop:
            monitor.stop(str(stop))
            raise KeyboardInterrupt from None
        except KeyboardInterrupt:
            monitor.end("INTERRUPTED")
            raise
        except Exception as error:
            cause = cause_of(error)
            monitor.end("FAILED", cause)
            if disk_full(error):
                raise Fault(no_space(job.folder)) from error
            if not cause.startswith(OWN_CAUSES):
                raise
            raise InputError(
                f"the run must end with a result, but: {cause}; with a lower learning_rate, or fewer "
                "micro_batch_tokens, it may"
            ) from error
        finally:
            close_all()


def finish(
    run: RunFolder,
    spec: DatasetSpec,
    config: TrainConfig,
    inputs: Inputs,
    paths: Paths,
    origin: Mapping[str, Any],
    delivery: Delivery,
    say: Say,
) -> list[str]:
    """Add what stands beside the run's own results; returns the lines to show. Raises as the delivery does."""
    if not (run.folder / "lineage.json").exists():
        write_lineage(run, open_set(inputs.data).meta, config, origin)
    add_baseline(run, inputs.source, spec, config, paths, say)
    if not (run.folder / EVALUATION).exists():
        say("test     judging the detector on the test split")
        judge(run.folder, open_set(inputs.data), find_groups(inputs.source, spec.slug, paths, say))
    beside = add_default(run)
    delivered = delivery.write(run, spec, inputs.data, say)
    track_delivery(run, config, inputs.data, paths)
    hint = sync_hint(run.logs)
    lines = [*summary(run), *beside, *judged_lines(run.folder), *delivered, *premium_lines(run, paths)]
    (run.folder / REPLACING).unlink(missing_ok=True)
    return [*lines, *([f"W&B      the run is offline; upload it with: {hint}"] if hint else [])]
