"""Windows over texts that are longer than a run's max_length.

The first is what training would have kept of the text; each begins half a length after the one before. A text's
margin is the mean of its windows' margins, weighted by their tokens. Every window is as long as what the model
learned to judge; the overlap leaves no passage that is seen at an edge only; and a mean, unlike a maximum, does
not rise with the number of windows, so that no human text is called AI for its length.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train_fn.tokenized import Split
from train_fn.tokenizing import TOKEN_TYPE, pad_token_id


@dataclass(frozen=True)
class Windows:
    """The tokens of every window, and the number of its text, int64 [windows], ascending."""

    split: Split
    text: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many windows each text has, [texts]."""
        return np.bincount(self.text)

    def mean(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """The margin of each text [texts] from those of its windows [windows]."""
        tokens = self.split.lengths
        total: NDArray[np.float64] = np.bincount(self.text, tokens * margins) / np.bincount(self.text, tokens)
        return total


def cut(tokenizer: Any, texts: list[str], max_length: int) -> Windows:
    """The windows of one or more texts, with special tokens as in training."""
    found = tokenizer(
        texts,
        truncation=True,
        max_length=max_length,
        stride=max_length // 2,
        return_overflowing_tokens=True,
        return_attention_mask=False,
    )
    # A text of characters that the tokenizer drops has no token; training gave it this one too.
    empty = [pad_token_id(tokenizer)]
    rows = [np.asarray(ids or empty, TOKEN_TYPE) for ids in found["input_ids"]]
    offsets = np.cumsum([0, *map(len, rows)])
    split = Split(np.concatenate(rows), offsets, np.zeros(len(rows), np.int8))  # of no known label
    return Windows(split, np.asarray(found["overflow_to_sample_mapping"], np.int64))
