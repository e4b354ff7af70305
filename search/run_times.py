"""How long one run takes in a warm worker, from what a probe measured and the work that there is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from train_fn.measured import Measured

if TYPE_CHECKING:
    from train_fn.workload import Work

# What a trial costs beside its own work, adapter and files, on 2 cores: 0.5 s one after the other
# (benchmarks/trial_overhead.py), 1 s where two at once leave the command no core (benchmarks/forecast_error.py).
TRIAL_SECONDS = 0.8
# A run on a CPU shares its cores with Ray's own processes, which a probe does not meet. On 2 cores it takes 1.11
# to 1.23 times as long as by the probe, survival apart (benchmarks/forecast_error.py).
BESIDE_RAY = 1.15


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
        slower = BESIDE_RAY if found.device == "cpu" else 1.0
        return cls(
            percents=work.percents,
            prepare=TRIAL_SECONDS + found.attach,
            before=slower * work.before_tokens * found.evaluation,
            training=slower * (float(paces @ work.tokens) + work.steps * found.update),
            evaluation=slower * work.eval_tokens * found.evaluation,
            checkpoint=found.checkpoint,
            after=slower * work.after_tokens * found.evaluation,
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
