"""One Weights & Biases run: how it starts, online or offline, and how it ends.

Nothing is sent but what the caller gives and the use of GPU and memory: no code, no git state, no packages,
no host or user name, no command line, no console output.
"""

import netrc
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from train_fn.tracking import Files, RunInfo, Status, guarded, one_line, say, submit, sync_command
from train_fn.tracking_charts import Shown
from train_fn.wandb_values import artifact, declare_used, media

INIT_SECONDS = 30.0  # a server that answers needs 1 to 3
FINISH_SECONDS = 120.0  # for what is left to upload; the file stays
FLUSH_SECONDS = 1.0  # W&B's 15 would lose a killed trial's last rows
STATS_SECONDS = 30.0  # between two samples of GPU and memory use; W&B's 15 is more than a plot shows
# Over the samples trained on, so that runs of other batch sizes and lengths lie on one axis. Of the log loss, the
# table of runs has the lowest.
METRICS = {"train/*": None, "validation/*": None, "before/*": None, "validation/log_loss": "min"}
EXIT_CODES = {"COMPLETE": 0, "PRUNED": 0, "FAILED": 1, "INTERRUPTED": 255}  # 255: W&B's own after Ctrl-C

_online_failed = False


class WandbTracker:
    """A Tracker over one W&B run. `_run` is touched by the background thread only."""

    def __init__(self, info: RunInfo) -> None:
        self._info = info
        self._run: Any = None
        guarded(self._data_folder)
        submit(self._open)

    def log(self, values: Mapping[str, float | Shown], step: int) -> None:
        """See Tracker."""
        row = dict(values)
        submit(lambda: self._log(row, step))

    def used(self, files: Files) -> None:
        """See Tracker."""
        guarded(lambda: self._take(files, declare_used))

    def made(self, files: Files) -> None:
        """See Tracker."""
        aliases = ["latest", *files.aliases]
        guarded(lambda: self._take(files, lambda run, draft: run.log_artifact(draft, aliases=aliases)))

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """See Tracker. `status` becomes a summary value, a tag, and the exit code of EXIT_CODES."""
        values = {**summary, "status": status}
        submit(lambda: self._finish(status, values))

    def _data_folder(self) -> Path:
        """Where W&B shall write, and copy the files of artifacts and tables until they are uploaded: the home
        folder, its own choice, may be gone by then."""
        data = self._info.folder / "wandb"
        data.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_DATA_DIR", str(data / "staging"))
        return data

    def _open(self) -> None:
        global _online_failed
        data = self._data_folder()
        # Or it would wait for its own telemetry at the end, 10 s and more where the server is silent.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        mode = _mode()
        try:
            self._run = _start(self._info, mode)
        except Exception as error:
            if mode == "offline":
                raise
            _online_failed = True
            say(
                f"W&B takes no run online ({one_line(error)}); this and later runs are kept offline, "
                f"upload them with: {sync_command(data)}"
            )
            end_service()
            self._run = _start(self._info, "offline")

    def _log(self, row: dict[str, float | Shown], step: int) -> None:
        if self._run is not None:
            values = {name: media(value) for name, value in row.items()}
            self._run.log(values, step=step, commit=True)  # uncommitted, it would wait for the next row

    def _take(self, files: Files, declare: Callable[[Any, Any], Any]) -> None:
        draft = artifact(files)  # now: a checkpoint may be gone when the background thread comes to it
        submit(lambda: declare(self._run, draft) if self._run is not None else None)

    def _finish(self, status: Status, summary: dict[str, Any]) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        try:
            run.summary.update(summary)
            run.tags = (*run.tags, status.lower())
        finally:
            _end(run, EXIT_CODES[status])


def end_service() -> None:
    """End W&B's service process, which writes the files: `finish` returns some ms before a file is whole.

    It also holds the id of a run that failed to start as in use.
    """
    import wandb

    wandb.teardown()


def _start(info: RunInfo, mode: Any) -> Any:
    import wandb

    settings = wandb.Settings(
        silent=True,
        console="off",
        symlink=False,
        disable_code=True,
        disable_git=True,
        x_save_requirements=False,
        host="",
        x_disable_meta=True,  # x_disable_machine_info would take the use of GPU and memory with it
        x_stats_sampling_interval=STATS_SECONDS,
        x_transaction_log_flush_interval=FLUSH_SECONDS,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
        stop_fn=_ignore_stop,
    )
    run = wandb.init(
        id=info.id,
        name=info.name,
        group=info.group,
        job_type=info.job_type,
        project=info.project,
        tags=info.tags,
        config=info.config,
        dir=str(info.folder),
        mode=mode,
        resume="allow",
        reinit="create_new",  # neither takes over nor ends a run that the caller's own code has open
        settings=settings,
    )
    for name, summary in METRICS.items():
        run.define_metric(name, step_metric="samples", summary=summary)
    return run


def _end(run: Any, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError as error:
        command = f"wandb sync --include-online {shlex.quote(run.settings.sync_dir)}"
        raise TimeoutError(f"no upload within {FINISH_SECONDS:.0f} s, finish it with: {command}") from error


def _mode() -> Any:
    """WANDB_MODE or what `wandb offline` has set, but offline where no online run can be had."""
    import wandb

    settings = wandb.setup(wandb.Settings(silent=True)).settings
    mode = os.environ.get("WANDB_MODE") or settings.mode
    if mode in ("offline", "dryrun", "disabled"):
        return "offline" if mode == "dryrun" else mode
    return mode if _credentials(settings) and not _online_failed else "offline"


def _credentials(settings: Any) -> bool:
    """Whether W&B would find a key without asking for one, where `wandb login` and its manual put them."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE") or settings.api_key:
        return True
    try:
        entries = netrc.netrc(Path(os.environ.get("NETRC") or "~/.netrc").expanduser())
    except (OSError, netrc.NetrcParseError):
        return False
    return entries.authenticators(urlsplit(settings.base_url).netloc) is not None


def _ignore_stop() -> None:
    """W&B's stop button would interrupt the main thread, which in a worker is not this run's."""
    say("W&B's stop button does not reach a run: stop it in the terminal")
