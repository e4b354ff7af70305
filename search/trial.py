"""One trial: a TorchTrainer run in local mode, inside a Tune worker that stays warm from trial to trial.

The worker's one training thread runs trial after trial, so that what a process holds (the tokenised data, the
4-bit base, the CUDA context) is made once. Rows go to Tune through a queue; a stop goes the other way through
`stopped`, which the training reads at every micro-batch. Nothing that a training does can raise in Tune's
face, for that would cost the warm worker; only silence does.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune import PlacementGroupFactory, Trainable

from search.flight import Row, Run, failed, interrupted
from search.leftover import PRUNED_FILE
from search.record import LOCK
from search.space import Point
from search.study import Study
from train_fn.config import PROJECT_NAME, TrainConfig

POLL_SECONDS = 1.0
STOP_SECONDS = 4.0  # to reach the next micro-batch, and to write a checkpoint there
CLOSE_SECONDS = 3.0  # for W&B; Tune kills a worker 10 s after it asked it to stop


class Trial(Trainable):  # type: ignore[misc]
    """The trainable of every search. `config` is made by `runner.trial_space` and the sampler."""

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> PlacementGroupFactory:
        """CPUs and GPUs of one slot."""
        return PlacementGroupFactory([dict(config["resources"])])

    def setup(self, config: dict[str, Any]) -> None:
        """Start the training thread and the first trial; the slow imports come before either."""
        import ray.train.torch  # noqa: F401

        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="training", daemon=True).start()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """End what still runs and begin the next trial in this process; raises where that must be another one."""
        if not self._end():
            raise RuntimeError("the worker still hangs in the trial before")
        if self._run.broken:
            raise RuntimeError("the trial before failed, and this process may be what is broken")
        self._begin(new_config)
        return True

    def step(self) -> Row:
        """The next row of the trial. Raises RuntimeError when it shows no sign of life for too long."""
        run = self._run
        while True:
            try:
                row = run.rows.get(timeout=POLL_SECONDS)
                break
            except queue.Empty:
                silence = time.monotonic() - run.alive
                if silence > self._hang_seconds:
                    raise RuntimeError(f"the trial showed no sign of life for {silence:.0f} s") from None
        return {
            "progress": row["progress"],
            "objective": row["objective"],
            "done": bool(row.get("done")),
            "row": row,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a trial's checkpoints are its own, in its folder. Tune wants the method to exist."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, for the same reason."""

    def cleanup(self) -> None:
        """The worker is about to go: let the training end and W&B write what it holds, as far as time allows."""
        self._end()
        closing = threading.Thread(target=self.close, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def train_job(self, job: Any, send: Callable[[Row], None], stopped: Callable[[], str]) -> None:
        """Train; runs in the training thread. Tests put a training of their own here."""
        from train_fn.worker import run

        run(job, send, stopped)

    def make_job(self, config: Mapping[str, Any]) -> Any:
        """What the training needs to know of its trial, or of its run of the confirmation."""
        from train_fn.tracking import RunInfo
        from train_fn.worker import Job

        study, run = Study(Path(config["study"])), (int(config["number"]), config.get("seed"))
        base = TrainConfig.model_validate({**config["train"], **({} if run[1] is None else {"seed": run[1]})})
        train = Point.model_validate(config["params"]).apply(base)
        confirm = bool(config.get("confirm"))
        tracking = RunInfo(
            id=study.trial_id(*run),
            name=study.trial_id(*run),
            group=study.name,
            job_type="trial",
            project=PROJECT_NAME,
            config={**train.model_dump(mode="json"), **config["about"]},
            tags=(*config["tags"], *(["confirm"] if confirm else [])),
            folder=Path(config["logs"]),
        )
        return Job(
            run_id=study.trial_id(*run),
            folder=study.trial_folder(*run),
            train=train,
            model=str(config["model"]),
            data=Path(config["data"]),
            tracking=tracking,
            kind="confirm" if confirm else "trial",
            memory_fraction=float(config["resources"].get("GPU", 1.0)),
        )

    def close(self) -> None:
        """Wait for W&B's background thread."""
        from train_fn.tracking import close_all

        close_all()

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._study = Study(Path(config["study"]))
        self._hang_seconds = float(config["hang_seconds"])
        job = self.make_job(config)
        stops = {job.folder / PRUNED_FILE: "PRUNED", self._study.stop_file: "INTERRUPTED"}
        self._run = Run(job, stops)
        self._runs.put(self._run)

    def _end(self) -> bool:
        """Stop the run in flight; whether it did. The driver records a pruned trial before it stops it."""
        run = self._run
        if not run.ended.is_set() and not run.last.get("done"):
            run.stop = run.stopped() or "INTERRUPTED"
        return run.ended.wait(STOP_SECONDS if run.stop == "INTERRUPTED" else self._hang_seconds)

    def _serve(self) -> None:
        """The training thread: one TorchTrainer run a trial, whatever happens in it."""
        while True:
            run = self._runs.get()
            try:
                self._fit(run)
            except BaseException as error:
                run.send(failed(run, f"{type(error).__name__}: {error}"))
            else:
                if not run.last.get("done"):
                    run.send(interrupted(run))
            finally:
                run.ended.set()

    def _fit(self, run: Run) -> None:
        from filelock import FileLock
        from ray.train import ScalingConfig
        from ray.train.torch import TorchTrainer

        def train_fn(_: dict[str, Any]) -> None:
            self.train_job(run.job, run.send, run.stopped)

        with FileLock(run.job.folder / LOCK):
            TorchTrainer(train_fn, train_loop_config={}, scaling_config=ScalingConfig(num_workers=0)).fit()
