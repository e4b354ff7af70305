"""Which rows make train, validation and test: as published, or anew so that no group of related rows is cut.

Rows are numbered by place: through the published train, validation and test split, one after the other.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from train_fn.config import LABELS, Splits
from train_fn.data import LoadedData, load_source
from train_fn.errors import InputError
from train_fn.hub import SPLITS
from train_fn.source import Source
from train_fn.storage import Paths

SPLITS_VERSION = 1  # raise it when the same groups give other splits
UNIT = 1 << 20  # parts of a row: quotas in whole numbers add up exactly, on every machine

BLOCK = 100_000  # groups that are Python objects at once

Ints = NDArray[np.int64]


def load_assigned(
    source: Source, slug: str, paths: Paths, kind: Splits, seed: int, say: Callable[[str], None]
) -> LoadedData:
    """Load and check the rows, split as `kind` says; memory-mapped, in the order of their places.

    Raises InputError, also when the groups leave no way to split them.
    """
    data = load_source(source)
    if kind == "published":
        return data
    from datasets import Dataset, DatasetDict, NamedSplit

    from train_fn.groups import find_groups

    groups = find_groups(source, slug, paths, say)
    tables = [data.splits[name].data.table for name in SPLITS]
    table = pa.concat_tables(tables, promote_options="permissive")  # of files whose string types may differ
    published = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [part.num_rows for part in tables])
    hashes, labels = groups.hashes[:, 0], table["label"].to_numpy()
    chosen = assign(groups.group, hashes, labels, _codes(table["domain"]), published, seed)
    require_classes(chosen, labels, source.text)
    found = split_hash(hashes, chosen)
    places = {name: np.flatnonzero(chosen == code) for code, name in enumerate(SPLITS)}
    splits = {
        # Without a fingerprint given, Dataset pickles the whole table to make one.
        name: Dataset(table, split=NamedSplit(name), fingerprint=source.fingerprint[:16]).select(
            rows, new_fingerprint=f"{found[:16]}-{name}"
        )
        for name, rows in places.items()
    }
    return replace(data, splits=DatasetDict(splits), places=places, split_hash=found)


def assign(
    groups: Ints,
    hashes: NDArray[np.uint64],
    labels: NDArray[np.integer],
    domains: NDArray[np.integer],
    published: NDArray[np.int8],
    seed: int,
) -> NDArray[np.int8]:
    """The split of each row, int8 [rows], the same for all rows of a group; every argument is [rows].

    The groups come one after the other, shuffled by `seed` and their texts. Each adds to what the splits are
    owed: for a row, the shares in which the published splits hold the rows of its domain and class. It goes to
    the split that is owed its rows most, so that sizes and the shares of classes and domains stay as published.
    Raises InputError when a group is larger than the train split.
    """
    sizes = np.bincount(groups)
    room = int((published == 0).sum())
    if sizes.max() > room:
        raise InputError(
            f"splits: grouped needs every group of related rows to fit into train ({room:,} rows), but one "
            f"holds {sizes.max():,} of all {len(groups):,} rows; remove copies from the set, or use "
            "splits: published"
        )
    dominant = _dominant(groups, domains)
    order = _order(groups, sizes, hashes, dominant, seed)
    quotas = _quotas(len(LABELS) * domains.astype(np.int64) + labels, published)
    owed = np.stack([_by_class(groups, labels, quota) for quota in quotas], axis=1)
    rows = _by_class(groups, labels, np.ones_like(groups))
    split = np.empty(len(sizes), np.int8)
    split[order] = _diffuse(dominant[order], rows[order], owed[order])
    return split[groups]


def _order(groups: Ints, sizes: Ints, hashes: NDArray[np.uint64], domains: Ints, seed: int) -> Ints:
    """The groups by domain; the large ones first, so that small ones even out what they leave; shuffled."""
    by_group = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    smallest = np.minimum.reduceat(hashes[by_group], starts)
    keyed = partial(hashlib.blake2b, digest_size=8, key=seed.to_bytes(8, "little"))
    values = smallest.astype("<u8").view("V8").tolist()
    shuffled = np.frombuffer(b"".join(keyed(value).digest() for value in values), "<u8")
    return np.lexsort((shuffled, -sizes, domains))


def _dominant(groups: Ints, domains: NDArray[np.integer]) -> Ints:
    """The most frequent domain of each group; of equals, the first."""
    kinds = int(domains.max()) + 1
    pairs, counts = np.unique(groups * kinds + domains, return_counts=True)
    group, domain = pairs // kinds, pairs % kinds
    best = np.lexsort((domain, -counts, group))
    return domain[best[np.unique(group, return_index=True)[1]]]


def _by_class(groups: Ints, labels: NDArray[np.integer], values: Ints) -> Ints:
    """The sums of `values` [rows] over the AI and the human rows of each group, [groups, 2]."""
    keys = len(LABELS) * groups + labels
    sums = np.bincount(keys, values, len(LABELS) * (int(groups.max()) + 1))
    return sums.astype(np.int64).reshape(-1, len(LABELS))


def _quotas(cells: Ints, published: NDArray[np.int8]) -> list[Ints]:
    """What a row owes each split, in UNITs: the share of its cell that the published split holds."""
    count = int(cells.max()) + 1
    total = np.maximum(np.bincount(cells, minlength=count), 1)
    counts = [np.bincount(cells[published == code], minlength=count) for code in range(len(SPLITS))]
    _, validation, test = (held * UNIT // total for held in counts)
    return [share[cells] for share in (UNIT - validation - test, validation, test)]


def _diffuse(domains: Ints, rows: Ints, owed: Ints) -> list[int]:
    """The split of each group in turn; `rows` hold its two classes, `owed` what it adds to each split's.

    It goes where it lowers the squares of what is still owed most, in its domain and in all of them.
    Shapes: [groups], [groups, 2], [groups, splits, 2].
    """
    chosen = []
    in_all = [[0, 0] for _ in SPLITS]
    here, domain = in_all, -1
    for start in range(0, len(domains), BLOCK):
        block = (part[start : start + BLOCK].tolist() for part in (domains, rows, owed))
        for of, (ai, human), added in zip(*block, strict=True):
            if of != domain:
                here, domain = [[0, 0] for _ in SPLITS], of
            scores = []
            for total, own, (more_ai, more_human) in zip(in_all, here, added, strict=True):
                total[0] += more_ai
                total[1] += more_human
                own[0] += more_ai
                own[1] += more_human
                scores.append((total[0] + own[0]) * ai + (total[1] + own[1]) * human)
            best = scores.index(max(scores))
            for left in (in_all[best], here[best]):
                left[0] -= ai * UNIT
                left[1] -= human * UNIT
            chosen.append(best)
    return chosen


def _codes(domains: pa.ChunkedArray) -> Ints:
    """A number for each domain by its name, and one for null: int64 [rows]."""
    names = sorted(name for name in pc.unique(domains).to_pylist() if name is not None)
    found = pc.index_in(domains, value_set=pa.array(names, pa.string()))
    codes: Ints = pc.fill_null(found, len(names)).to_numpy().astype(np.int64)
    return codes


def require_classes(chosen: NDArray[np.int8], labels: NDArray[np.integer], text: str) -> None:
    """Raise InputError unless every split holds rows of both classes."""
    for code, name in enumerate(SPLITS):
        counts = np.bincount(labels[chosen == code], minlength=len(LABELS))
        if not counts.all():
            found = ", ".join(f"{count:,} {label}" for label, count in zip(LABELS, counts, strict=True))
            raise InputError(
                f"splits: grouped must leave rows of both classes in every split, but the groups of {text} are "
                f"so few or so large that {name} gets {found}; use splits: published, or a set with more rows"
            )


def split_hash(hashes: NDArray[np.uint64], chosen: NDArray[np.int8]) -> str:
    """sha256 over (text hash, split) of all rows, sorted: equal when equal texts lie in equal splits."""
    rows = np.empty(len(hashes), [("hash", "<u8"), ("split", "i1")])
    order = np.lexsort((chosen, hashes))
    rows["hash"], rows["split"] = hashes[order], chosen[order]
    return hashlib.sha256(rows.tobytes()).hexdigest()
