"""How far the classes come apart without understanding: by length, by how a text opens, by its words alone.

A domain that any of these solves tells nothing of a detector; RAID's code and recipes are suspects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train_fn.audit_facts import Accuracy, Shortcut
from train_fn.baseline import tfidf_pipeline
from train_fn.config import LABELS

OPENING = 40  # characters
FEW = 10  # rows of a class, in train or in test: an AUROC from fewer is chance
DIGITS = 4  # more would differ with the number of threads

Index = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Texts [rows], labels int [rows] (the index in LABELS), and domains: a code in `names` [rows]."""

    texts: Sequence[str]
    labels: NDArray[np.integer]
    domains: NDArray[np.integer]
    names: Sequence[str]

    def pick(self, index: Index) -> list[str]:
        """The texts of these rows."""
        return [self.texts[row] for row in index]

    def enough(self, *parts: Index) -> bool:
        """Whether each part has FEW rows of each class."""
        return all(np.bincount(self.labels[part], minlength=len(LABELS)).min() >= FEW for part in parts)


def find_shortcuts(
    sample: Sample, train: Index, test: Index, scores: Scores | None
) -> tuple[Shortcut, dict[str, Shortcut]]:
    """Fit on the rows `train`, score on `test`: over all domains, and by domain. `scores` are `word_scores`.

    Length and opening are fitted anew for each domain, for what is short in one is long in another; the words
    once, as the baseline does.
    """
    domains = {}
    for code, name in enumerate(sample.names):
        inside, mine = train[sample.domains[train] == code], sample.domains[test] == code
        domains[name] = _shortcut(sample, inside, test[mine], None if scores is None else scores[mine])
    return _shortcut(sample, train, test, scores), domains


def word_scores(sample: Sample, train: Index, test: Index) -> Scores | None:
    """The baseline's score of Human_Written for each row of `test`; None where it cannot be fitted."""
    if not sample.enough(train, test):
        return None
    try:
        pipeline = tfidf_pipeline().fit(sample.pick(train), sample.labels[train])
    except ValueError:  # no word stands in two texts
        return None
    return np.asarray(pipeline.decision_function(sample.pick(test)))


def balanced(sample: Sample, test: Index, scores: Scores | None) -> Accuracy | None:
    """The balanced accuracy of scores whose boundary is 0."""
    if scores is None:
        return None
    right = (scores > 0) == (sample.labels[test] == 1)
    recalls = [right[sample.labels[test] == number] for number in range(len(LABELS))]
    variance = sum(recall.mean() * (1 - recall.mean()) / len(recall) for recall in recalls)
    value = float(np.mean([recall.mean() for recall in recalls]))
    return Accuracy(value=round(value, DIGITS), error=round(float(np.sqrt(variance)) / len(LABELS), DIGITS))


def _shortcut(sample: Sample, train: Index, test: Index, words: Scores | None) -> Shortcut:
    if not sample.enough(train, test):
        return Shortcut(length=None, opening=None, words=None)
    return Shortcut(
        length=_auroc(sample, test, _fitted(sample, train, test, _lengths, _length_model())),
        opening=_auroc(sample, test, _fitted(sample, train, test, _openings, _opening_model())),
        words=None if words is None else _auroc(sample, test, words),
    )


def _auroc(sample: Sample, test: Index, scores: Scores) -> float:
    from sklearn.metrics import roc_auc_score

    return round(float(roc_auc_score(sample.labels[test], scores)), DIGITS)


def _fitted(
    sample: Sample, train: Index, test: Index, features: Callable[[list[str]], Any], model: Any
) -> Scores:
    model.fit(features(sample.pick(train)), sample.labels[train])
    return np.asarray(model.predict_proba(features(sample.pick(test)))[:, 1])


def _lengths(texts: list[str]) -> list[tuple[int, int]]:
    return [(len(text), len(text.split())) for text in texts]


def _openings(texts: list[str]) -> list[str]:
    return [text[:OPENING] for text in texts]


def _length_model() -> Any:
    """A small tree: a class may be the middle lengths, which no line separates."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_leaf_nodes=32, min_samples_leaf=5, random_state=0)


def _opening_model() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    grams = HashingVectorizer(
        analyzer="char", ngram_range=(1, 3), n_features=2**18, alternate_sign=False, lowercase=False
    )
    return make_pipeline(grams, LogisticRegression(C=10, class_weight="balanced", max_iter=1000))
