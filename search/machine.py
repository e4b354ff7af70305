"""The machines a search runs on, this one or a cluster's: a Ray, and how many trials fit on them at once."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from search.cluster import each_machine, join
from search.config import SearchConfig
from search.shelter import sheltered

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
CHOICES = {  # of a Ray of our own; a cluster has made its own
    "RAY_AUTH_MODE": "disabled",  # else a local cluster turns token auth on for every later `ray start`
    "RAY_USAGE_STATS_ENABLED": "0",
}

Machines = Sequence[Mapping[str, float]]  # the Ray resources of each machine


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and the Ray resources of each."""

    count: int
    resources: dict[str, float]


@contextmanager
def some_ray(address: str | None) -> Iterator[Machines]:
    """A Ray of our own on this machine, ended with the block, or the cluster at `address`, left with it.

    Yields the resources of each machine. Raises InputError when the cluster cannot be joined.
    """
    for key, value in ENVIRONMENT.items():
        os.environ[key] = value
    # A launcher's variables would make every trial wait for ranks that do not exist.
    for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(key, None)
    import ray

    try:
        if address is None:
            _start()
        else:
            join(address, ENVIRONMENT)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the view says what went wrong with a trial
        yield each_machine()
    finally:
        ray.shutdown()


def _start() -> None:
    import ray

    for key, value in CHOICES.items():
        os.environ.setdefault(key, value)
    with sheltered():
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def expected_machines() -> Machines:
    """What a Ray of our own will find on this machine, without starting one."""
    from ray._private.utils import get_num_cpus  # in a container its share of the cores, not the machine's

    from train_fn.hardware import gpu_names

    return [{"CPU": float(get_num_cpus()), "GPU": float(len(gpu_names()))}]


def workers_of(machines: Machines) -> tuple[list[int], list[int]]:
    """The CPU cores and the GPUs of each machine that takes work: those with a GPU where there are any."""
    used = [machine for machine in machines if machine.get("GPU", 0) >= 1] or machines
    return [int(machine.get("CPU", 1)) for machine in used], [int(machine.get("GPU", 0)) for machine in used]


def slots_of(search: SearchConfig, machines: Machines) -> Slots:
    """How the machines are shared out: by GPUs where there are any, else by cores; at least one slot.

    A trial has as many cores on one machine as on another, for their number decides its last bits.
    """
    cpus, gpus = workers_of(machines)
    # A trial's share must lie on one GPU: 2 GPUs at 0.4 hold 4 trials, not 5.
    wanted = [count * int(1 / search.gpus_per_trial + 1e-9) for count in gpus]
    even = min(max(1, cores // (most or 1)) for cores, most in zip(cpus, wanted, strict=True))
    share = min(search.cpus_per_trial or even, max(cpus))
    fit = [cores // share for cores in cpus]
    if any(gpus):
        count = sum(map(min, wanted, fit))
        return Slots(max(1, count), {"CPU": float(share), "GPU": search.gpus_per_trial})
    return Slots(max(1, sum(fit)), {"CPU": float(share)})
