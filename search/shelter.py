"""A command's own Ray: out of the reach of the signals that are meant for the command, and seen when it dies."""

import functools
import signal
from collections.abc import Iterator
from contextlib import contextmanager

DIED = "Ray itself died"
CORE = {"raylet", "gcs_server"}


@contextmanager
def sheltered() -> Iterator[None]:
    """Ray's processes that start in the block get a session of their own: Ctrl-C on a terminal, or a signal to the
    group of the command, reaches the command alone, which then ends them in order. Ray puts a handler of SIGTERM
    in place, which would end the command instead; the one before comes back."""
    from ray._private import services

    start, handler = services.ConsolePopen, signal.getsignal(signal.SIGTERM)
    services.ConsolePopen = functools.partial(start, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = start
        signal.signal(signal.SIGTERM, handler)


def died() -> bool:
    """Whether a process that this command's Ray cannot do without has ended: Tune would wait for it without end,
    and blame its trials. Never so for a Ray that another command has started."""
    from ray._private import worker

    node = worker._global_node
    return node is not None and any(kind in CORE for kind, _ in node.dead_processes())
