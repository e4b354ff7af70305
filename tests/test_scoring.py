"""A delivered detector scores texts as its run did, whatever their length, company and domain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from delivering import MAX_LENGTH, THRESHOLDS, copied, words
from training import CPU

from train_fn import scoring
from train_fn.config import LABELS
from train_fn.errors import InputError
from train_fn.rule import UNCHOSEN, Rule, Thresholds
from train_fn.scoring import TextScorer, foreign_share
from train_fn.text_rows import TextRow
from train_fn.tokenizing import load_tokenizer
from train_fn.windows import cut

CONTENT = MAX_LENGTH - 1  # the tokenizer ends each window with a token of its own
STEP = CONTENT - MAX_LENGTH // 2


@pytest.fixture(scope="module")
def scorer(delivered: Path) -> TextScorer:
    return TextScorer.open(delivered, device=CPU)


def texts(*lengths: int) -> list[str]:
    rng = np.random.default_rng(3)
    return [words(rng, length, index % 2) for index, length in enumerate(lengths)]


def margins(scorer: TextScorer, given: list[str]) -> Any:
    return np.array([result.margin for result in scorer.score(given)])


def test_scores_are_the_runs_own_predictions(scorer: TextScorer, delivered: Path) -> None:
    own = pq.read_table(delivered / "predictions.parquet").to_pandas()
    test = own[own["split"] == "test"].sort_values("row")
    given = pq.read_table(delivered.parents[1] / "data" / "test.parquet")["text"].to_pylist()
    results = scorer.score(given)
    whole = np.array([result.windows == 1 for result in results])
    assert 20 < whole.sum() < len(given)
    found = np.array([result.probability for result in results])
    np.testing.assert_allclose(found[whole], test["probability_ai"].to_numpy()[whole], atol=1e-5)
    assert found.std() > 0.05
    labels = np.array([result.label for result in results])
    assert (labels[whole] == test["predicted"].to_numpy()[whole]).all()


def test_the_first_window_is_what_training_kept_and_the_rest_overlap_by_half(delivered: Path) -> None:
    tokenizer = load_tokenizer(str(delivered.parents[1] / "model"), None)
    given = texts(5, CONTENT, CONTENT + 1, 200)
    windows = cut(tokenizer, given, MAX_LENGTH)
    kept = tokenizer(given, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    first = np.searchsorted(windows.text, np.arange(len(given)))
    assert [windows.split.row(index).tolist() for index in first] == kept
    assert windows.counts.tolist()[:3] == [1, 1, 2]
    ids = tokenizer(given[3])["input_ids"][:-1]
    rows = [windows.split.row(int(index))[:-1].tolist() for index in np.flatnonzero(windows.text == 3)]
    assert rows == [ids[start : start + CONTENT] for start in range(0, STEP * len(rows), STEP)]
    assert rows[-1][-1] == ids[-1]
    assert len(rows[-1]) > MAX_LENGTH // 2


def test_a_long_texts_margin_is_the_mean_of_its_windows_by_tokens(scorer: TextScorer) -> None:
    (long,) = texts(100)
    (result,) = scorer.score([long])
    parts = long.split()
    pieces = [parts[start : start + CONTENT] for start in range(0, STEP * result.windows, STEP)]
    each = margins(scorer, [" ".join(piece) for piece in pieces])
    tokens = [len(piece) + 1 for piece in pieces]
    assert result.windows == len(pieces) == 6
    assert result.margin == pytest.approx(np.average(each, weights=tokens), abs=1e-5)
    assert each.std() > 0.05


def test_a_text_scores_the_same_alone_and_in_company(
    scorer: TextScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = texts(3, 90, 20, 33, 7)
    together = margins(scorer, given)
    np.testing.assert_allclose(margins(scorer, given[::-1])[::-1], together, atol=1e-5)
    monkeypatch.setattr(scoring, "ROWS", 2)
    np.testing.assert_allclose(margins(scorer, given), together, atol=1e-5)


def test_a_text_that_cannot_be_scored_is_an_error_in_words_among_the_others(scorer: TextScorer) -> None:
    good = texts(10, 20)
    results = scorer.score([None, good[0], "", " \n\t", "a\ud800b", good[1], "a" * 5_000_001])
    assert [result.error.partition(",")[0] for result in results] == [
        "the text is null",
        "",
        "the text is empty or only white space",
        "the text is empty or only white space",
        "the text is not valid UTF-8",
        "",
        "the text has 5",
    ]
    assert [results[index].margin for index in (1, 5)] == pytest.approx(
        margins(scorer, good).tolist(), abs=1e-5
    )
    assert {(result.label, result.verdict) for result in results if result.error} == {(None, None)}
    assert scorer.score([]) == []
    assert [result.error for result in scorer.score([None])] == ["the text is null"]


def test_a_stream_is_read_a_part_at_a_time(scorer: TextScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def rows() -> Iterator[TextRow]:
        for number in range(10):
            read.append(number)
            yield TextRow("a b c")

    monkeypatch.setattr(scoring, "ROWS", 4)
    assert [(len(part), len(read)) for part in scorer.stream(rows())] == [(4, 4), (4, 8), (2, 10)]
    read.clear()
    monkeypatch.setattr(scoring, "CHARACTERS", 10)
    assert [len(part) for part in scorer.stream(rows())] == [2] * 5


def test_a_long_file_gives_the_model_few_shapes(scorer: TextScorer) -> None:
    met: set[tuple[int, ...]] = set()
    hook = scorer._scorer.model.register_forward_pre_hook(lambda _, given: met.add(tuple(given[0].shape)))
    sizes = np.random.default_rng(5).integers(1, 60, 40)
    for size in sizes:
        scorer.score(["a b c"] * int(size))
    hook.remove()
    assert len(set(sizes)) > 20
    assert {rows for rows, _ in met} <= {1, 2, 4, 8, 16, 32}, "as many kernels as a CPU must keep"


AI, HUMAN = LABELS


@pytest.mark.parametrize(
    ("fpr", "domain", "margin", "verdict", "threshold_of", "note"),
    [
        (5, None, 0.5, AI, "global", ""),
        (5, None, 0.49, HUMAN, "global", ""),
        (5, "news", 0.0, AI, "news", ""),
        (5, "news", -0.51, HUMAN, "news", ""),
        (1, "news", 2.9, HUMAN, "news", ""),
        (5, "wiki", 0.6, AI, "global", "no threshold of domain 'wiki': 4 human texts"),
        (
            5,
            "l\u00e4w",
            0.6,
            AI,
            "global",
            "no threshold of domain 'l\\xe4w': it is none of the run's domains",
        ),
        (1, None, 9.0, None, None, "no verdict at FPR 1 %: 20 human texts carry no FPR of 1 %"),
        (1, "wiki", 9.0, None, None, "no verdict at FPR 1 %: 20 human texts carry no FPR of 1 %"),
    ],
)
def test_the_verdict_is_by_the_domains_threshold_else_by_the_global_one(
    fpr: int, domain: str | None, margin: float, verdict: str | None, threshold_of: str | None, note: str
) -> None:
    found = Rule(Thresholds(**THRESHOLDS), fpr).verdict(margin, domain)
    assert (found.verdict, found.threshold_of, found.note) == (verdict, threshold_of, note)
    assert (found.threshold is None) == (verdict is None)


def test_the_probability_is_tempered_and_plain_without_thresholds() -> None:
    assert Rule(Thresholds(**THRESHOLDS), 5).probability(3.0) == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert Rule(None, 5).probability(3.0) == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert Rule(None, 5).probability(-5000.0) == 0.0
    assert Rule(None, 5).verdict(3.0, "news").note == UNCHOSEN


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("plain words 123", 0.0),
        ("\u00e9t\u00e9 \u0142\u00f3d\u017a \uff21", 0.0),
        ("\u043c\u0438\u0440 ab", 0.6),
        ("\u4f60\u597d\u4e16\u754c", 1.0),
        ("\u2026 12 \u20ac", 0.0),
    ],
)
def test_the_share_of_letters_that_are_not_latin(text: str, share: float) -> None:
    assert foreign_share(text) == pytest.approx(share)


def test_a_text_in_other_letters_is_scored_with_a_warning(scorer: TextScorer) -> None:
    half, most = scorer.score(["a \u0436", "a \u0436\u0436"])
    assert half.note == UNCHOSEN
    assert most.note.startswith("67% of the letters are not Latin")
    assert most.label in LABELS


def test_a_run_with_thresholds_gives_verdicts_by_row(delivered: Path, tmp_path: Path) -> None:
    scorer = TextScorer.open(str(copied(delivered, tmp_path)), fpr=5, device=CPU)
    given = texts(20, 21, 20)
    results = scorer.score(given, ["news", None, "wiki"])
    assert [result.threshold for result in results] == [-0.5, 0.5, 0.5]
    for result in results:
        assert result.margin is not None
        assert result.threshold is not None
        assert result.verdict == (AI if result.margin >= result.threshold else HUMAN)
        assert result.probability == pytest.approx(1 / (1 + np.exp(-result.margin / 2)))


def test_another_rate_is_refused(delivered: Path) -> None:
    with pytest.raises(InputError, match="--fpr must be 5 or 1"):
        Rule.open(delivered, 10)
