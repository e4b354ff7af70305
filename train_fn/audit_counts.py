"""An audit's figures, from arrays by place: rows are numbered over train, validation and test as published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from train_fn.audit_facts import KINDS, Conflicts, DomainFacts, Kind, SplitFacts, Spread, Twins
from train_fn.config import LABELS
from train_fn.hub import SPLITS
from train_fn.pages import read_once
from train_fn.tokenized import TokenizedSet

if TYPE_CHECKING:
    from datasets import DatasetDict

NO_DOMAIN, OTHER_DOMAINS = "(no domain)", "(other domains)"
MAX_DOMAINS = 40  # a column of another meaning would make a table that nobody reads
SHOWN = 5  # conflicts named by their places

Keys = Mapping[Kind, NDArray[np.integer]]


@dataclass(frozen=True)
class Rows:
    """Every row by its place, each array [rows].

    published, split: codes in SPLITS, as published and in use. domain: a code in `domains`. characters and
    tokens: of the text; cut: at max_length.
    """

    published: NDArray[np.int8]
    split: NDArray[np.int8]
    label: NDArray[np.int8]
    domain: NDArray[np.int8]
    domains: tuple[str, ...]
    characters: NDArray[np.int32]
    tokens: NDArray[np.int32]
    cut: NDArray[np.bool_]


def gather(data: TokenizedSet, splits: "DatasetDict") -> Rows:
    """The rows of the tokenised set, and their lengths in the published `splits` it was made from."""
    sizes = [len(splits[name]) for name in SPLITS]
    abouts = [data.rows(name) for name in SPLITS]
    place = np.concatenate([about["place"].to_numpy() for about in abouts])
    parts = [data.train, data.validation, data.test]
    codes = np.arange(len(SPLITS), dtype=np.int8)
    domains, domain = _domain_codes([about["domain"] for about in abouts])
    order = np.argsort(place)  # each array below comes split by split; this puts it by place
    return Rows(
        published=np.repeat(codes, sizes),
        split=np.repeat(codes, [len(part) for part in parts])[order],
        label=np.concatenate([part.labels for part in parts])[order],
        domain=domain[order],
        domains=domains,
        characters=np.concatenate([_characters(splits[name].data.table["text"]) for name in SPLITS]),
        tokens=np.concatenate([part.lengths for part in parts]).astype(np.int32)[order],
        cut=np.concatenate([about["truncated"].to_numpy() for about in abouts])[order],
    )


def _characters(column: pa.ChunkedArray) -> NDArray[np.int32]:
    lengths = [pc.utf8_length(chunk).to_numpy(zero_copy_only=False) for chunk in read_once(column)]
    return np.concatenate(lengths).astype(np.int32)


def _domain_codes(columns: list[pa.ChunkedArray]) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """The names of the largest domains in order, and each row's code; the rest is one domain."""
    chunks = [chunk.cast(pa.string()) for column in columns for chunk in column.chunks]
    found = (
        pc.fill_null(pa.chunked_array(chunks, pa.string()), NO_DOMAIN).combine_chunks().dictionary_encode()
    )
    names, codes = found.dictionary.to_pylist(), found.indices.to_numpy()
    counts = np.bincount(codes, minlength=len(names))
    largest = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))[:MAX_DOMAINS]
    order = sorted(largest, key=lambda code: names[code])
    renamed = np.full(len(names), len(order), np.int8)
    renamed[order] = np.arange(len(order), dtype=np.int8)
    rest = (OTHER_DOMAINS,) if len(order) < len(names) else ()
    return (*(names[code] for code in order), *rest), renamed[codes]


def split_facts(rows: Rows, keys: Keys) -> dict[str, SplitFacts]:
    """Each split's rows, and how many of them share a key with another row; keys: int [rows] by kind."""
    twins = {kind: _twins(_tally(keys[kind], rows)[1]) for kind in KINDS}
    facts = {}
    for number, name in enumerate(SPLITS):
        mine = rows.split == number
        classes = np.bincount(rows.label[mine], minlength=len(LABELS)).tolist()
        domains = np.bincount(rows.domain[mine], minlength=len(rows.domains)).tolist()
        facts[name] = SplitFacts(
            rows=int(mine.sum()),
            classes=dict(zip(LABELS, classes, strict=True)),
            domains=dict(zip(rows.domains, domains, strict=True)),
            twins={kind: twins[kind][number] for kind in KINDS},
        )
    return facts


def _tally(key: NDArray[np.integer], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's number of its key, and the rows of every key by split and label: [keys, splits, labels]."""
    distinct, code = np.unique(key, return_inverse=True)
    code = code.reshape(-1)
    cells = len(SPLITS) * len(LABELS)
    place = code * cells + rows.split * len(LABELS) + rows.label
    tally = np.bincount(place, minlength=len(distinct) * cells)
    return code, tally.reshape(len(distinct), len(SPLITS), len(LABELS))


def _twins(tally: NDArray[np.int64]) -> list[Twins]:
    in_train = tally[:, 0].sum(axis=1) > 0
    found = []
    for number in range(len(SPLITS)):
        mine = tally[:, number]
        total = mine.sum(axis=1)
        leaking = mine[in_train].sum(axis=0).tolist()
        told = dict(zip(LABELS, leaking, strict=True)) if number else None
        found.append(Twins(inside=int(total[total > 1].sum()), in_train=told))
    return found


def across_splits(rows: Rows, group: NDArray[np.integer]) -> tuple[int, int]:
    """How many groups stand in more than one split, and how many rows they have."""
    sizes = _tally(group, rows)[1].sum(axis=2)
    crossing = (sizes > 0).sum(axis=1) > 1
    return int(crossing.sum()), int(sizes[crossing].sum())


def conflicts(rows: Rows, key: NDArray[np.integer]) -> Conflicts:
    """The keys that stand under both labels; places are named as in the published files."""
    code, tally = _tally(key, rows)
    both = (tally.sum(axis=1) > 0).all(axis=1)
    places = np.flatnonzero(both[code])
    _, first = np.unique(code[places], return_index=True)
    shown = [code[places[index]] for index in np.sort(first)[:SHOWN]]
    named = tuple(" and ".join(_first_places(rows, places[code[places] == number])) for number in shown)
    return Conflicts(texts=int(both.sum()), rows=len(places), first=named)


def _first_places(rows: Rows, places: NDArray[np.int64]) -> Iterator[str]:
    for number, label in enumerate(LABELS):
        place = places[rows.label[places] == number][0]
        split = rows.published[place]
        row = place - np.searchsorted(rows.published, split)
        yield f"{SPLITS[split]} row {row} ({label})"


def domain_facts(rows: Rows) -> dict[str, DomainFacts]:
    """Lengths by domain, over all splits."""
    facts = {}
    for number, name in enumerate(rows.domains):
        mine = rows.domain == number
        facts[name] = DomainFacts(
            rows=int(mine.sum()),
            characters=_spread(rows.characters[mine]),
            tokens=_spread(rows.tokens[mine]),
            cut=float(rows.cut[mine].mean()),
        )
    return facts


def _spread(values: NDArray[np.int32]) -> Spread:
    median, high = np.percentile(values, (50, 95))
    return Spread(mean=float(values.mean()), median=float(median), high=float(high))
