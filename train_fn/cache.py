"""Tokenise a data set once: under a lock, into a folder keyed by content that is whole or absent."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from train_fn.config import LABELS, DatasetSpec
from train_fn.errors import InputError
from train_fn.storage import Paths, atomic_folder, read_json, write_json
from train_fn.tokenized import Meta, Split, SplitMeta, TokenizedSet, open_set

__all__ = ["Meta", "Split", "SplitMeta", "TokenizedSet", "open_set", "prepare"]

FORMAT_VERSION = 1  # raise it when the same input gives other files
KINDS = ("tokens.npy", "offsets.npy", "labels.npy", "rows.parquet")
SPACE_LEFT = 64 << 20  # bytes that the other files of a run need


def prepare(
    spec: DatasetSpec,
    *,
    model: str,
    model_revision: str | None,
    max_length: int,
    paths: Paths,
    say: Callable[[str], None],
) -> Path:
    """Tokenise the data set unless that was done already; return the folder for `open_set`.

    `model` is a folder or a Hub name. Two processes do not do the work twice. Raises InputError.
    """
    from train_fn.source import find_source
    from train_fn.tokenizing import load_tokenizer

    source = find_source(spec, paths=paths)
    tokenizer = load_tokenizer(model, model_revision)
    parts = _key_parts(source.fingerprint, tokenizer, max_length)
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    folder = paths.tokenized_cache / spec.slug / key[:20]
    with _locked(folder, say):
        if (meta := _complete(folder)) is None:
            say(f"tokenising {source.text} with {model}, at most {max_length} tokens a text")
            about = {"source": source.text, "revision": source.revision, "tokenizer": model}
            meta = _write(folder, source, tokenizer, {**parts, **about, "dataset": spec.name}, say)
    for line in _describe(spec, meta):
        say(line)
    return folder


def _key_parts(fingerprint: str, tokenizer: Any, max_length: int) -> dict[str, Any]:
    from train_fn.tokenizing import pad_token_id, tokenizer_hash

    return {
        "format_version": FORMAT_VERSION,
        "fingerprint": fingerprint,
        "tokenizer_hash": tokenizer_hash(tokenizer),
        "max_length": max_length,
        "pad_token_id": pad_token_id(tokenizer),
    }


@contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another process is tokenising this set; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _complete(folder: Path) -> Meta | None:
    """The meta of a whole folder; None when it is absent, cut short or unreadable, and has to be written."""
    try:
        meta = Meta(**read_json(folder / "meta.json"))
        sizes = [item for split in meta.splits.values() for item in split.sizes.items()]
        return meta if all((folder / name).stat().st_size == size for name, size in sizes) else None
    except (OSError, ValueError, TypeError, ValidationError):
        return None


def _write(
    folder: Path, source: Any, tokenizer: Any, about: dict[str, Any], say: Callable[[str], None]
) -> Meta:
    from train_fn.data import load_source
    from train_fn.tokenizing import bytes_needed, write_split

    data = load_source(source)
    needed = sum(bytes_needed(split, about["max_length"]) for split in data.splits.values()) + SPACE_LEFT
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)  # a killed process left it; the lock says that it is gone
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise _no_space(folder.parent, needed, f"only {free:,} are free")
    try:
        with atomic_folder(folder) as temporary:
            splits = {}
            for name, split in data.splits.items():
                found = write_split(temporary, split, tokenizer, about["max_length"], say)
                sizes = {f"{name}.{kind}": (temporary / f"{name}.{kind}").stat().st_size for kind in KINDS}
                splits[name] = SplitMeta(**found, sizes=sizes)
            meta = Meta(**about, splits=splits)
            write_json(temporary / "meta.json", meta.model_dump(mode="json"))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(folder.parent, needed, "the disk is full") from error
        raise
    return meta


def _no_space(folder: Path, needed: int, found: str) -> InputError:
    return InputError(
        f"{folder} must have room for up to {needed:,} bytes of tokens, but {found}; free some, or pass "
        "--output a folder on a larger disk"
    )


def _describe(spec: DatasetSpec, meta: Meta) -> Iterator[str]:
    """A line for each split, and the published counts beside the ones found: uploads differ."""
    for name, split in meta.splits.items():
        counts = " + ".join(f"{count:,} {label}" for count, label in zip(split.counts, LABELS, strict=True))
        cut = f"{split.truncated_share:.0%} of the texts cut at {meta.max_length} tokens"
        yield f"{name}: {split.rows:,} rows ({counts}), {split.tokens / split.rows:.0f} tokens a row, {cut}"
    published = spec.published_train_counts
    if published is not None:
        same = (
            "as published"
            if published == meta.splits["train"].counts
            else "another upload than the published"
        )
        yield f"train rows are {same} ({published[0]:,} + {published[1]:,})"
