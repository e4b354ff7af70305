"""Another process that does the same work: wait for it, or refuse to be the second."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from train_fn.errors import InputError
from train_fn.storage import write_text


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


@contextmanager
def only_one(lock: Path, busy: str) -> Iterator[None]:
    """Hold the lock file, whose process's id stands beside it; `lock` is freed by the death of its holder.

    Raises InputError when another process has it: `busy`, where "{}" names that process.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = lock.with_name(f"{lock.name}-holder")
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise InputError(busy.format(_named(holder))) from error
    try:
        write_text(holder, f"{os.getpid()} {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _named(holder: Path) -> str:
    if not holder.exists():
        return "another process"
    process, _, machine = holder.read_text(encoding="utf-8").partition(" ")
    return f"process {process}" + (f" on {machine}" if machine not in ("", socket.gethostname()) else "")
