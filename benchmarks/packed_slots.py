"""Processes that hold a warm base, as a search's slots do, and train trials when they are told to."""

import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from train_fn.config import TrainConfig
from train_fn.errors import InputError

SEED = 1
BEGIN = "begin"


@dataclass(frozen=True)
class Setting:
    """What all trials train: the model's folder, and random rows of lognormal length with a mean of so many
    tokens, enough for so many steps of `config`."""

    model: str
    config: TrainConfig
    mean_length: float
    steps: int


@dataclass(frozen=True)
class Order:
    """Trials to train: packed in micro-batches of `budget` tokens over all, or one after the other without."""

    configs: list[TrainConfig]
    budget: int | None = None


class Slot:
    """A process that trains what it is ordered to with so many threads."""

    def __init__(self, setting: Setting, threads: int) -> None:
        context = get_context("spawn")  # a fork would share the threads of the parent's torch
        self._pipe, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, setting, threads), daemon=True).start()
        theirs.close()  # so that the end of the process is an EOFError here

    def tell(self, order: Order | str) -> None:
        """An order, then BEGIN."""
        self._pipe.send(order)

    def wait(self) -> Any:
        """What it trains on when the order is prepared, the processor's seconds when it is carried out.

        Raises InputError when the process has ended.
        """
        try:
            return self._pipe.recv()
        except EOFError:
            raise InputError(
                "a process that trains ended before its order was carried out, most likely for want of memory; "
                "give less: --set micro_batch_tokens=512"
            ) from None


def _serve(pipe: Connection, setting: Setting, threads: int) -> None:
    import torch
    from packed import Pack, new_trial
    from packed_runs import packed_run, plain_run
    from qwen3 import random_data, random_lengths

    from train_fn.model import load_base
    from train_fn.worker import default_device, prepare_device

    torch.set_num_threads(threads)
    device = default_device()
    prepare_device(device, 1.0)
    base = load_base(setting.model, setting.config, device)
    rows = setting.steps * setting.config.batch_size
    lengths = random_lengths(rows, setting.mean_length, setting.config.max_length, SEED)
    data = random_data(lengths, base.model.config.vocab_size, SEED)
    about = {"dtype": str(base.dtype).removeprefix("torch."), "mean_tokens": float(lengths.mean())}
    with suppress(EOFError):  # the parent orders nothing more
        while True:
            order = pipe.recv()
            trials = [new_trial(base, config) for config in order.configs]
            pack = Pack(base, trials) if order.budget else None
            pipe.send(about)
            pipe.recv()
            begun = time.process_time()
            if pack:
                packed_run(pack, data, order.budget)
            else:
                for trial in trials:
                    plain_run(trial, data, setting.steps)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            pipe.send(time.process_time() - begun)
