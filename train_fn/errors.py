"""The errors that end a command with one message, and whose fault a failure is."""

import errno
import re

OWN_CAUSES = (
    "nan loss",
    "out of memory",
)  # of a run's parameters; whatever else fails may be the machine's fault
FULL = (errno.ENOSPC, errno.EDQUOT)  # what a full disk or quota raises
# As others than Python's own `open` say it: safetensors' Rust, sqlite, numpy of a write that was cut short.
FULL_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|database or disk is full|\d+ requested and \d+ written",
    re.I,
)


class InputError(Exception):
    """A bad input: the message says what must hold, what was found, and what to do (exit code 2)."""


class Fault(Exception):  # noqa: N818  (no error of the caller's)
    """The machine gave way: the message says what, and what to do; the same command then goes on (exit code 1)."""


def disk_full(error: BaseException) -> bool:
    """Whether a write failed because the disk or the quota is used up."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return bool(FULL_WORDS.search(str(error)))


def no_space(place: object) -> str:
    """The message for a full disk: `place` is a file or folder on it."""
    return f"no space left for {place}; free some, then the same command goes on: nothing finished is lost"
