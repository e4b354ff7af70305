"""Near copies are found by their words, and unrelated texts are not joined, however alike their domain."""

import random
from itertools import pairwise

import numpy as np
import pytest

from train_fn.attacks import ATTACKS
from train_fn.near import LEVELS, Forest, near_edges
from train_fn.signatures import Signed, content_words, sign_texts, word_bits

COMMON = [f"c{a}{b}" for a in "abcdefghij" for b in "abcde"]
RARE = [f"{a}{b}{c}" for a in ("bal", "cor", "dim", "fen") for b in "abcdefghijklm" for c in "nopqrstuvwxyz"]


def text(rng: random.Random) -> str:
    """80 words, half of them of 50 that the whole domain uses."""
    return " ".join(rng.choice(COMMON if rng.random() < 0.5 else RARE) for _ in range(80))


def sign(texts: list[str]) -> Signed:
    return sign_texts(texts, word_bits((0, text) for text in texts))


def groups(texts: list[str]) -> np.ndarray:
    forest = Forest(len(texts))
    forest.join(near_edges(sign(texts))[0])
    return forest.labels


@pytest.mark.parametrize("attack", ["perplexity_misspelling", "synonym", "alternative_spelling"])
def test_copies_with_other_words_are_found_among_texts_of_the_same_domain(attack: str) -> None:
    rng = random.Random(1)
    texts = [text(rng) for _ in range(400)]
    copies = [ATTACKS[attack](one, rng) for one in texts]
    labels = groups([*texts, *copies])
    found = labels[:400] == labels[400:]
    assert found.mean() >= 0.95
    assert len(set(labels[:400].tolist())) >= 398


def test_unrelated_texts_stay_apart_though_they_share_the_words_of_their_domain() -> None:
    rng = random.Random(2)
    texts = [text(rng) for _ in range(1000)]
    shared = [len(set(one.split()) & set(two.split())) for one, two in pairwise(texts)]
    assert np.mean(shared) > 10
    assert near_edges(sign(texts))[0].tolist() == []


def test_the_level_of_a_pair_is_the_highest_that_its_overlap_reaches() -> None:
    rng = random.Random(3)
    words = rng.sample(RARE, 300)
    for overlap, expected in ((0.9, 3), (0.55, 2), (0.45, 1)):
        kept = int(100 * overlap)
        one, two = " ".join(words[:100]), " ".join(words[:kept] + words[100 : 200 - kept])
        texts = [one, two, *(text(rng) for _ in range(50))]
        edges, levels = near_edges(sign(texts))
        jaccard = overlap / (2 - overlap)
        assert LEVELS[expected] <= jaccard
        assert ([sorted(edge) for edge in edges.tolist()], levels.tolist()) == ([[0, 1]], [expected])


def test_short_texts_that_share_a_few_words_are_not_near() -> None:
    rng = random.Random(4)
    texts = [" ".join(rng.sample(RARE, 4) + RARE[:3]) for _ in range(100)]
    assert near_edges(sign(texts))[0].tolist() == []


def test_a_text_of_few_content_words_is_not_signed() -> None:
    signed = sign_texts(["the of and 12 13 it", "word " * 40, " ".join(RARE[:40])], {})
    assert (signed.bits > 0).tolist() == [False, False, True]


def test_edges_do_not_depend_on_the_order_of_rows() -> None:
    rng = random.Random(5)
    texts = [text(rng) for _ in range(150)]
    texts += [ATTACKS["synonym"](one, rng) for one in texts]
    order = rng.sample(range(300), 300)
    forward, mixed = groups(texts), groups([texts[row] for row in order])
    pairs = {tuple(sorted((a, b))) for a in range(300) for b in range(a) if forward[a] == forward[b]}
    again = {
        tuple(sorted((order[a], order[b]))) for a in range(300) for b in range(a) if mixed[a] == mixed[b]
    }
    assert pairs == again


def test_common_words_are_worth_nothing_and_rare_ones_what_their_share_says() -> None:
    kinds = "alpha beta".split()
    tens = "ten eleven twelve".split()  # two of them stop words
    texts = [
        (row % 2, f"usual {kinds[row % 2]} {'seldom' if row < 40 else tens[row % 3]}") for row in range(400)
    ]
    bits = word_bits(texts)
    assert bits["usual"] == bits["alpha"] == bits["beta"] == 0
    assert bits["seldom"] == pytest.approx(np.log2(10))
    assert "ten" not in bits
    assert content_words("The usual, usual thing of it") == ["usual", "thing"]


def test_a_forest_joins_over_many_steps() -> None:
    forest = Forest(6)
    forest.join(np.array([[0, 3], [4, 5]]))
    forest.join(np.array([[5, 3]]))
    assert len(set(forest.labels[[0, 3, 4, 5]].tolist())) == 1
    assert forest.apart(np.array([[1, 2], [0, 4], [1, 5]])).tolist() == [True, False, True]
