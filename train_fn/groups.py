"""Which rows belong together: copies, near copies, texts of one source or one title. Found once, kept on disk.

tokenized_cache/<set>/groups-<key>/  group.npy   int64 [rows]      0, 1, ... in the order of their first rows
                                     hashes.npy  uint64 [rows, 2]  text hash, hash of the normal words
                                     facts.json  written last: GroupFacts and the sizes of the files
Rows are numbered by place: train, then validation, then test, as published.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from train_fn.arrays import read_array
from train_fn.locks import waiting_lock
from train_fn.room import roomy_folder
from train_fn.source import Source
from train_fn.storage import Paths, read_json, write_json
from train_fn.values import Frozen

if TYPE_CHECKING:
    from datasets import DatasetDict

    from train_fn.tokenized import TokenizedSet

GROUPS_VERSION = 1  # raise it when the same rows give other groups
FILES = ("group.npy", "hashes.npy")
ROW_BYTES = 1000  # of the files that are there while groups are sought


class GroupFacts(Frozen):
    """What was found.

    `shares`: share of the rows with a partner through source_id, prefix, copy or near. `alone`: share of rows in
    a group of one. `largest`: rows of the largest group. `cut_groups` components of `cut_rows` rows in all were
    larger than `bound` rows and were cut at their weakest relations.
    """

    rows: int
    groups: int
    largest: int
    shares: dict[str, float]
    alone: float
    bound: int
    cut_groups: int
    cut_rows: int


class Kept(Frozen):
    """facts.json."""

    facts: GroupFacts
    sizes: dict[str, int]


@dataclass(frozen=True)
class Groups:
    """Groups on disk; the arrays are memory-mapped when first asked for."""

    folder: Path
    facts: GroupFacts

    @cached_property
    def group(self) -> np.ndarray:
        """int64 [rows]: the group of each row."""
        return np.asarray(read_array(self.folder / "group.npy", mapped=True))

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint64 [rows, 2]: text hash and normal hash of each row."""
        return np.asarray(read_array(self.folder / "hashes.npy", mapped=True))


def find_groups(source: Source, slug: str, paths: Paths, say: Callable[[str], None]) -> Groups:
    """The groups of a data set, from disk if they were found before. Two processes do not do the work twice.

    Raises InputError when the rows cannot be loaded or the disk is full.
    """
    folder = groups_folder(paths.tokenized_cache / slug, source.fingerprint)
    if (facts := _complete(folder)) is None:
        with waiting_lock(folder, "looking for related texts in", say):
            if (facts := _complete(folder)) is None:
                say(f"groups   looking for copies and related texts in {source.text}")
                facts = _write(folder, source, say)
    return Groups(folder, facts)


def related(data: "TokenizedSet", split: str) -> np.ndarray:
    """int64 [rows]: the group of each row of a split; every row is its own where none were sought."""
    folder = groups_folder(data.folder.parent, data.meta.fingerprint)
    if (facts := _complete(folder)) is None:
        return np.arange(data.meta.splits[split].rows)
    return np.asarray(Groups(folder, facts).group[data.rows(split)["place"].to_numpy()])


def groups_folder(cache: Path, fingerprint: str) -> Path:
    """Where the groups of a data set lie, in its folder of the cache."""
    return cache / f"groups-{hashlib.sha256(f'{fingerprint} {GROUPS_VERSION}'.encode()).hexdigest()[:20]}"


def _complete(folder: Path) -> GroupFacts | None:
    """The facts of a whole folder; None when it is absent, cut short or unreadable."""
    try:
        kept = Kept(**read_json(folder / "facts.json"))
        whole = all((folder / name).stat().st_size == kept.sizes[name] for name in FILES)
    except (OSError, ValueError, TypeError, KeyError, ValidationError):
        return None
    return kept.facts if whole else None


def _write(folder: Path, source: Source, say: Callable[[str], None]) -> GroupFacts:
    from train_fn.data import load_source

    splits = load_source(source).splits
    rows = sum(len(split) for split in splits.values())
    with roomy_folder(folder, rows * ROW_BYTES, "work on related texts") as temporary:
        facts = _fill(temporary, splits, rows, say)
        sizes = {name: (temporary / name).stat().st_size for name in FILES}
        write_json(temporary / "facts.json", Kept(facts=facts, sizes=sizes).model_dump(mode="json"))
    return facts


def _fill(folder: Path, splits: "DatasetDict", rows: int, say: Callable[[str], None]) -> GroupFacts:
    """Find the groups and write FILES into `folder`."""
    from train_fn.grouping import BOUND, cut_groups, find_edges, find_hashes, shares

    work = folder / "work"
    work.mkdir()
    hashes, heads = find_hashes(splits, rows, work, say)
    edges = find_edges(splits, hashes, heads, work, say)
    shutil.rmtree(work)
    cut = cut_groups(rows, edges)
    np.save(folder / "group.npy", cut.group)
    np.save(folder / "hashes.npy", hashes)
    sizes = np.bincount(cut.group)
    return GroupFacts(
        rows=rows,
        groups=len(sizes),
        largest=int(sizes.max()),
        shares=shares(rows, cut.kept, hashes),
        alone=float(np.count_nonzero(sizes == 1) / rows),
        bound=BOUND,
        cut_groups=cut.groups,
        cut_rows=cut.rows,
    )
