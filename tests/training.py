"""A small Qwen3 and a small tokenised set for the tests of the training, and what those tests ask of a run."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from letters import write_tokenizer
from safetensors.torch import load_file

from train_fn.batching import ranks
from train_fn.config import TrainConfig
from train_fn.loop import step_gradient
from train_fn.model import Base, Detector, attach, load_base
from train_fn.state import TrainingData
from train_fn.storage import write_json
from train_fn.tokenized import Meta, SplitMeta, open_set
from train_fn.worker import Job, run, training_data

VOCABULARY = 128
ROWS = {"train": 640, "validation": 96, "test": 64}
CPU = torch.device("cpu")
Tensors = dict[str, torch.Tensor]


def write_model(folder: Path) -> Path:
    """Qwen3 with 2 layers of width 64, random weights, and a tokenizer of whole words."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        initializer_range=0.2,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return write_tokenizer(folder, ["<pad>", "<end>", *(f"w{number}" for number in range(VOCABULARY - 2))])


def write_set(folder: Path, tokenizer: str) -> Path:
    """Human texts use one half of the words more often. Rows of even number have 33 to 40 tokens, others fewer."""
    splits = {}
    folder.mkdir()
    for seed, (name, rows) in enumerate(ROWS.items()):
        rng = np.random.default_rng(seed)
        labels = (rng.random(rows) < 0.6).astype(np.int8)
        long = np.arange(rows) % 2 == 0
        lengths = np.where(long, rng.integers(33, 41, rows), rng.integers(3, 33, rows))
        middle = 2 + (VOCABULARY - 2) // 2
        texts = []
        for label, length in zip(labels, lengths, strict=True):
            upper = rng.random(length) < (0.4, 0.6)[label]
            texts.append(
                np.where(upper, rng.integers(middle, VOCABULARY, length), rng.integers(2, middle, length))
            )
        np.save(folder / f"{name}.tokens.npy", np.concatenate(texts).astype(np.int32))
        np.save(folder / f"{name}.offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        np.save(folder / f"{name}.labels.npy", labels)
        models = np.where(labels == 0, "gpt4", "human").tolist()
        about = pa.table({"domain": ["wiki", "news"] * (rows // 2), "model": models})
        pq.write_table(about, folder / f"{name}.rows.parquet")
        counts = (int((labels == 0).sum()), int((labels == 1).sum()))
        splits[name] = SplitMeta(rows=rows, tokens=int(lengths.sum()), truncated=0, counts=counts, sizes={})
    meta = Meta(
        format_version=1,
        fingerprint="0",
        tokenizer_hash="0",
        max_length=64,
        pad_token_id=0,
        dataset="words",
        source="made here",
        revision=None,
        tokenizer=tokenizer,
        splits=splits,
    )
    write_json(folder / "meta.json", meta.model_dump(mode="json"))
    return folder


def settings(model: Path, **changes: Any) -> TrainConfig:
    """8 steps of 48 rows in several micro-batches, an evaluation after every other one, with dropout."""
    values = {
        "model": str(model),
        "lora_rank": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "max_rows": 192,
        "epochs": 2,
        "batch_size": 48,
        "micro_batch_tokens": 1024,
        "learning_rate": 1e-2,
        "evaluations": 4,
        "eval_before_rows": 32,
    }
    return TrainConfig.model_validate({**values, **changes})


def make_job(folder: Path, model: Path, tokens: Path, *, score_test: bool = False, **changes: Any) -> Job:
    return Job(folder.name, folder, settings(model, **changes), str(model), tokens, None, score_test)


class Caller:
    """The caller of a run: keeps the rows, and says stop at the micro-batches it is told to."""

    def __init__(self, stop_at: int | None = None, reason: str = "INTERRUPTED") -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked = 0
        self._stop_at, self._reason = stop_at, reason

    def stopped(self) -> str:
        self.asked += 1
        return self._reason if self.asked == self._stop_at else ""

    def run(self, job: Job) -> str:
        return run(job, self.rows.append, self.stopped).status


def without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def adapter(folder: Path) -> Tensors:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def equal(one: Tensors, other: Tensors) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def distance(one: Tensors, other: Tensors) -> float:
    """The norm of the difference, relative to the norm."""
    assert one.keys() == other.keys()
    difference = sum((one[name] - other[name]).double().square().sum() for name in one)
    return float((difference / sum(tensor.double().square().sum() for tensor in one.values())).sqrt())


class Nobody:
    """Events that nobody hears."""

    def micro_batch(self, rows: int) -> None:
        pass

    def stepped(self, *_: Any) -> None:
        pass

    def evaluated(self, *_: Any) -> None:
        pass


def bent(base: Base, config: TrainConfig) -> Detector:
    """A detector whose lora_B are not zero, so that every lora_A has a gradient too."""
    detector = attach(base, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in detector.trainable().items():
            if "lora_B" in name:
                parameter.normal_(0, 0.05, generator=generator)
    return detector


def gradient(detector: Detector, data: TrainingData, rows: Any, config: TrainConfig) -> Tensors:
    """The gradient of one step, over all ranks."""
    from torch.nn.parallel import DistributedDataParallel

    detector.zero_grad(set_to_none=True)
    detector.train()
    model = DistributedDataParallel(detector, broadcast_buffers=False) if ranks()[1] > 1 else detector
    step_gradient(model, data, np.asarray(rows), config, Nobody())
    return {name: p.grad.clone() for name, p in detector.trainable().items() if p.grad is not None}


def load(model: Path, **changes: Any) -> Base:
    return load_base(str(model), settings(model, **changes), CPU)


def in_process(target: Callable[..., None], *arguments: Any) -> int:
    """Run an importable function in a process that has run nothing before; returns its exit code."""
    process = get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def run_quietly(job: Job) -> None:
    torch.set_num_threads(1)
    assert run(job, lambda row: None, lambda: "").status == "COMPLETE"


def run_killed(job: Job, write: int) -> None:
    """Run, and die as by kill -9 in the middle of the `write`-th file of a checkpoint."""
    from train_fn import checkpoint

    torch.set_num_threads(1)
    whole, written = checkpoint.save_file, []

    def save_file(tensors: Tensors, path: Path) -> None:
        whole(tensors, path)
        written.append(path)
        if len(written) == write:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.save_file = save_file
    run(job, lambda row: None, lambda: "")


def training_of(tokens: Path, config: TrainConfig) -> TrainingData:
    return training_data(config, open_set(tokens))
