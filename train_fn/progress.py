"""How far a run is, for whoever watches it: a function of stage, steps done, steps in all, and numbers."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from train_fn.storage import write_json

PROGRESS_SECONDS = 0.5
Progress = Callable[[str, int, int, Mapping[str, float]], None]


def no_progress(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
    """Nobody watches."""


def file_progress(path: Path) -> Progress:
    """Progress for another process: a small JSON file, rewritten at most twice a second."""
    told_at, told_stage = 0.0, ""

    def tell(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        nonlocal told_at, told_stage
        now = time.monotonic()
        if stage != told_stage or now - told_at > PROGRESS_SECONDS:
            told_at, told_stage = now, stage
            write_json(path, {"stage": stage, "done": done, "total": total, **values})

    return tell
