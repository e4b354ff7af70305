"""Texts of one domain that open alike: a title in front of a human text and of all that was generated for it.

How long a shared opening must be is a matter of its words: it counts when chance would not repeat it, given how
often each of its words stands in openings of that domain. Words up to where many rows open alike are a phrase
("In this paper we"), and say nothing.
"""

from collections import Counter
from collections.abc import Iterator
from math import log2

import numpy as np

from train_fn.signatures import HEAD_BYTES

EXTRA_BITS = 20  # words come together, so they say less than one by one
# An opening of more than one row in PHRASE_PART is a phrase; of fewer than the first number it is none, of more
# than the second it always is.
PHRASE_PART = 50
PHRASE_ROWS = (16, 512)


def prefix_edges(heads: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """int64 [edges, 2]: neighbours that share a telling opening, when rows are sorted by it within a domain.

    `heads` bytes [rows] of HEAD_BYTES, words with one space between; `domains` int [rows], below 0: not compared.
    """
    edges = [np.empty((0, 2), np.int64)]
    for domain in np.unique(domains[domains >= 0]):
        rows = np.flatnonzero(domains == domain)
        edges.append(rows[_within(heads[rows])])
    return np.concatenate(edges)


def _within(heads: np.ndarray) -> np.ndarray:
    """The edges of one domain."""
    order = np.argsort(heads, kind="stable")
    heads = heads[order]
    bits = _bits(heads)
    needed = 2 * log2(max(len(heads), 2)) + EXTRA_BITS
    letters = heads.view(np.uint8).reshape(len(heads), HEAD_BYTES)
    phrases = Phrases(heads)
    found = []
    for row, common in _common(letters):
        run = _whole_words(bytes(heads[row]), bytes(heads[row + 1]), common)
        worth = sum(bits[word] for word in run)
        for words in range(1, len(run) + 1):
            if worth < needed or not phrases.holds(b" ".join(run[:words])):
                break
            worth -= bits[run[words - 1]]
        if worth >= needed:
            found.append(row)
    left = np.array(found, np.int64)
    return np.stack([order[left], order[left + 1]], axis=1)


class Phrases:
    """Openings of many rows of a domain, by `heads`, sorted."""

    def __init__(self, heads: np.ndarray) -> None:
        self._heads = heads
        self._most = min(max(len(heads) // PHRASE_PART, PHRASE_ROWS[0]), PHRASE_ROWS[1])
        self._known: dict[bytes, bool] = {}

    def holds(self, run: bytes) -> bool:
        """Whether more rows open with these words than could share a title."""
        if run not in self._known:
            # What follows a whole word is a space, and "!" is the next character after it.
            first, last = np.searchsorted(self._heads, np.array([run, run + b"!"]))
            self._known[run] = bool(last - first > self._most)
        return self._known[run]


def _bits(heads: np.ndarray) -> dict[bytes, float]:
    """How surprising each word is at an opening: -log2 of its share of the words there."""
    counts = Counter(word for head in heads for word in bytes(head).split())
    total = sum(counts.values())
    return {word: -log2(count / total) for word, count in counts.items()}


def _common(letters: np.ndarray) -> Iterator[tuple[int, int]]:
    """(row, leading bytes that it shares with the next row) of rows that share at least ten."""
    for start in range(0, len(letters) - 1, 1 << 16):
        part = letters[start : start + (1 << 16) + 1]
        other = part[1:] != part[:-1]
        common = np.where(other.any(axis=1), other.argmax(axis=1), HEAD_BYTES)
        rows = np.flatnonzero(common >= 10)
        yield from zip((rows + start).tolist(), common[rows].tolist(), strict=True)


def _whole_words(one: bytes, two: bytes, common: int) -> list[bytes]:
    """The words that both begin with; none when they are all of a text, which is a copy cut short."""
    if common >= min(len(one), len(two)) and min(len(one), len(two)) < HEAD_BYTES:
        return []
    ends = all(len(head) == common or head[common : common + 1] == b" " for head in (one, two))
    if ends and common < HEAD_BYTES:
        return one[:common].split()
    return one[:common].rpartition(b" ")[0].split()
