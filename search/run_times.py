"""How long one run takes in a warm worker, from what a probe measured and the work that there is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from train_fn.measured import Measured

if TYPE_CHECKING:
    from train_fn.workload import Work

# Of the 0.68 s that benchmarks/trial_overhead.py measured on 2 cores, what is not its adapter nor its files.
TRIAL_SECONDS = 0.5


@dataclass(frozen=True)
class RunTimes:
    """One run alone in a warm worker, in seconds: `evaluation` and `checkpoint` are those of one of them."""

    percents: tuple[int, ...]
    prepare: float
    before: float
    training: float
    evaluation: float
    checkpoint: float
    after: float
    deliver: float

    @classmethod
    def of(cls, found: Measured, work: "Work") -> "RunTimes":
        """By the pace of each length, between the measured ones on a straight line."""
        widths = [pace.width for pace in found.paces]
        paces = np.interp(work.widths, widths, [pace.seconds_per_token for pace in found.paces])
        return cls(
            percents=work.percents,
            prepare=TRIAL_SECONDS + found.attach,
            before=work.before_tokens * found.evaluation,
            training=float(paces @ work.tokens) + work.steps * found.update,
            evaluation=work.eval_tokens * found.evaluation,
            checkpoint=found.checkpoint,
            after=work.after_tokens * found.evaluation,
            deliver=found.deliver,
        )

    @property
    def at(self) -> tuple[float, ...]:
        """From the start to each evaluation and its checkpoint."""
        each = self.evaluation + self.checkpoint
        start = self.prepare + self.before
        return tuple(start + self.training * p / 100 + each * n for n, p in enumerate(self.percents, 1))

    def whole(self, *, scored: bool) -> float:
        """From the start to the delivered files; `scored` when all rows are scored at the end."""
        return self.at[-1] + self.deliver + (self.after if scored else 0.0)
