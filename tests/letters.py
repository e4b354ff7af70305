"""A set of four rows a split whose words are single letters, and a tokenizer of one token a letter."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from train_fn.cache import prepare
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.source import find_source
from train_fn.storage import Paths

WORDS = ["<pad>", "<end>", *"abcdefgh"]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_tokenizer(folder: Path, words: list[str]) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(words)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<end>", model_max_length=512
    ).save_pretrained(folder)
    return folder


def write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    labels = ["AI_Generated", "Human_Written", "Human_Written", "Human_Written"]
    domains, models = ["wiki", "news", None, "wiki"], ["gpt4", "human", "human", "human"]
    pq.write_table(pa.table({"text": texts, "label": labels, "domain": domains, "model": models}), path)


def make(source: Path, tokenizer: Path, **changes: Any) -> tuple[Path, list[str]]:
    said: list[str] = []
    # Shorter texts than a run may have, hence not validated.
    config = TrainConfig().model_copy(update={"max_length": 5, "split_seed": 42, **changes})
    spec = DatasetSpec(name="Set", path=source, published_train_counts=(1, 4))
    paths = Paths(source.parent / "output")
    found = find_source(spec, paths=paths)
    return prepare(found, spec, config, str(tokenizer), paths, said.append), said


def left_behind(source: Path) -> list[Path]:
    return sorted((source.parent / "tokenized_cache" / "set").glob(".*.tmp"))
