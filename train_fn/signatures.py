"""What is kept of each text to find its relatives: hashes, its opening, and a MinHash sketch of its words.

Two texts agree in about as many of the sketch's minima as their sets of words have in common (Jaccard).
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from math import log2
from typing import NamedTuple

import numpy as np

from train_fn.normalise import normal_hash, normal_words, text_hash

PERMUTATIONS = 384  # the estimate of a Jaccard of 0.2 is off by 0.02
SEED = 1
MIN_WORDS = 5  # a text of fewer content words is met by its hash alone
MAX_WORDS = 2000  # of one text; the first ones tell as much
SHORT_WORD = 2  # letters
HEAD_BYTES = 160
# A word of one in five texts of a domain makes unrelated texts alike: planted recipes share 0.12 in the median
# with such words, 0.03 without. It must stand in COMMON_ROWS: copies of one text make no word common.
COMMON_SHARE = 0.2
COMMON_ROWS = 20
RARE_SHARE = 0.001  # a rarer word says no more than this: the sample is too small to tell
RARE_BITS = -log2(RARE_SHARE)
DOMAIN_ROWS = 100  # a domain of fewer sampled texts is judged by all texts


class Hashed(NamedTuple):
    """uint64 [rows, 2] text and normal hash; bytes [rows] of HEAD_BYTES, the opening in normal words."""

    hashes: np.ndarray
    heads: np.ndarray


class Signed(NamedTuple):
    """uint16 [rows, PERMUTATIONS] sketches, the low half of each minimum; float32 [rows] bits that the
    words are worth, 0: not signed."""

    sketches: np.ndarray
    bits: np.ndarray


def hash_texts(texts: list[str]) -> Hashed:
    """The hashes and openings of `texts`."""
    hashes = np.empty((len(texts), 2), np.uint64)
    heads = np.empty(len(texts), f"S{HEAD_BYTES}")
    for row, text in enumerate(texts):
        words = normal_words(text)
        hashes[row] = text_hash(text), normal_hash(text, words)
        heads[row] = " ".join(words[:HEAD_BYTES]).encode()[:HEAD_BYTES]
    return Hashed(hashes, heads)


def sign_texts(texts: list[str], known: dict[str, float]) -> Signed:
    """The sketches of `texts`; `known` are the bits of words by `word_bits`."""
    from datasketch import MinHash

    words = [[w for w in content_words(text) if known.get(w, RARE_BITS)][:MAX_WORDS] for text in texts]
    worth = [sum(known.get(w, RARE_BITS) for w in found) for found in words]
    bits = np.where([len(found) >= MIN_WORDS for found in words], worth, 0).astype(np.float32)
    values = np.zeros((len(texts), PERMUTATIONS), np.uint16)
    signed = np.flatnonzero(bits)
    # crc32 is a poor hash by itself, but the scheme mixes its bits before it permutes them.
    options = {"num_perm": PERMUTATIONS, "seed": SEED, "hashfunc": zlib.crc32, "scheme": "affine32"}
    coded = ([word.encode() for word in words[row]] for row in signed)
    for row, found in zip(signed, MinHash.generator(coded, **options), strict=True):
        values[row] = found.hashvalues.astype(np.uint16)
    return Signed(values, bits)


def content_words(text: str) -> list[str]:
    """The distinct words of a text that are neither stop words nor short, in order."""
    stop = _stop_words()
    return list(dict.fromkeys(w for w in normal_words(text) if len(w) > SHORT_WORD and w not in stop))


def word_bits(texts: Iterable[tuple[int, str]]) -> dict[str, float]:
    """How surprising words are: -log2 of the share of texts that have them, in the domain where that is highest.

    0 for common words; words rarer than RARE_SHARE are left out. `texts` are (domain, text).
    """
    everywhere = None
    counts: dict[int | None, Counter[str]] = defaultdict(Counter)
    rows: Counter[int | None] = Counter()
    for domain, text in texts:
        words = content_words(text)
        for part in (domain, everywhere):
            counts[part].update(words)
            rows[part] += 1
    bits: dict[str, float] = {}
    for part, found in counts.items():
        if part is everywhere or rows[part] >= DOMAIN_ROWS:
            for word, count in found.items():
                share = count / rows[part]
                if share >= RARE_SHARE:
                    common = share >= COMMON_SHARE and count >= COMMON_ROWS
                    bits[word] = min(bits.get(word, RARE_BITS), 0.0 if common else -log2(share))
    return bits


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
