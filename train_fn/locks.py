"""Waiting for another process that does the same work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def waiting_lock(path: Path, doing: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file beside `path`; when another process has it, say what that one is `doing`, and wait."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting  another process is {doing} this set")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
