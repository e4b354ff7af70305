"""A delivered detector on texts:  TextScorer.open("output/qwen3-0.6b-2m").score(["a text"])

A text's score is its margin: the AI logit less the human logit, of the same 4-bit base, adapter and tokens as in
training. A language or a kind of text that the training data did not hold cannot be told from it. What can be
seen is said in `note`: that over half of the letters are not Latin, or that the domain has no threshold.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from train_fn.batching import few_shapes
from train_fn.config import LABELS
from train_fn.delivered import DeliveredRun
from train_fn.evaluation import Scorer
from train_fn.model import load_base
from train_fn.rule import Rule
from train_fn.text_rows import TextRow, problem
from train_fn.tokenizing import load_tokenizer, pad_token_id
from train_fn.windows import cut
from train_fn.worker import default_device

# Scored at once: enough for even batches by length, and some 100 MB of tokens.
ROWS, CHARACTERS = 2048, 2_000_000


@dataclass(frozen=True)
class TextScore:
    """The result of one text. With an `error` there is nothing else.

    label: the likelier class. probability: P(AI_Generated), calibrated on validation. verdict: the class at the
    chosen false positive rate, by the threshold (a margin) of the text's domain or the global one; None without.
    """

    label: str | None = None
    probability: float | None = None
    verdict: str | None = None
    margin: float | None = None
    threshold: float | None = None
    threshold_of: str | None = None
    windows: int = 0
    note: str = ""
    error: str = ""


class TextScorer:
    """A run's detector, ready to score; `open` loads it."""

    def __init__(self, scorer: Scorer, tokenizer: Any, max_length: int, rule: Rule) -> None:
        self._scorer, self._tokenizer, self._max_length, self.rule = scorer, tokenizer, max_length, rule

    @classmethod
    def open(cls, run: str | Path, fpr: int = 5, device: torch.device | None = None) -> "TextScorer":
        """The detector of a run's folder, on the GPU where there is one; verdicts at `fpr` (5 or 1) percent.

        Raises InputError where the folder is not a finished run's, or its base model cannot be had.
        """
        found = DeliveredRun.open(Path(run))
        rule, source = Rule.open(found.folder, fpr), found.base_folder()
        tokenizer = load_tokenizer(source, None)
        # The training's kind of attention may not be there on this machine.
        config = found.train.model_copy(update={"attention": "auto"})
        base = load_base(source, config, device or default_device())
        scorer = Scorer(found.detector(base), pad_token_id(tokenizer), base.resolve(config), cut=few_shapes)
        return cls(scorer, tokenizer, config.max_length, rule)

    def score(self, texts: Sequence[str | None], domains: Sequence[str | None] = ()) -> list[TextScore]:
        """The result of each text, in their order; of a text that cannot be scored, an error in words.

        domains: each text's, for its own threshold; none of them, or one a text.
        """
        pairs = zip(texts, domains or [None] * len(texts), strict=True)
        parts = self.stream(TextRow(text, domain) for text, domain in pairs)
        return [result for part in parts for _, result in part]

    def stream(self, rows: Iterable[TextRow]) -> Iterator[list[tuple[TextRow, TextScore]]]:
        """The rows with their results, in their order, some thousand at a time: never all in memory."""
        for part in _parts(rows):
            yield list(zip(part, self._score(part), strict=True))

    def _score(self, rows: list[TextRow]) -> list[TextScore]:
        results = [TextScore(error=row.error or problem(row.text)) for row in rows]
        good = [index for index, result in enumerate(results) if not result.error]
        if not good:
            return results
        windows = cut(self._tokenizer, [rows[index].text or "" for index in good], self._max_length)
        logits = self._scorer(windows.split, np.arange(len(windows.text))).logits.astype(np.float64)
        margins = windows.mean(logits[:, 0] - logits[:, 1]).astype(np.float32)  # as the thresholds are
        for index, margin, count in zip(good, margins.tolist(), windows.counts.tolist(), strict=True):
            results[index] = self._result(rows[index], margin, count)
        return results

    def _result(self, row: TextRow, margin: float, windows: int) -> TextScore:
        found = self.rule.verdict(margin, row.domain)
        share = foreign_share(row.text or "")
        foreign = (
            f"{share:.0%} of the letters are not Latin: unless the run trained on such, this means little"
        )
        return TextScore(
            label=LABELS[0] if margin >= 0 else LABELS[1],
            probability=self.rule.probability(margin),
            verdict=found.verdict,
            margin=margin,
            threshold=found.threshold,
            threshold_of=found.threshold_of,
            windows=windows,
            note="; ".join(filter(None, [foreign if share > 0.5 else "", found.note])),
        )


def foreign_share(text: str) -> float:
    """The share of a text's letters that are not Latin; 0 where it has no letter."""
    if text.isascii():
        return 0.0
    letters = {letter: count for letter, count in Counter(text).items() if letter.isalpha()}
    latin = sum(count for letter, count in letters.items() if "LATIN" in unicodedata.name(letter, ""))
    return 1 - latin / sum(letters.values()) if letters else 0.0


def _parts(rows: Iterable[TextRow]) -> Iterator[list[TextRow]]:
    part: list[TextRow] = []
    size = 0
    for row in rows:
        part.append(row)
        size += len(row.text or "")
        if len(part) == ROWS or size >= CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part
