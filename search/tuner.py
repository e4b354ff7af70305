"""Ray Tune, set up as a search needs it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.machine import Slots
from search.study import Study


def run_tune(trainable: type, space: dict[str, Any], tune_config: Any, run_config: Any) -> None:
    """Run trials until the sampler says that the study is through, or the stopper that it shall end."""
    from ray.tune import Tuner
    from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE

    # Tune would hand keys to workers in a form that Ray writes into its logs; workers have their machine's own.
    ENV_VARS_TO_PROPAGATE.difference_update(
        [name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")]
    )
    Tuner(trainable, param_space=space, tune_config=tune_config, run_config=run_config).fit()


def tune_configuration(sampler: Any, scheduler: Any, slots: Slots) -> Any:
    """Ray's TuneConfig: warm workers, one a slot."""
    from ray.tune import TuneConfig

    return TuneConfig(
        search_alg=sampler,
        scheduler=scheduler,
        num_samples=-1,  # the sampler says when the study is through
        max_concurrent_trials=slots.count,  # no trial is drawn before there is room for it
        reuse_actors=True,
    )


def run_configuration(scratch: Path, stop: Any, callbacks: list[Any]) -> Any:
    """Ray's RunConfig: nothing of Tune's own is kept, for the record is ours."""
    from ray.tune import CheckpointConfig, FailureConfig, RunConfig

    return RunConfig(
        name="tune",
        storage_path=str(scratch),
        stop=stop,
        callbacks=callbacks,
        verbose=0,
        failure_config=FailureConfig(max_failures=0),
        checkpoint_config=CheckpointConfig(checkpoint_at_end=False),  # a trial's checkpoints are its own
    )


@contextmanager
def scratch_folder(study: Study) -> Iterator[Path]:
    """Where Tune writes what nobody reads; what a killed search left there goes too."""
    folder = study.folder / ".ray"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
