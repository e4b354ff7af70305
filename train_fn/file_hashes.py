"""sha256 of files, remembered: a set of gigabytes is read once, not at every start."""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from train_fn.storage import read_json, write_json

SETTLED_NS = (
    2_000_000_000  # a file may change again within the resolution of its times; as git, trust older ones
)


def hash_files(files: Iterable[Path], memory: Path) -> dict[Path, str]:
    """The sha256 of each file; `memory` is a JSON file of what was found before, for files not touched since."""
    remembered = _read(memory)
    known = dict(remembered)
    found = {}
    for path in files:
        name, state = str(path.absolute()), _state(path)
        entry = known.get(name)
        if entry is None or entry[:-1] != state:
            now = time.time_ns()
            with path.open("rb") as file:
                entry = [*state, hashlib.file_digest(file, "sha256").hexdigest()]
            known.pop(name, None)
            if _state(path) == state and now - max(state[1:3]) > SETTLED_NS:
                known[name] = entry
        found[path] = entry[-1]
    if known != remembered:
        write_json(memory, {name: entry for name, entry in known.items() if Path(name).exists()})
    return found


def _state(path: Path) -> list[int]:
    """What changes when a file is written, or replaced: size, two times in nanoseconds, inode."""
    found: os.stat_result = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(memory: Path) -> dict[str, list[Any]]:
    try:
        return {str(name): list(entry) for name, entry in read_json(memory).items()}
    except (OSError, ValueError, AttributeError, TypeError):  # absent, or not ours: the files are read
        return {}
