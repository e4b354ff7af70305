"""How long a search or a promotion will take, from what a probe measured and the work that there is. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from search.config import SearchConfig
from search.confirm import TOP
from search.run_times import RunTimes
from search.rungs import Plan
from search.survival import SEARCHES, Floats, Race, judged_evaluations, simulate
from search.wording import clock
from train_fn.measured import Measured
from train_fn.values import Frozen

if TYPE_CHECKING:
    from train_fn.workload import Work

# Ray's own start and end, and what its workers load beside what a probe does; on 2 cores. A promotion's has a
# controller that starts before its workers. benchmarks/forecast_error.py tells whether they are right.
SEARCH_RAY_SECONDS, PROMOTION_RAY_SECONDS = 11.0, 22.0
WORKER_SECONDS = 7.0  # of the former, what a worker takes that starts while Ray runs
# Standard deviation of the logarithm of actual over forecast, survival apart (benchmarks/forecast_error.py).
RATE_ERROR = 0.1
QUANTILES = (0.05, 0.95)
MANY = 100_000  # trials; SearchConfig takes no more


class Forecast(Frozen):
    """What is still to be run, from the start of Ray on, in seconds of wall clock: the mean, and its 5 and 95 %
    quantiles. `parts` are seconds too, added up over trials that run at once. `accelerators` are the GPUs that are
    held all the while, 0 where there are none; then machine-hours stand for theirs, and the price is a machine's.
    """

    seconds: float
    low: float
    high: float
    accelerators: float
    device: str
    tokens_per_second: float
    parts: dict[str, float]
    price_per_hour: float | None = None

    def lines(self) -> list[str]:
        """For a person."""
        kind = "GPU-hours" if self.accelerators else "machine-hours"
        told = [f"{clock(self.seconds)} ({clock(self.low)} to {clock(self.high)} in 90 % of cases)"]
        told += ["{:.2f} {kind} ({:.2f} to {:.2f})".format(*self._hours(), kind=kind)]
        if self.price_per_hour is not None:
            told += ["cost {:.2f} ({:.2f} to {:.2f})".format(*self._hours(self.price_per_hour))]
        whole = sum(self.parts.values())
        shares = {name.replace("_", " "): round(100 * spent / whole) for name, spent in self.parts.items()}
        parts = ", ".join(f"{name} {share} %" for name, share in shares.items() if share)
        speed = f"{self.tokens_per_second:,.0f} tokens/s in training on {self.device}"
        return [f"forecast {', '.join(told)}", f"         {parts}; {speed}"]

    def record(self) -> dict[str, Any]:
        """Flat, with units in the names, for forecast.json."""
        found: dict[str, Any] = {}
        price, kind = self.price_per_hour, "accelerator" if self.accelerators else "machine"
        triples = {
            "seconds": (self.seconds, self.low, self.high),
            f"{kind}_hours": self._hours(),
            "cost": (None, None, None) if price is None else self._hours(price),
        }
        for name, values in triples.items():
            ends = ("", "_low_5_percent", "_high_95_percent")
            found |= {f"forecast_{name}{end}": value for end, value in zip(ends, values, strict=True)}
        parts = {f"{name}_seconds": spent for name, spent in self.parts.items()}
        speed = {"training_tokens_per_second": self.tokens_per_second, "device": self.device}
        return {**found, "price_per_hour": price, **speed, **parts}

    def _hours(self, price: float = 1.0) -> tuple[float, float, float]:
        """The mean and the quantiles of what is held, times a price."""
        rate = price * (self.accelerators or 1) / 3600
        return self.seconds * rate, self.low * rate, self.high * rate


@dataclass(frozen=True)
class Left:
    """What of a search is still to be run: of `trials`, `ended` are on record; `again` runs of the confirmation,
    None while the trials that choose its candidates have not all ended. `confirmed`: the best of those on record
    have been run again already."""

    trials: int
    ended: int = 0
    again: int | None = None
    confirmed: bool = False

    def runs(self, search: SearchConfig) -> int:
        """How many runs that is; of the confirmation the most that there may be."""
        again = (TOP + 1) * search.confirm_seeds if self.again is None else self.again
        return self.trials - self.ended + again


def forecast_search(
    found: Measured, work: "Work", search: SearchConfig, left: Left, slots: int, accelerators: float
) -> Forecast:
    """Of a search whose trials do `work`, `slots` at a time."""
    times = RunTimes.of(found, work)
    again = times.whole(scored=True)
    race = Race(
        percents=times.percents,
        at=times.at,
        whole=times.whole(scored=not work.covered),
        again=again,
        judged=judged_evaluations(search, times.percents),
        keep=1 / search.reduction_factor,
        trials=left.trials,
        ended=left.ended,
        slots=slots,
        confirm_seeds=search.confirm_seeds,
        restart=WORKER_SECONDS + found.start + found.load,
        again_left=left.again,
        confirmed=left.confirmed,
    )
    lives, start = simulate(race), _start(found, SEARCH_RAY_SECONDS)
    trials, complete = left.trials - left.ended, float(lives.complete.mean())
    evaluations = float(lives.evaluations.mean())
    after = 0.0 if work.covered else times.after * complete
    parts = {
        "start_up": start,
        "training": times.training * float(lives.trained.mean()),
        "evaluation": times.before * trials + times.evaluation * evaluations + after,
        "checkpoints": times.checkpoint * evaluations,
        "files": times.deliver * complete,
        "between_trials": times.prepare * trials,
        "confirmation": again * float(lives.again.mean()),
    }
    return _forecast(found, work, start + lives.wall, parts, accelerators)


def forecast_promotion(
    found: Measured, work: "Work", done: float, accelerators: float, plan: Plan
) -> Forecast:
    """Of one full run of which the share `done` is trained already; the runs of `plan` come before it begins."""
    times = RunTimes.of(found, work)
    evaluations = sum(percent > 100 * done for percent in times.percents)
    parts = {
        "start_up": _start(found, PROMOTION_RAY_SECONDS),
        "training": times.training * (1 - done),
        "evaluation": times.evaluation * evaluations + times.after + (0.0 if done else times.before),
        "checkpoints": times.checkpoint * evaluations,
        "files": times.deliver,
    }
    if plan.runs and not done:
        whole = parts["training"] + parts["evaluation"]
        each = found.start + found.load + times.deliver
        parts["runs_on_fractions"] = plan.cost * whole + plan.runs * each
    return _forecast(found, work, np.full(SEARCHES, sum(parts.values())), parts, accelerators)


def trials_that_fit(budget: float, least: int, seconds_of: Callable[[int], float]) -> int:
    """The largest number of trials that takes at most `budget` seconds; `least` where none from it on does."""
    if seconds_of(least) > budget:
        return least
    low, high = least, min(2 * least, MANY)
    while high < MANY and seconds_of(high) <= budget:
        low, high = high, min(2 * high, MANY)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if seconds_of(middle) <= budget else (low, middle)
    return low


def _start(found: Measured, ray: float) -> float:
    return ray + found.start + found.load + found.warm_up


def _forecast(
    found: Measured, work: "Work", wall: Floats, parts: dict[str, float], accelerators: float
) -> Forecast:
    """With the error of the measured rates, log-normal, on top of the spread of `wall` [searches] in seconds."""
    normal = ndtri((np.arange(len(wall)) + 0.5) / len(wall))  # evenly over the distribution, in no order
    errors = np.exp(RATE_ERROR * np.random.default_rng(0).permutation(normal))
    low, high = np.quantile(wall * errors, QUANTILES)
    training = RunTimes.of(found, work).training
    return Forecast(
        seconds=float(wall.mean()),
        low=float(low),
        high=float(high),
        accelerators=accelerators,
        device=found.device,
        tokens_per_second=float(work.tokens.sum()) / training,
        parts=parts,
    )
