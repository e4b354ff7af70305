"""Normal words: what RAID's surface attacks do is undone, and texts that differ stay different."""

import random

import pytest

from train_fn.attacks import ATTACKS
from train_fn.normalise import normal_hash, normal_words, text_hash

TEXT = (
    "The Amber Lantern. In 1987, an old keeper met a traveller at the harbour; he paid 25 coins. Nobody "
    "(not even Zoe) knew why. Is KAPOXY a place? A map of 12 islands says: perhaps the only one."
)
UNDONE = "homoglyph number article_deletion insert_paragraphs upper_lower whitespace zero_width_space".split()


def hash_of(text: str) -> int:
    return normal_hash(text, normal_words(text))


@pytest.mark.parametrize("attack", UNDONE)
def test_an_attack_on_the_surface_changes_the_text_and_not_its_normal_hash(attack: str) -> None:
    copies = {ATTACKS[attack](TEXT, random.Random(seed)) for seed in range(20)} - {TEXT}
    assert copies
    assert {text_hash(copy) for copy in copies}.isdisjoint({text_hash(TEXT)})
    assert all(normal_words(copy) == normal_words(TEXT) for copy in copies)
    assert {hash_of(copy) for copy in copies} == {hash_of(TEXT)}


def test_all_seven_at_once_are_undone() -> None:
    attacked, rng = TEXT, random.Random(1)
    for attack in (
        "number",
        "article_deletion",
        "upper_lower",
        "whitespace",
        "homoglyph",
        "zero_width_space",
    ):
        attacked = ATTACKS[attack](attacked, rng)
    assert hash_of(attacked) == hash_of(TEXT)


def test_one_other_word_is_another_text() -> None:
    assert hash_of(TEXT.replace("keeper", "sailor")) != hash_of(TEXT)


def test_words_are_small_latin_letters_without_articles_and_digits() -> None:
    assert normal_words("A \u0421\u0430t's 3rd \uff26ish, the \u00fcber-\u200bfish") == [
        *"cat s rd fish \u00fcber fish".split()
    ]


def test_a_flipped_first_letter_of_a_cyrillic_word_is_undone() -> None:
    assert normal_words("\u0412\u043e\u0434\u0430") == normal_words("\u0432\u043e\u0434\u0430")


def test_texts_of_few_letters_are_one_only_when_they_are_equal() -> None:
    assert hash_of("12 + 30 = 42") != hash_of("1 + 1 = 2")
    assert hash_of("12 + 30 = 42") == hash_of("12 + 30 = 42")
    assert hash_of("\u4f60\u597d") != hash_of("\u4f60\u597d!")


def test_hashes_are_eight_bytes_and_the_same_for_ever() -> None:
    assert text_hash("") == int.from_bytes(bytes.fromhex("e4a6a0577479b2b4"), "little")
    assert all(0 <= text_hash(str(n)) < 2**64 for n in range(100))
