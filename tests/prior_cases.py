"""Searches of a small and a large set whose log losses are formulas: Optuna and ASHA in process, no training."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from search.config import SearchConfig
from search.draw import draw
from search.prior import Prior, Tried, best_first, best_points
from search.record import Asked, TrialRecord, best_of, record_of
from search.scheduler import Asha
from search.space import Point
from train_fn.config import TrainConfig

TRIALS = 20
NOISE = 0.003  # nats, of the seed; of an early evaluation up to three times that
DEFAULT = Point.of(TrainConfig())
LOW, HIGH = math.log10(2e-5), math.log10(2e-3)
START = "2026-01-01T00:00:00+00:00"

Optimum = NDArray[
    np.float64
]  # decimal logarithm of the learning rate, exponents of the rank and of alpha / rank


def excess(point: Point, optimum: Optimum) -> float:
    """The log loss above the lowest (nats): 0.1 at half a decade of learning rate."""
    ratio = math.log2(point.lora_alpha / point.lora_rank)
    there = np.array([math.log10(point.learning_rate), math.log2(point.lora_rank), ratio])
    return float(0.1 * (((there - optimum) / (0.5, 2, 2)) ** 2 @ (1.0, 0.1, 0.3)))


def anywhere(rng: np.random.Generator) -> Optimum:
    """An optimum not at the very edge of the space's learning rates."""
    return np.array([rng.uniform(LOW + 0.2, HIGH - 0.2), rng.uniform(2, 6), rng.uniform(-1, 2)])


def shifted(optimum: Optimum, rng: np.random.Generator) -> Optimum:
    """A factor of 1.8 in the learning rate, up or down."""
    return optimum + np.array([rng.choice([-0.25, 0.25]), 0, 0])


SMALL: dict[str, Callable[[Optimum, np.random.Generator], Optimum]] = {  # the small set's optimum
    "equal": lambda optimum, _: optimum,
    "shifted": shifted,
    "unrelated": lambda _, rng: anywhere(rng),
    "opposite": lambda optimum, _: np.array([LOW + HIGH, 8, 1]) - optimum,
}


def search_on(
    optimum: Optimum, seed: int, prior: Prior | None = None, *, pruned: bool = False, trials: int = TRIALS
) -> list[TrialRecord]:
    """The records of a search with one slot; with `pruned`, ASHA stops trials as in a real one."""
    search, rng = SearchConfig(grace_percent=30 if pruned else 100), np.random.default_rng([seed, 1])
    scheduler, records = Asha(search, []), []
    for number in range(trials):
        point = draw(search, seed, number, records, [], prior) if number else DEFAULT
        assert point
        asked = Asked(trial_id=f"s-{number:04d}", number=number, params=point, asked=START)
        trial, luck, rows = SimpleNamespace(trial_id=asked.trial_id, config={}), rng.normal(0, NOISE), []
        scheduler.on_trial_add(None, trial)
        for percent in range(10, 101, 10):
            left = 1 - percent / 100
            loss = 0.1 + excess(point, optimum) + 0.5 * left + luck + rng.normal(0, 2 * NOISE) * left
            rows.append({"progress": percent, "objective": loss})
            if scheduler.on_trial_result(None, trial, rows[-1]) == "STOP":
                break
        records.append(record_of(asked, rows, "COMPLETE" if percent == 100 else "PRUNED"))
    return records


def prior_from(records: Sequence[TrialRecord]) -> Prior:
    trials = [Tried.of(record) for record in records]
    points = best_points(best_first(trials), DEFAULT, SearchConfig().prior_top)
    return Prior(study="small", dataset="10k", train_rows=1, trials=tuple(trials), enqueued=tuple(points))


def found(records: Sequence[TrialRecord], optimum: Optimum, after: Sequence[int]) -> list[float]:
    """The true excess log loss of the best trial after so many trials."""
    best = [best_of(records[:count]) for count in after]
    return [excess(record.params, optimum) for record in best if record]


def excesses(
    seeds: int, after: Sequence[int], kinds: Sequence[str] = tuple(SMALL), *, pruned: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Excess log losses [seeds, after] of searches without a prior ("none"), and with that of a small set of each
    kind."""
    rows: dict[str, list[list[float]]] = {kind: [] for kind in ("none", *kinds)}
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 0])
        large = anywhere(rng)
        rows["none"].append(found(search_on(large, seed, pruned=pruned, trials=after[-1]), large, after))
        for kind in kinds:
            small = search_on(SMALL[kind](large, rng), 10_000 + seed, pruned=pruned)
            informed = search_on(large, seed, prior_from(small), pruned=pruned, trials=after[-1])
            rows[kind].append(found(informed, large, after))
    return {kind: np.array(values) for kind, values in rows.items()}
