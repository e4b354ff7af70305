"""The machine a search runs on: a Ray of its own, and how many trials fit on it at once."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from search.config import SearchConfig

ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or `uv run` would make every worker a `uv run`
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning on machines without a GPU
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output draws boxes, even at verbosity 0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the record is ours
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # so is the clean stop
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # and nobody would read Tune's snapshots
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
CHOICES = {
    "RAY_AUTH_MODE": "disabled",  # else a local cluster turns token auth on for every later `ray start`
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and the Ray resources of each."""

    count: int
    resources: dict[str, float]


@contextmanager
def local_ray() -> Iterator[dict[str, float]]:
    """A Ray of our own on this machine, ended with the block; yields its resources."""
    for key, value in ENVIRONMENT.items():
        os.environ[key] = value
    for key, value in CHOICES.items():
        os.environ.setdefault(key, value)
    # A launcher's variables would make every trial wait for ranks that do not exist.
    for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(key, None)
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the view says what went wrong with a trial
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def expected_resources() -> dict[str, float]:
    """What a Ray of our own will find on this machine, without starting one."""
    from ray._private.utils import get_num_cpus  # in a container its share of the cores, not the machine's

    from train_fn.hardware import gpu_names

    return {"CPU": float(get_num_cpus()), "GPU": float(len(gpu_names()))}


def slots_of(search: SearchConfig, machine: Mapping[str, float]) -> Slots:
    """How the machine is shared out: by GPUs where there are any, else by cores; at least one slot."""
    cpus, gpus = int(machine.get("CPU", 1)), machine.get("GPU", 0.0)
    # A trial's share must lie on one GPU: 2 GPUs at 0.4 hold 4 trials, not 5.
    wanted = int(gpus) * int(1 / search.gpus_per_trial + 1e-9) if gpus else 1
    share = min(search.cpus_per_trial or max(1, cpus // wanted), cpus)
    fit = max(1, cpus // share)
    if gpus:
        return Slots(min(wanted, fit), {"CPU": float(share), "GPU": search.gpus_per_trial})
    return Slots(fit, {"CPU": float(share)})
