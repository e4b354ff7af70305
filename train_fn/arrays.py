"""Arrays read back from disk, here alone and never unpickled: numpy refuses an array of Python objects then."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from train_fn.errors import InputError

BAD = (OSError, ValueError, EOFError, KeyError, BadZipFile)


def read_array(file: Path, *, mapped: bool = False) -> Any:
    """The array of an .npy file, memory-mapped or read. Raises InputError where it is none,
    and FileNotFoundError."""
    try:
        return np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise
    except BAD as error:
        raise _damaged(file, error) from error


def read_arrays(file: Path, names: Sequence[str]) -> dict[str, Any]:
    """The arrays of those names in an .npz file. Raises InputError where it does not hold them."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in names}
    except FileNotFoundError:
        raise
    except BAD as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> InputError:
    told = " ".join(str(error).split())[:200]
    return InputError(
        f"{file} must be an array of numbers as it was written, but: {told}; put it back, or remove it and run "
        "the command again that wrote it"
    )
