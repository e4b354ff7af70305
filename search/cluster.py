"""A Ray cluster that a command joins: what its workers need to know, and whether its machines can do the work."""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from train_fn.cli import QUIET
from train_fn.errors import InputError

FORWARDED = (*QUIET, "WANDB_MODE", "WANDB_BASE_URL", "HF_HUB_OFFLINE")  # choices, and no secret among them
CONNECT_SECONDS = 10.0
LOOK_SECONDS = 120.0  # for a machine's first worker to start


def join(address: str, settings: Mapping[str, str]) -> None:
    """Connect to the cluster at `address`; its workers get `settings` and what is FORWARDED of this environment.

    Raises InputError where there is none.
    """
    import ray
    from ray.exceptions import RayError

    # A password may stand in an address before an @, and Ray writes what it forwards into its logs.
    own = {key: os.environ[key] for key in FORWARDED if "@" not in os.environ.get(key, "@")}
    try:
        _knock(address)
        ray.init(
            address=address,
            runtime_env={"env_vars": {**settings, **own}},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise InputError(
            f"--address {address} must name a running Ray cluster that this machine is a part of, but: "
            f"{' '.join(str(error).split())[:300]}; run the command on a machine of the cluster (`ray start` "
            "makes it one), with the Python and the Ray of the others"
        ) from error


def _knock(address: str) -> None:
    """Ray waits for minutes where nobody answers."""
    host, _, port = address.rpartition(":")
    if host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def each_machine() -> list[dict[str, float]]:
    """The resources of each machine of the Ray at hand that can take work. Raises InputError without any."""
    found = [dict(node["Resources"]) for node in _nodes()]
    if not found:
        raise InputError(
            "the cluster must have a machine with a CPU core for work, but has none yet; start its workers first"
        )
    return found


def check_machines(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Every machine must have the project, see what this one writes into the folders `written`, and find `read`.

    Asks each of them by a task. Raises InputError.
    """
    with ExitStack() as stack:
        marks = [stack.enter_context(NamedTemporaryFile(dir=folder, prefix=".seen-")) for folder in written]
        paths = [*(mark.name for mark in marks), *map(str, read)]
        answers = _ask(paths)
    told = {path: str(folder) for path, folder in zip(paths, written, strict=False)}
    if lines := refusals(answers, told):
        raise InputError(
            "every machine of the cluster must do the same work in the same folders, but\n  "
            + "\n  ".join(lines)
            + "\ninstall the project on each machine; put --output, and HF_HOME for the model, into a folder that "
            "all of them mount at one path"
        )


def refusals(answers: Mapping[str, Sequence[str] | str], told: Mapping[str, str]) -> list[str]:
    """A line for each machine that did not answer as it must: with the paths that it misses, or with an error.
    `told` says which folder a path stands for."""
    lines = []
    for machine, answer in answers.items():
        if isinstance(answer, str):
            lines.append(f"{machine} cannot run a task: {answer}")
        elif answer:
            lines.append(f"{machine} does not see {', '.join(told.get(path, path) for path in answer)}")
    return lines


def missing(paths: Sequence[str]) -> list[str]:
    """Those of the paths that are not there; runs on every machine."""
    return [path for path in paths if not Path(path).exists()]


def _ask(paths: Sequence[str]) -> dict[str, list[str] | str]:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(missing)
    asked = {}
    for node in _nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, node {node['NodeID'][:8]})"
        asked[name] = look.options(scheduling_strategy=there).remote(paths)
    answers: dict[str, list[str] | str] = {}
    for name, answer in asked.items():
        try:
            answers[name] = ray.get(answer, timeout=LOOK_SECONDS)
        except RayError as error:
            answers[name] = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return answers


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
