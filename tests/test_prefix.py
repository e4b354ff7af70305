"""The prefix rule: a shared title joins, a shared phrase does not."""

import random

import numpy as np

from train_fn.normalise import normal_words
from train_fn.prefix import prefix_edges
from train_fn.signatures import HEAD_BYTES, hash_texts

WORDS = [f"{a}{b}" for a in "ba ce di fo gu ha ke li mo nu".split() for b in "rem san tol vik zun".split()]
PHRASE = "In this paper we present a new method for "
TITLE = "The Amber Lantern And The Quiet River. "


def body(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(40))


def joined(texts: list[str], domains: list[int] | None = None) -> set[tuple[int, int]]:
    heads = hash_texts(texts).heads
    edges = prefix_edges(heads, np.array(domains or [0] * len(texts)))
    return {(min(edge), max(edge)) for edge in edges.tolist()}


def test_a_title_joins_its_texts_and_a_phrase_of_the_domain_joins_none() -> None:
    rng = random.Random(1)
    texts = [PHRASE + body(rng) for _ in range(200)] + [body(rng) for _ in range(200)]
    texts += [TITLE + body(rng) for _ in range(3)]
    found = joined(texts)
    assert len(found) == 2
    assert {row for edge in found for row in edge} == {400, 401, 402}


def test_a_title_joins_within_a_domain_only_and_not_where_the_domain_is_below_0() -> None:
    rng = random.Random(2)
    texts = [TITLE + body(rng) for _ in range(4)]
    assert joined(texts, [0, 1, 0, 1]) == {(0, 2), (1, 3)}
    assert joined(texts, [-1, -1, 0, 1]) == set()


def test_a_text_that_is_all_of_the_shared_run_is_a_copy_and_no_title() -> None:
    rng = random.Random(3)
    whole = " ".join(rng.sample(WORDS, 12))
    others = [body(rng) for _ in range(50)]
    assert joined([whole, f"{whole} {body(rng)}", *others]) == set()
    assert len(joined([f"{whole} end", f"{whole} {body(rng)}", *others])) == 1


def test_a_run_ends_at_whole_words() -> None:
    rng = random.Random(4)
    others = [body(rng) for _ in range(50)]
    starts = "zurichberg extraordinarily"
    assert joined([f"{starts[:-2]}xx {body(rng)}", f"{starts[:-2]}yy {body(rng)}", *others]) == set()


def test_openings_longer_than_what_is_kept_are_compared_up_to_there() -> None:
    rng = random.Random(5)
    long = " ".join(rng.choice(WORDS) for _ in range(60))
    assert len(" ".join(normal_words(long))) > HEAD_BYTES
    assert joined([f"{long} one", f"{long} two", *(body(rng) for _ in range(50))]) == {(0, 1)}
