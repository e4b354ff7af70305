"""One run as its caller asks for it, and how it ended."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from train_fn.config import TrainConfig
from train_fn.loss import NonFiniteLossError
from train_fn.secret import hidden
from train_fn.tracking import RunInfo

# A promotion's run; a run of it on a fraction of the rows; a trial of a search; a trial run again to confirm it.
Kind = Literal["full", "rung", "trial", "confirm"]
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Job:
    """One run: its configuration, its tokenised data, and the folder that is its record."""

    run_id: str
    folder: Path
    train: TrainConfig
    model: str  # where the base is loaded from: a folder
    data: Path
    tracking: RunInfo | None
    kind: Kind
    memory_fraction: float = 1.0

    @property
    def kept_checkpoints(self) -> int:
        """How many stay when the run is complete; of runs that only tell which configuration is best, none."""
        return self.train.keep_checkpoints if self.kind == "full" else 0


@dataclass(frozen=True)
class Outcome:
    """How a run ended: COMPLETE, FAILED or STOPPED, and why."""

    status: str
    cause: str = ""


def cause_of(error: Exception) -> str:
    """One line for the record: "out of memory (...)", "nan loss (...)", or the error itself."""
    text = hidden(f"{type(error).__name__}: {' '.join(str(error).split())}")
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if memory or any(words in text.lower() for words in OUT_OF_MEMORY):
        return f"out of memory ({text[:200]})"
    return f"nan loss ({error})" if isinstance(error, NonFiniteLossError) else text[:500]
