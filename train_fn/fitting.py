"""How large a micro-batch the memory holds: measured once on a GPU, halved where it did not fit after all.

A larger micro-batch keeps a GPU busier and changes no gradient. What a run uses is kept in its folder, so a run
that goes on cuts its steps as before.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from train_fn.batching import collate
from train_fn.cache import Split
from train_fn.config import TrainConfig
from train_fn.job import Job
from train_fn.model import Base, attach
from train_fn.storage import read_json, write_json

PLAN = "plan.json"  # of a run
KNOWN = "micro-batches.json"  # beside the tokenised set: what was measured, for every trial of a search
SHARE = 0.85  # of the memory; the allocator loses some of it in gaps
UNIT = 1024  # tokens


def fit(job: Job, base: Base, config: TrainConfig) -> TrainConfig:
    """The configuration with the micro-batch of this run; only `auto` is measured, and only on a GPU."""
    if (plan := job.folder / PLAN).exists():
        return config.model_copy(update=read_json(plan))
    if job.train.micro_batch_tokens != "auto" or base.device.type != "cuda":
        return config
    known = _known(job.data)
    key = _key(base, config, job.memory_fraction)
    if key not in known:
        limit = int(job.memory_fraction * torch.cuda.get_device_properties(base.device).total_memory)
        found = largest(lambda tokens: peak_bytes(base, config, tokens), config, limit)
        known = {**_known(job.data), key: found}
        write_json(job.data / KNOWN, known)
    keep_plan(job.folder, known[key])
    return config.model_copy(update=read_json(plan))


def keep_plan(folder: Path, tokens: int) -> None:
    """What the run of that folder uses from now on, after a restart too."""
    write_json(folder / PLAN, {"micro_batch_tokens": tokens})


def largest(peak: Callable[[int], int], config: TrainConfig, limit: int) -> int:
    """The most tokens a micro-batch of a step of `config` may have, at most SHARE of `limit` bytes.

    `peak` trains one of so many tokens and returns the most bytes that were held; it raises OutOfMemoryError.
    Bytes grow in proportion to tokens, so two measurements foretell the third, which is tried out.
    """
    least, whole = config.token_budget, config.batch_size * config.max_length
    try:
        small, double = peak(least), peak(2 * least)
    except torch.OutOfMemoryError:
        return least
    a_token = max(1.0, (double - small) / least)
    tokens = min(whole, int(2 * least + (SHARE * limit - double) / a_token))
    tokens = max(least, tokens // UNIT * UNIT)
    while tokens > least:
        try:
            peak(tokens)
        except torch.OutOfMemoryError:
            tokens //= 2
        else:
            return tokens
    return least


def peak_bytes(base: Base, config: TrainConfig, tokens: int) -> int:
    """The most bytes of a GPU that this process holds while it trains on so many tokens, in the longest texts."""
    texts = max(1, tokens // config.max_length)
    offsets = np.arange(texts + 1) * config.max_length
    split = Split(np.ones(offsets[-1], dtype=np.int32), offsets, np.zeros(texts, dtype=np.int8))
    detector = attach(base, config).train()
    torch.cuda.reset_peak_memory_stats(base.device)
    ids, last, _ = collate(split, np.arange(texts), 0, base.device, packed=config.packed)
    detector(ids, last).sum().backward()
    torch.cuda.synchronize(base.device)
    return int(torch.cuda.max_memory_allocated(base.device))


def _known(folder: Path) -> dict[str, int]:
    file = folder / KNOWN
    return dict(read_json(file)) if file.exists() else {}


def _key(base: Base, config: TrainConfig, memory_fraction: float) -> str:
    """All that decides the memory of a token. The model and its longest text are the folder's."""
    parts = [
        torch.cuda.get_device_name(base.device),
        torch.__version__,
        base.dtype,
        base.attention,
        f"expanded {base.expanded}",
        f"rank {config.lora_rank} of {config.target_modules}",
        f"checkpointing {config.gradient_checkpointing}",
        f"dropout {config.lora_dropout > 0}",
        f"share {memory_fraction:g}",
        f"steps of {config.batch_size}",
    ]
    return ", ".join(map(str, parts))
