"""Tokenise a data set once: under a lock, into a folder keyed by content that is whole or absent."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train_fn.config import LABELS, DatasetSpec, Splits, TrainConfig
from train_fn.locks import waiting_lock
from train_fn.room import roomy_folder
from train_fn.source import Source
from train_fn.storage import Paths, write_json
from train_fn.tokenized import Meta, Split, SplitMeta, TokenizedSet, open_set, whole_meta

if TYPE_CHECKING:
    from train_fn.data import LoadedData
    from train_fn.tokenizing import Encoder

__all__ = ["Meta", "Split", "SplitMeta", "TokenizedSet", "open_set", "prepare"]

FORMAT_VERSION = 2  # raise it when the same input gives other files
KINDS = ("tokens.npy", "offsets.npy", "labels.npy", "hashes.npy", "rows.parquet")
SPACE_LEFT = 64 << 20  # bytes that the other files of a run need


def prepare(
    source: Source,
    spec: DatasetSpec,
    config: TrainConfig,
    model: str,
    paths: Paths,
    say: Callable[[str], None],
) -> Path:
    """Tokenise the data set unless that was done already; return the folder for `open_set`.

    `model` is the folder or Hub name of the tokenizer. Two processes do not do the work twice, and a text that
    any set in the cache holds is not tokenised again. Raises InputError.
    """
    from train_fn.tokenizing import load_tokenizer

    tokenizer = load_tokenizer(model, config.model_revision)
    parts = _key_parts(source.fingerprint, tokenizer, config)
    rules = _rules(config.splits)
    key = hashlib.sha256(json.dumps({**parts, "rules": rules}, sort_keys=True).encode()).hexdigest()
    folder = paths.tokenized_cache / spec.slug / key[:20]
    with waiting_lock(folder, "tokenising", say):
        if (meta := whole_meta(folder)) is None:
            from train_fn.donors import find_donors
            from train_fn.splits import load_assigned
            from train_fn.tokenizing import Encoder

            data = load_assigned(source, spec.slug, paths, config.splits, config.split_seed, say)
            say(f"tokens   tokenising {source.text} with {model}, at most {config.max_length} tokens a text")
            about = {
                "dataset": spec.name,
                "source": source.text,
                "revision": source.revision,
                "tokenizer": model,
            }
            encode = Encoder(tokenizer, config.max_length, find_donors(paths.tokenized_cache, parts))
            meta = _write(folder, data, encode, {**parts, **about}, say)
    for line in _describe(spec, meta):
        say(line)
    return folder


def _key_parts(fingerprint: str, tokenizer: Any, config: TrainConfig) -> dict[str, Any]:
    from train_fn.tokenizing import pad_token_id, tokenizer_hash

    return {
        "format_version": FORMAT_VERSION,
        "fingerprint": fingerprint,
        "tokenizer_hash": tokenizer_hash(tokenizer),
        "max_length": config.max_length,
        "pad_token_id": pad_token_id(tokenizer),
        "splits_kind": config.splits,
        "split_seed": config.split_seed if config.splits == "grouped" else None,
    }


def _rules(splits: Splits) -> list[int]:
    """The versions of what decides the rows of a split."""
    if splits == "published":
        return []
    from train_fn.groups import GROUPS_VERSION
    from train_fn.splits import SPLITS_VERSION

    return [GROUPS_VERSION, SPLITS_VERSION]


def _write(
    folder: Path, data: "LoadedData", encode: "Encoder", about: dict[str, Any], say: Callable[[str], None]
) -> Meta:
    from train_fn.tokenizing import bytes_needed, write_split

    needed = sum(bytes_needed(split, about["max_length"]) for split in data.splits.values()) + SPACE_LEFT
    with roomy_folder(folder, needed, "tokens") as temporary:
        splits = {}
        for name, split in data.splits.items():
            found = write_split(temporary, split, data.places[name], encode, say)
            sizes = {f"{name}.{kind}": (temporary / f"{name}.{kind}").stat().st_size for kind in KINDS}
            splits[name] = SplitMeta(**found, sizes=sizes)
        meta = Meta(**about, split_hash=data.split_hash, splits=splits)
        write_json(temporary / "meta.json", meta.model_dump(mode="json"))
    if encode.reused:
        total = sum(split.rows for split in splits.values())
        say(f"tokens   the tokens of {encode.reused:,} of {total:,} rows were there already, and copied")
    return meta


def _describe(spec: DatasetSpec, meta: Meta) -> Iterator[str]:
    """A line for each split, and the published counts beside the ones found: uploads differ."""
    for name, split in meta.splits.items():
        counts = " + ".join(f"{count:,} {label}" for count, label in zip(split.counts, LABELS, strict=True))
        cut = f"{split.truncated_share:.0%} of the texts cut at {meta.max_length} tokens"
        mean = f"{split.tokens / split.rows:.0f} tokens a row"
        yield f"data     {name}: {split.rows:,} rows ({counts}), {mean}, {cut}"
    if meta.splits_kind == "grouped":
        told = f"seed {meta.split_seed}, hash {str(meta.split_hash)[:12]}"
        yield f"data     splits: grouped ({told}); related rows lie in one split"
        return
    published = spec.published_train_counts
    if published is not None:
        same = (
            "as published"
            if published == meta.splits["train"].counts
            else "another upload than the published"
        )
        yield f"data     train rows are {same} ({published[0]:,} + {published[1]:,})"
