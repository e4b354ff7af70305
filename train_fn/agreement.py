"""Does a merged model judge as the adapter does that it was made from? Measured on validation rows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train_fn.batching import Rows, stratified_subset
from train_fn.config import TrainConfig
from train_fn.contamination import left_out_file, scored_rows
from train_fn.errors import InputError
from train_fn.evaluation import Scorer
from train_fn.rows import SEED
from train_fn.run_folder import RunFolder
from train_fn.tokenized import TokenizedSet
from train_fn.values import Frozen

ROWS = 500
# The largest relative error of one rounding to bf16. What a matrix of rounded weights makes is off by at most that
# share of its size, and the errors of many matrices, which have either sign, add as the root of their number.
# Found: 0.09 of that for the tiny model (16 matrices, 500 rows), 0.11 for a 135M decoder (212 matrices, 60 rows).
ROUNDING = 2.0**-8
# For sums in fp32 that are taken in another order: far above what they differ by, far below one rounding.
REORDERING = ROUNDING / 256


class Difference(Frozen):
    """The largest absolute difference on the rows, and what is tolerated."""

    largest: float
    tolerance: float


class Agreement(Frozen):
    """What a merge changed, in fp32 arithmetic.

    merged: of a logit of the adapter on its dequantised base, before the sum is rounded. rounded: the same, as
    written. reported: of P(AI_Generated), as written, against what the run's predictions.parquet says, which were
    made on the 4-bit base in the run's own dtype.
    """

    rows: int
    merged: Difference
    rounded: Difference
    reported: Difference


class Plain(nn.Module):
    """A classifier as a user of Transformers calls it, with ids and a mask; for a Scorer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, last: Tensor) -> Tensor:
        """Logits [texts, 2] of input_ids [texts, length]; last [texts] are the texts' last positions, counted
        through all rows."""
        places = torch.arange(input_ids.numel(), device=last.device).view(input_ids.shape)
        mask = places <= last[:, None]
        return self.model(input_ids=input_ids, attention_mask=mask.long()).logits  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Comparison:
    """Scores the same validation rows of a finished run with one model after another."""

    run: RunFolder
    data: TokenizedSet
    config: TrainConfig

    @property
    def rows(self) -> Rows:
        """Rows that the run scored. Transformers pools at the last token that is not padding, so a text that ends
        in that very token is not among them."""
        split = self.data.validation
        rows = scored_rows("validation", len(split), left_out_file(self.run.folder))
        rows = rows[split.tokens[split.offsets[rows + 1] - 1] != self.data.meta.pad_token_id]
        chosen: Rows = rows[stratified_subset(split.labels[rows], ROWS, SEED)]
        return chosen

    def logits(self, model: Any) -> NDArray[np.float32]:
        """Logits [rows, 2] of a classifier of Transformers or PEFT."""
        score = Scorer(Plain(model), self.data.meta.pad_token_id, self.config)
        return score(self.data.validation, self.rows).logits

    def reported(self) -> NDArray[np.float64]:
        """P(AI_Generated) [rows] as predictions.parquet has it."""
        import pyarrow.parquet as pq

        file, columns = self.run.folder / "predictions.parquet", ["row", "probability_ai"]
        table = pq.read_table(file, columns=columns, filters=[("split", "=", "validation")])
        known = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
        return np.array([known[row] for row in self.rows.tolist()])

    def compare(
        self,
        adapter: NDArray[np.float32],
        merged: NDArray[np.float32],
        written: NDArray[np.float32],
        matrices: int,
    ) -> Agreement:
        """What a merge of so many matrices changed; logits [rows, 2]. Raises InputError when rounding is not all.

        A probability moves by at most a quarter of the log-odds, a difference of two logits, and the run's own
        arithmetic rounds about as often as the weights were; so `reported` may differ as one logit may.
        """
        unit = math.sqrt(matrices) * float(np.abs(adapter).max())
        probability = 1 / (1 + np.exp(written[:, 1].astype(np.float64) - written[:, 0]))
        found = Agreement(
            rows=len(adapter),
            merged=_difference(merged, adapter, REORDERING * unit),
            rounded=_difference(written, adapter, ROUNDING * unit),
            reported=_difference(probability, self.reported(), ROUNDING * unit),
        )
        for name in ("merged", "rounded", "reported"):
            difference: Difference = getattr(found, name)
            if difference.largest > difference.tolerance:
                raise InputError(
                    f"the merged model must judge as the adapter does, but on {found.rows} validation rows they "
                    f"differ ({name}) by {difference.largest:.2g}, above {difference.tolerance:.2g}; the base "
                    "must be the one that the run was trained on. --no-merged leaves the merged model out"
                )
        return found


def _difference(one: NDArray[Any], other: NDArray[Any], tolerance: float) -> Difference:
    return Difference(largest=float(np.abs(one - other).max()), tolerance=tolerance)
