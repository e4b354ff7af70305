"""The planted attacks change what their namesakes change, about as much, and nothing else."""

import random
import re

import pytest

from train_fn.attacks import ATTACKS, HOMOGLYPHS, STOP_WORDS
from train_fn.normalise import normal_words

SENTENCES = (
    "The colour of the harbour was gray in 1987. An old keeper named Mason carried 25 lanterns across a narrow "
    "bridge. Nobody knew whether the traveller would realize what happened there after midnight. "
)
TEXT = SENTENCES * 20


def share_changed(attack: str) -> float:
    """Of the words, position by position."""
    before, after = TEXT.split(), ATTACKS[attack](TEXT, random.Random(3)).split()
    assert len(before) == len(after)
    return sum(one != two for one, two in zip(before, after, strict=True)) / len(before)


def test_there_are_the_ten_attacks_that_need_no_model() -> None:
    assert len(ATTACKS) == 10
    assert "paraphrase" not in ATTACKS


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_changes_the_text_the_same_way_for_the_same_seed(attack: str) -> None:
    once, again = (ATTACKS[attack](TEXT, random.Random(5)) for _ in range(2))
    assert once == again != TEXT


@pytest.mark.parametrize(
    ("attack", "low", "high"),
    [
        ("perplexity_misspelling", 0.05, 0.25),
        ("synonym", 0.2, 0.45),
        ("alternative_spelling", 0.01, 0.2),
        ("upper_lower", 0.4, 0.6),
        ("number", 0.01, 0.06),
    ],
)
def test_an_attack_changes_about_as_many_words_as_on_real_rows(attack: str, low: float, high: float) -> None:
    assert low < share_changed(attack) < high


def test_homoglyphs_leave_no_letter_that_has_one_and_the_rest_alone() -> None:
    attacked = ATTACKS["homoglyph"](TEXT, random.Random(1))
    assert not set(attacked) & set(HOMOGLYPHS)
    same = [two for one, two in zip(TEXT, attacked, strict=True) if one not in HOMOGLYPHS]
    assert same == [one for one in TEXT if one not in HOMOGLYPHS]


def test_articles_sentences_and_gaps_change_by_half() -> None:
    def count(pattern: str, attack: str) -> float:
        attacked = ATTACKS[attack](TEXT, random.Random(2))
        return len(re.findall(pattern, attacked)) / len(re.findall(r"\b(?:[Tt]he|[Aa]n?) ", TEXT))

    assert 0.3 < count(r"\b(?:[Tt]he|[Aa]n?) ", "article_deletion") < 0.7
    paragraphs = ATTACKS["insert_paragraphs"](TEXT, random.Random(2))
    assert 0.3 < paragraphs.count("\n\n") / TEXT.count(". ") < 0.7
    wide = ATTACKS["whitespace"](TEXT, random.Random(2))
    assert 0.4 < wide.count("  ") / len(TEXT.split()) < 0.6


def test_a_zero_width_space_stands_between_all_characters() -> None:
    assert ATTACKS["zero_width_space"]("ab c", random.Random(0)) == "a\u200bb\u200b \u200bc"


def test_synonyms_spare_stop_words() -> None:
    before, after = normal_words(TEXT), normal_words(ATTACKS["synonym"](TEXT, random.Random(4)))
    kept = [(one, two) for one, two in zip(before, after, strict=True) if one in STOP_WORDS]
    assert kept
    assert all(one == two for one, two in kept)
