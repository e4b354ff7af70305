"""A small Qwen3 and a small tokenised set for the tests of the training."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from letters import write_tokenizer

from train_fn.groups import FILES, GroupFacts, Kept, groups_folder
from train_fn.storage import write_json
from train_fn.tokenized import Meta, SplitMeta, open_set

VOCABULARY = 128
ROWS = {"train": 640, "validation": 96, "test": 64}


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
        places = sum(list(ROWS.values())[:seed]) + np.arange(rows)
        about = pa.table({"domain": ["wiki", "news"] * (rows // 2), "model": models, "place": places})
        pq.write_table(about, folder / f"{name}.rows.parquet")
        counts = (int((labels == 0).sum()), int((labels == 1).sum()))
        splits[name] = SplitMeta(rows=rows, tokens=int(lengths.sum()), truncated=0, counts=counts, sizes={})
    meta = Meta(
        format_version=2,
        fingerprint="0",
        tokenizer_hash="0",
        max_length=64,
        pad_token_id=0,
        splits_kind="published",
        split_seed=None,
        split_hash=None,
        dataset="words",
        source="made here",
        revision=None,
        tokenizer=tokenizer,
        splits=splits,
    )
    write_json(folder / "meta.json", meta.model_dump(mode="json"))
    return folder


def write_groups(data: Path, size: int) -> None:
    """Beside a set: that every so many rows in a row are related."""
    rows = sum(ROWS.values())
    group = np.arange(rows) // size
    folder = groups_folder(data.parent, open_set(data).meta.fingerprint)
    folder.mkdir()
    for name, values in zip(FILES, (group, np.zeros((rows, 2), np.uint64)), strict=True):
        np.save(folder / name, values)
    facts = GroupFacts(
        rows=rows,
        groups=len(set(group)),
        largest=size,
        shares={},
        alone=0,
        bound=size,
        cut_groups=0,
        cut_rows=0,
    )
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    write_json(folder / "facts.json", Kept(facts=facts, sizes=sizes).model_dump(mode="json"))
