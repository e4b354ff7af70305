"""What searches are replayed on, and what ours is set beside: random search, the plain recipe of Ray's guide."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from ray.air.constants import TRAINING_ITERATION
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from search.config import SearchConfig
from search.scheduler import METRIC, MODE
from search.space import Point, define_by_run, exponents

Curve = list[tuple[int, float]]


class World(Protocol):
    """What a search is replayed on; `best` has the lowest loss of the space."""

    best: Point

    def loss(self, point: Point) -> float:
        """The true mean final log loss, nats."""

    def curve(self, point: Point, seed: int) -> Curve:
        """(percent of the run, lowest log loss so far) of the run with that seed; the last is its value."""


@dataclass(frozen=True)
class Choice:
    """What a searcher would hand over now, and what it has cost until then, in full runs."""

    point: Point
    cost: float


def regret(world: World, point: Point) -> float:
    """How much the true loss of the point exceeds the lowest, nats."""
    return world.loss(point) - world.loss(world.best)


@dataclass
class Best:
    """The lowest last value so far: all that random search and the plain recipe go by."""

    value: float = float("inf")
    point: Point | None = None
    cost: float = 0.0

    def add(self, point: Point, made: Curve) -> None:
        """Enter a trial and the part of its curve that was made."""
        percent, value = made[-1]
        self.cost += percent / 100
        if value < self.value:
            self.value, self.point = value, point

    def step(self) -> None:
        """Make the next trial."""
        raise NotImplementedError

    def choice(self) -> Choice:
        """The best trial."""
        assert self.point is not None, "there is no trial yet"
        return Choice(self.point, self.cost)


class RandomSearch(Best):
    """Uniform over the space, every run to its end."""

    def __init__(self, world: World, search: SearchConfig, seed: int) -> None:
        super().__init__()
        self._world, self._space, self._seed = world, search.space, seed
        self._rng = np.random.default_rng(seed)

    def step(self) -> None:
        """Make the next trial."""
        bounds = np.log([self._space.learning_rate.low, self._space.learning_rate.high])
        rank = int(self._rng.integers(*exponents(self._space.lora_rank), endpoint=True))
        ratio = int(self._rng.integers(*exponents(self._space.lora_alpha_ratio), endpoint=True))
        rate = float(np.exp(self._rng.uniform(*bounds)))
        point = Point(learning_rate=rate, lora_rank=2**rank, lora_alpha=2.0 ** (rank + ratio))
        self.add(point, self._world.curve(point, self._seed))


class PlainRecipe(Best):
    """OptunaSearch() and AsyncHyperBandScheduler() as they come, which is what
    ray/tune/examples/optuna_example.py combines: TPE after 10 random trials, rungs after 1, 4, 16, ...
    reports, a quarter goes on; the best is ResultGrid.get_best_result(), the lowest last report. The space is
    ours, through Optuna's own distributions."""

    def __init__(self, world: World, search: SearchConfig, seed: int) -> None:
        super().__init__()
        self._world, self._seed = world, seed
        self._scheduler = AsyncHyperBandScheduler(metric=METRIC, mode=MODE)
        space = define_by_run(search.space)
        self._searcher = OptunaSearch(space, metric=METRIC, mode=MODE, seed=seed)
        self._count = 0

    def step(self) -> None:
        """Make the next trial."""
        trial: Any = SimpleNamespace(trial_id=str(self._count))
        self._count += 1
        drawn = self._searcher.suggest(trial.trial_id)
        assert isinstance(drawn, dict)
        point = Point.from_drawn(drawn)
        self._scheduler.on_trial_add(None, trial)
        curve = self._world.curve(point, self._seed)
        for reports, (_, loss) in enumerate(curve, 1):
            result = {TRAINING_ITERATION: reports, METRIC: loss}
            decision = self._scheduler.on_trial_result(None, trial, result)
            if decision == TrialScheduler.STOP or reports == len(curve):
                self._searcher.on_trial_complete(trial.trial_id, result)
                self.add(point, curve[:reports])
                return
            self._searcher.on_trial_result(trial.trial_id, result)
