"""What separates the classes without understanding is found where it was planted, and nowhere else."""

import numpy as np
import pytest

from train_fn.audit_facts import Accuracy, Shortcut
from train_fn.shortcuts import OPENING, Sample, balanced, find_shortcuts, word_scores

ROWS = 240
WORDS = [
    f"{first}{second}" for first in ("ba", "ke", "mo", "tu") for second in ("ril", "sen", "dap", "gok", "lum")
]


def words(rng: np.random.Generator, count: int) -> str:
    return " ".join(rng.choice(WORDS, count))


def plain(rng: np.random.Generator, label: int) -> str:
    return words(rng, int(rng.integers(20, 60)))


def by_length(rng: np.random.Generator, label: int) -> str:
    """Human texts are the middle ones: no line through the length separates them."""
    return words(rng, int(rng.integers(30, 40) if label else rng.choice([20, 50]) + rng.integers(8)))


def by_opening(rng: np.random.Generator, label: int) -> str:
    return ("# " if label else "def ") + plain(rng, label)


def by_words(rng: np.random.Generator, label: int) -> str:
    """A few words of its own, equally long, behind the opening."""
    own = ("machine engine robot", "persons family child")[label]
    return f"{words(rng, OPENING)} {own} {words(rng, 10)}"


def sample(*makers: object) -> Sample:
    rng = np.random.default_rng(0)
    texts, labels, domains = [], [], []
    for code, maker in enumerate(makers):
        for row in range(ROWS):
            texts.append(maker(rng, row % 2))  # type: ignore[operator]
            labels.append(row % 2)
            domains.append(code)
    return Sample(
        texts, np.array(labels), np.array(domains), [f"domain{code}" for code in range(len(makers))]
    )


def halves(data: Sample) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(data.texts))
    return rows[rows % 4 < 2], rows[rows % 4 >= 2]


def found(data: Sample) -> tuple[Shortcut, dict[str, Shortcut], Accuracy | None]:
    """Over all domains, by domain, and the words' balanced accuracy."""
    train, test = halves(data)
    scores = word_scores(data, train, test)
    return *find_shortcuts(data, train, test, scores), balanced(data, test, scores)


@pytest.mark.parametrize(
    ("maker", "name"), [(by_length, "length"), (by_opening, "opening"), (by_words, "words")]
)
def test_a_planted_shortcut_is_found_in_its_domain_and_not_in_the_other(maker: object, name: str) -> None:
    domains = found(sample(plain, maker))[1]
    assert getattr(domains["domain1"], name) > 0.95
    clean = domains["domain0"]
    assert max(clean.length or 0, clean.opening or 0, clean.words or 0) < 0.7


def test_only_the_planted_shortcut_is_named() -> None:
    only = found(sample(by_opening))[0]
    assert only.opening == 1.0
    assert only.length is not None
    assert only.length < 0.7


def test_opposite_lengths_in_two_domains_do_not_hide_each_other() -> None:
    def short(rng: np.random.Generator, label: int) -> str:
        return words(rng, 20 if label else 40)

    def long(rng: np.random.Generator, label: int) -> str:
        return words(rng, 40 if label else 20)

    domains = found(sample(short, long))[1]
    assert (domains["domain0"].length, domains["domain1"].length) == (1.0, 1.0)


def test_shuffled_labels_are_separated_by_nothing() -> None:
    data = sample(by_opening, by_words)
    labels = np.random.default_rng(1).permutation(data.labels)
    overall, _, accuracy = found(Sample(data.texts, labels, data.domains, data.names))
    values = overall.model_dump().values()
    assert max(abs(value - 0.5) for value in values) < 0.15
    assert accuracy is not None
    assert abs(accuracy.value - 0.5) < 0.15


def test_a_domain_with_few_rows_of_a_class_has_no_figure() -> None:
    data = sample(plain, by_opening)
    train, test = halves(data)
    rare = (data.domains == 1) & (data.labels == 1)
    kept = np.concatenate([test[~rare[test]], test[rare[test]][:9]])
    _, domains = find_shortcuts(data, train, kept, word_scores(data, train, kept))
    assert domains["domain1"] == Shortcut(length=None, opening=None, words=None)
    assert domains["domain0"].length is not None


def test_texts_without_a_common_word_have_no_figure_for_words() -> None:
    rng = np.random.default_rng(0)
    texts = [f"unique{row}x{rng.integers(10**9)}" for row in range(ROWS)]
    data = Sample(texts, np.arange(ROWS) % 2, np.zeros(ROWS, int), ["one"])
    overall, _, accuracy = found(data)
    assert overall.words is None
    assert accuracy is None
    assert overall.length is not None


def test_the_accuracy_weighs_both_classes_alike_and_tells_its_error() -> None:
    labels = np.array([0] * 100 + [1] * 400)
    data = Sample([""] * 500, labels, np.zeros(500, int), ["one"])
    scores = np.where(labels == 1, 1.0, -1.0)
    scores[:50] = 1.0  # half of the smaller class is wrong
    assert balanced(data, np.arange(500), scores) == Accuracy(value=0.75, error=0.025)


def test_the_same_rows_give_the_same_figures() -> None:
    data = sample(by_length, by_words)
    assert found(data) == found(data)
