"""A lost worker: that it costs its trial alone, and why it was lost, by Tune's error and the kernel's count."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KERNEL = Path("/proc/vmstat")
LOW_MEMORY = "running low on memory"  # as Ray's memory monitor says it of a worker that it ended


class Losses:
    """The causes of one search's losses, in the order in which they come."""

    def __init__(self) -> None:
        self._killed = _killed_for_memory()

    def cause(self, error: str) -> str:
        """One line of the error file that Tune writes for a trial. The host's memory is its own only as far as
        others leave it some, but a trial that needs less of it may have none of this."""
        before, self._killed = self._killed, _killed_for_memory()
        detail = re.search(r"Worker exit detail: ([^.\n]*)", error)
        if LOW_MEMORY in error:
            return "out of memory on the host (Ray ended the worker before the kernel would)"
        if detail and self._killed > before:
            return "out of memory on the host (the kernel killed the worker)"
        return f"the worker process died: {detail[1]}" if detail else error.strip().splitlines()[-1]


def _killed_for_memory() -> int:
    """How many processes the kernel has killed for memory since it runs; 0 where it does not tell."""
    found = re.search(r"^oom_kill (\d+)$", KERNEL.read_text() if KERNEL.exists() else "", re.MULTILINE)
    return int(found[1]) if found else 0


@contextmanager
def survived() -> Iterator[None]:
    """Within the block every loss of a worker is one to Tune. Tune 2.60 knows those by RayActorError alone: where
    Ray's memory monitor ends a worker in the middle of a row, its OutOfMemoryError would end the whole search."""
    from ray.exceptions import RayActorError, RayError, RayTaskError
    from ray.tune.execution import tune_controller

    known = tune_controller.RayActorManager

    class Manager(known):  # type: ignore[misc, valid-type]
        def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
            if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
                exception = RayActorError(error_msg=str(exception))
            super()._actor_task_failed(tracked_actor_task, exception)

    tune_controller.RayActorManager = Manager
    try:
        yield
    finally:
        tune_controller.RayActorManager = known
