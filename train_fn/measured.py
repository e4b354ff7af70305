"""What a probe is asked for and what it found; both cross from process to process as JSON. Imports no torch."""

from pathlib import Path

from train_fn.config import Attention, TrainConfig
from train_fn.values import Frozen

ASKED, FOUND, FAILED, LOG = "job.json", "measured.json", "failure.json", "log.txt"  # in its scratch folder


class ProbeJob(Frozen):
    """`ranks` share a step; `launched` is when the process was started, by time.monotonic."""

    data: Path
    model: str
    train: TrainConfig
    ranks: int
    memory_fraction: float
    scratch: Path
    launched: float


class Pace(Frozen):
    """Training of micro-batches of about `width` padded tokens a row, in seconds a padded token."""

    width: float
    seconds_per_token: float


class Measured(Frozen):
    """How fast one process trains, all in seconds; `attention` and `micro_batch_tokens` are what `auto` means.

    `start` is from the launch of the process to the end of its imports, `load` the 4-bit base and its expansion,
    `warm_up` what all the others took longer the first time, `attach` an adapter, a head and their optimiser,
    `update` clipping and AdamW once a step, `evaluation` one padded token, `checkpoint` one, `deliver` the files
    of a finished run. `paces` ascend by width.
    """

    device: str
    attention: Attention
    micro_batch_tokens: int
    threads: int
    start: float
    load: float
    warm_up: float
    attach: float
    paces: tuple[Pace, ...]
    update: float
    evaluation: float
    checkpoint: float
    deliver: float

    def resolve(self, config: TrainConfig) -> TrainConfig:
        """The configuration as it is on the measured device."""
        return config.model_copy(update=self.model_dump(include={"attention", "micro_batch_tokens"}))
