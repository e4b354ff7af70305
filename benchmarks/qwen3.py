"""The exact shapes of Qwen3-0.6B with random weights, and random texts with the lengths of RAID's.

Speed, memory and the agreement of two devices do not ask what a weight has learned, so nothing is downloaded.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from train_fn.batching import Rows
from train_fn.config import TrainConfig
from train_fn.loss import inverse_frequency, label_counts
from train_fn.state import TrainingData
from train_fn.tokenized import Split


@dataclass(frozen=True)
class Workload:
    """A model's shapes, the lengths of its texts in tokens, and what to measure on them."""

    shape: dict[str, int]
    mean_length: float
    max_length: int
    batch_size: int
    budgets: tuple[int, ...]
    steps: int


LENGTH_SIGMA = 0.6  # of the logarithm; with a mean of 290 tokens a fifth of the texts is longer than 384
FULL = Workload(
    shape={
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    mean_length=290,
    max_length=384,
    batch_size=256,
    budgets=(8192, 16384, 32768, 65536),
    steps=8,
)
SMALL = Workload(
    shape={
        "vocab_size": 2048,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
    },
    mean_length=48,
    max_length=64,
    batch_size=16,
    budgets=(256, 512),
    steps=3,
)


def write_model(folder: Path, shape: dict[str, int], seed: int = 0) -> None:
    """A Transformers folder in bfloat16, as the real one is published, for `load_base` to read."""
    from transformers import AutoModelForCausalLM, Qwen3Config

    config = Qwen3Config(**shape, tie_word_embeddings=True, rope_theta=1e6, rms_norm_eps=1e-6)  # type: ignore[call-arg]
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def linear_weights(shape: dict[str, int]) -> int:
    """Weights of the projections, which do the work: 0.44 G for Qwen3-0.6B."""
    hidden, heads, kv = shape["hidden_size"], shape["num_attention_heads"], shape["num_key_value_heads"]
    attention = hidden * shape["head_dim"] * (2 * heads + 2 * kv)
    return shape["num_hidden_layers"] * (attention + 3 * hidden * shape["intermediate_size"])


def random_lengths(rows: int, mean: float, longest: int, seed: int) -> np.ndarray:
    """Lengths [rows], lognormal with that mean before they are cut at `longest`."""
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(math.log(mean) - LENGTH_SIGMA**2 / 2, LENGTH_SIGMA, rows)
    return np.clip(np.rint(drawn), 8, longest).astype(np.int64)


def random_data(lengths: np.ndarray, vocabulary: int, seed: int) -> TrainingData:
    """Rows of random tokens with those lengths, random labels and the weights that follow from them."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    labels = rng.permutation(np.arange(len(lengths)) % 2).astype(np.int8)
    split = Split(rng.integers(1, vocabulary, offsets[-1], dtype=np.int32), offsets, labels)
    rows: Rows = np.arange(len(lengths), dtype=np.int64)
    weights = inverse_frequency(label_counts(labels))
    return TrainingData(split, rows, split, rows[:0], rows[:0], pad_id=0, weights=weights)


def train_config(**overrides: Any) -> TrainConfig:
    """The default configuration but for `overrides`; the model is given to `load_base` as a folder."""
    return TrainConfig.model_validate(overrides)
