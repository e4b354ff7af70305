"""One run as its caller asks for it, and how it ended."""

from dataclasses import dataclass
from pathlib import Path

import torch

from train_fn.config import TrainConfig
from train_fn.loss import NonFiniteLossError
from train_fn.tracking import RunInfo

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
    score_test: bool
    memory_fraction: float = 1.0
    keep_losses: bool = False  # write the log loss of every validation row
    score_validation: bool = True  # all of it, at the end; else the best evaluation during the run stands


@dataclass(frozen=True)
class Outcome:
    """How a run ended: COMPLETE, FAILED or STOPPED, and why."""

    status: str
    cause: str = ""


def cause_of(error: Exception) -> str:
    """One line for the record: "out of memory (...)", "nan loss (...)", or the error itself."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if memory or any(words in text.lower() for words in OUT_OF_MEMORY):
        return f"out of memory ({text[:200]})"
    return f"nan loss ({error})" if isinstance(error, NonFiniteLossError) else text[:500]
