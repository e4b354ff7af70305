"""RAID's attacks on a text, to plant copies whose originals are known. A paraphrase would need a model.

Each changes about as much as the attack of its name does on real rows. They are given the text behind the title.
Misspelling and synonym stand in for word lists and a language model: which word may change is drawn, and what it
becomes is a slip of the hand or a common word, so a copy shares no more with its original than on real rows.
"""

import random
import re
import zlib
from collections.abc import Callable
from functools import lru_cache

from train_fn.attack_words import COMMON, SPELLINGS

HOMOGLYPHS = {
    "a": "\u0430", "A": "\u0410\u0391", "B": "\u0412\u0392", "e": "\u0435", "E": "\u0415\u0395", "c": "\u0441",
    "p": "\u0440", "K": "\u041a\u039a", "O": "\u041e\u039f", "P": "\u0420\u03a1", "M": "\u041c\u039c",
    "H": "\u041d\u0397", "T": "\u0422\u03a4", "X": "\u0425\u03a7", "C": "\u0421", "y": "\u0443",
    "o": "\u043e\u03bf", "x": "\u0445\u03c7", "I": "\u0406\u0399", "i": "\u0456", "N": "\u039d", "Z": "\u0396",
}  # fmt: skip
STOP_WORDS = frozenset(
    "about after again all also and any are because been before being between but can could did does for from had "
    "has have her here him his how into its just more most not now only other our out over she should some such "
    "than that the their them then there these they this those through under until very was were what when where "
    "which while who why will with would you your".split()
)
ARTICLE = re.compile(r"\b(?:an?|the) ", re.IGNORECASE)
NUMBER = re.compile(r"\d+")
SENTENCE = re.compile(r"(?<=[.!?]) ")
WORD = re.compile(r"[A-Za-z]{4,}")
HALF = 0.5
MISSPELT = 45  # percent of the words of four letters or more that a list of common misspellings knows


def homoglyph(text: str, rng: random.Random) -> str:
    """Every letter that has a look-alike becomes it."""
    return text.translate({ord(latin): rng.choice(others) for latin, others in HOMOGLYPHS.items()})


def number(text: str, rng: random.Random) -> str:
    """Half of the numbers get other digits."""
    return NUMBER.sub(lambda m: _redrawn(m[0], rng) if rng.random() < HALF else m[0], text)


def article_deletion(text: str, rng: random.Random) -> str:
    """Half of the articles are dropped."""
    return ARTICLE.sub(lambda m: "" if rng.random() < HALF else m[0], text)


def insert_paragraphs(text: str, rng: random.Random) -> str:
    """Half of the sentences begin after an empty line."""
    return SENTENCE.sub(lambda _: "\n\n" if rng.random() < HALF else " ", text)


def perplexity_misspelling(text: str, rng: random.Random) -> str:
    """Half of the words that are often misspelt are: 10 to 15 % of all words."""
    draw = rng.random
    return WORD.sub(lambda m: _misspelt(m[0]) if draw() < HALF else m[0], text)


def upper_lower(text: str, rng: random.Random) -> str:
    """The first letter of half of the words changes its case."""
    words = text.split(" ")
    draw = rng.random
    return " ".join([word[:1].swapcase() + word[1:] if draw() < HALF else word for word in words])


def whitespace(text: str, rng: random.Random) -> str:
    """Half of the gaps between words are a space wider."""
    words = text.split(" ")
    draw = rng.random
    return "".join([word + "  " if draw() < HALF else word + " " for word in words[:-1]]) + words[-1]


def zero_width_space(text: str, rng: random.Random) -> str:
    """U+200B between all characters."""
    return "\u200b".join(text)


def synonym(text: str, rng: random.Random) -> str:
    """Half of the words that are no stop words become others."""
    draw, count = rng.random, len(COMMON)

    def other(match: re.Match[str]) -> str:
        word = match[0]
        chance = draw() / HALF  # below 1 it picks the word, too: one draw, not two
        return COMMON[int(count * chance)] if chance < 1 and word.lower() not in STOP_WORDS else word

    return WORD.sub(other, text)


def alternative_spelling(text: str, rng: random.Random) -> str:
    """American words are spelt as the British do, and the other way round."""
    return WORD.sub(lambda m: SPELLINGS.get(m[0], m[0]), text)


ATTACKS: dict[str, Callable[[str, random.Random], str]] = {
    attack.__name__: attack
    for attack in (
        homoglyph,
        number,
        article_deletion,
        insert_paragraphs,
        perplexity_misspelling,
        upper_lower,
        whitespace,
        zero_width_space,
        synonym,
        alternative_spelling,
    )
}


def _redrawn(digits: str, rng: random.Random) -> str:
    return "".join(rng.choice("0123456789") for _ in digits)


@lru_cache(maxsize=1 << 16)
def _misspelt(word: str) -> str:
    """The word as it is, or with a slip if it is one of those: two inner letters swapped, or one doubled."""
    if zlib.crc32(word.lower().encode()) % 100 >= MISSPELT:
        return word
    middle = len(word) // 2
    left, right = word[middle - 1], word[middle]
    return word[: middle - 1] + (left + right * 2 if left == right else right + left) + word[middle + 1 :]
