"""From the rows of a data set to groups: what each row is related to, and what the relations join."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from train_fn.components import chain, components, partnered
from train_fn.hub import SPLITS
from train_fn.near import LEVELS, near_edges
from train_fn.prefix import prefix_edges
from train_fn.progress_lines import Progress
from train_fn.row_pool import map_chunks, read_chunks
from train_fn.signatures import HEAD_BYTES, PERMUTATIONS, Signed, hash_texts, sign_texts, word_bits

if TYPE_CHECKING:
    from datasets import DatasetDict

BOUND = (
    512  # rows of a group; a title of RAID has some 540 generations in the whole corpus, far fewer in a set
)
SAMPLE_ROWS = 20_000  # texts whose words are counted

Say = Callable[[str], None]


class Edges(NamedTuple):
    """int64 [edges, 2] pairs of places by kind of relation; `levels` int8 are those of the near ones."""

    source_id: np.ndarray
    prefix: np.ndarray
    copy: np.ndarray
    near: np.ndarray
    levels: np.ndarray


class Cut(NamedTuple):
    """int64 [rows] group; the edges that were kept; how many components the bound cut, and their rows."""

    group: np.ndarray
    kept: Edges
    groups: int
    rows: int


def find_hashes(splits: "DatasetDict", rows: int, work: Path, say: Say) -> tuple[np.ndarray, np.ndarray]:
    """uint64 [rows, 2] text and normal hashes, and the openings, bytes [rows], in a file of `work`."""
    hashes = np.empty((rows, 2), np.uint64)
    heads = _on_disk(work / "heads", np.dtype(f"S{HEAD_BYTES}"), (rows,))
    progress, start = Progress("groups   reading texts", rows, say), 0
    for found in map_chunks(hash_texts, read_chunks(splits, np.arange(rows)), rows):
        part = slice(start, start + len(found.hashes))
        hashes[part], heads[part] = found
        start = part.stop
        progress.at(start)
    return hashes, heads


def find_edges(splits: "DatasetDict", hashes: np.ndarray, heads: np.ndarray, work: Path, say: Say) -> Edges:
    """What joins rows. Of rows with one normal hash the first stands for all."""
    ids, domains = _codes(splits, "source_id"), _codes(splits, "domain")
    _, first, inverse = np.unique(hashes[:, 1], return_index=True, return_inverse=True)
    copies = chain(inverse)
    chosen = np.sort(first)
    # Rows without a domain are one domain by themselves; rows that name their source need no guess.
    openings = np.full(len(hashes), -1)
    openings[chosen] = np.where(ids[chosen] >= 0, -1, domains[chosen] + 1)
    prefix = prefix_edges(heads, openings)
    known = _known_words(splits, hashes[:, 1], chosen, domains)
    signed = _sign(splits, chosen, len(hashes), known, work, say)
    say(f"groups   comparing {np.count_nonzero(signed.bits):,} distinct texts for near copies")
    near, levels = near_edges(signed)
    return Edges(chain(ids), prefix, copies, chosen[near], levels)


def cut_groups(rows: int, edges: Edges, bound: int = BOUND) -> Cut:
    """Join the edges. A component above the bound loses its prefix edges, then near ones, the weakest first.

    Copies and rows of one source stay together, whatever their number; so do near copies of the highest level.
    """
    group = _join(rows, edges)
    sizes = np.bincount(group)
    large = sizes > bound
    cut = (int(large.sum()), int(sizes[large].sum()))
    for level in range(len(LEVELS)):
        large_row = (np.bincount(group) > bound)[group]
        if not large_row.any():
            break
        prefix = edges.prefix[~large_row[edges.prefix[:, 0]]]
        strong = (edges.levels >= level) | ~large_row[edges.near[:, 0]]
        edges = edges._replace(prefix=prefix, near=edges.near[strong], levels=edges.levels[strong])
        group = _join(rows, edges)
    return Cut(group, edges, *cut)


def shares(rows: int, kept: Edges, hashes: np.ndarray) -> dict[str, float]:
    """The share of rows with a partner through each kind of relation; a copy has its original's."""
    _, inverse = np.unique(hashes[:, 1], return_inverse=True)
    found = {}
    for kind in ("source_id", "prefix", "copy", "near"):
        touched = partnered(rows, getattr(kept, kind))
        if kind in ("prefix", "near"):
            touched = (np.bincount(inverse, weights=touched) > 0)[inverse]
        found[kind] = float(touched.mean())
    return found


def _join(rows: int, edges: Edges) -> np.ndarray:
    return components(rows, np.concatenate([edges.source_id, edges.prefix, edges.copy, edges.near]))


def _codes(splits: "DatasetDict", name: str) -> np.ndarray:
    """int64 [rows] by place: a number for each distinct value of a column, -1 for null or blank."""
    chunks = [chunk for split in SPLITS for chunk in splits[split].data.table[name].chunks]
    column = pa.chunked_array(chunks, pa.string())
    column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
    indices = [chunk.indices for chunk in column.dictionary_encode().chunks]
    codes = pc.fill_null(pa.chunked_array(indices, pa.int32()), -1)
    return np.asarray(codes.to_numpy(), np.int64)


def _known_words(
    splits: "DatasetDict", hashes: np.ndarray, chosen: np.ndarray, domains: np.ndarray
) -> dict[str, float]:
    """What words are worth, by a sample of the texts at `chosen` that is the same whatever their order."""
    sample = chosen[np.argsort(hashes[chosen], kind="stable")[:SAMPLE_ROWS]]
    places = np.sort(sample)
    texts = (text for chunk in read_chunks(splits, places) for text in chunk)
    return word_bits(zip(domains[places].tolist(), texts, strict=True))


def _sign(
    splits: "DatasetDict", chosen: np.ndarray, rows: int, known: dict[str, float], work: Path, say: Say
) -> Signed:
    """The signatures of the texts at the places `chosen`, in files of `work`."""
    count = len(chosen)
    signed = Signed(
        _on_disk(work / "sketches", np.dtype(np.uint16), (count, PERMUTATIONS)),
        np.zeros(count, np.float32),
    )
    progress, start = Progress("groups   signing texts", count, say), 0
    for found in map_chunks(partial(sign_texts, known=known), read_chunks(splits, chosen), rows):
        part = slice(start, start + len(found.bits))
        signed.sketches[part], signed.bits[part] = found
        start = part.stop
        progress.at(start)
    return signed


def _on_disk(path: Path, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array in a file, whose blocks are there beforehand: a full disk is an OSError now, not a signal later."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, int(np.prod(shape)) * kind.itemsize))
    return np.memmap(path, kind, "r+", shape=shape) if np.prod(shape) else np.zeros(shape, kind)
