"""The table of real small runs as a world on which searches are replayed.

A searcher draws from a continuous space, and the table holds 121 points of it. To answer with the nearest row
would give a landscape of steps, on which points that differ get equal curves; to use every row once would
send a searcher that closes in on the optimum to ever farther rows. So a Gaussian process interpolates the
mean curves smoothly, and a run adds what a real run nearby had beside the mean of its configuration: the
noise keeps its size, its shape over the run, and its dependence on the place. A run's answer depends on its
parameters and seed alone, so nothing tells a searcher that it is replayed; the surface is the truth, and its
minimum is known.
"""

import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from landscapes import generator
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from search.config import SpaceConfig
from search.space import LEARNING_RATE, RANK, RATIO, Point, exponents
from train_fn.errors import InputError
from train_fn.storage import read_lines

FEWEST = 40  # configurations; fewer leave cells of rank and ratio empty
NEAREST = 6  # configurations whose runs lend their noise: about as many as a cell of rank and ratio has
RATES = 200  # learning rates at which the minimum of each cell is looked for: a hundredth of a decade apart

Floats = NDArray[np.float64]


class Surface:
    """The interpolated table. `rows` are its runs, every configuration with the same seeds."""

    def __init__(self, rows: Iterable[dict[str, Any]], space: SpaceConfig) -> None:
        self._space = space
        points, curves = _complete(rows)
        self._percents = [percent for percent, _ in curves[0][0]]
        losses = np.array(curves)[..., 1]  # [configurations, seeds, percents]
        self._places = self._scaled(points)
        self._mean = losses.mean(axis=1)
        self._noise = _interaction(losses)
        kernel = ConstantKernel(1.0) * Matern([1.0, 2.0, 2.0], nu=2.5) + WhiteKernel(0.1)
        self._process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():  # a length that runs to its bound means that a parameter does nothing
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(self._places, self._mean)

    def _scaled(self, points: Sequence[Point]) -> Floats:
        """[points, 3]: the space as a unit cube."""
        ends = {
            LEARNING_RATE: np.log([self._space.learning_rate.low, self._space.learning_rate.high]),
            RANK: exponents(self._space.lora_rank),
            RATIO: exponents(self._space.lora_alpha_ratio),
        }
        drawn = [{**(here := point.drawn()), LEARNING_RATE: np.log(here[LEARNING_RATE])} for point in points]
        columns = [
            [(here[name] - low) / (high - low) for here in drawn] for name, (low, high) in ends.items()
        ]
        return np.array(columns, dtype=float).T

    @property
    def seed_difference(self) -> float:
        """Standard deviation (nats) of the difference between the final values of two seeds of one
        configuration, what a seed does to all configurations taken out; of the better half, which a search
        must tell apart."""
        better = self._mean[:, -1] <= np.median(self._mean[:, -1])
        return float(np.sqrt(2 * (self._noise[better, :, -1] ** 2).mean()))

    @property
    def left_out_error(self) -> float:
        """Root mean square error (nats) with which the final mean of a configuration is predicted by the
        others, the kernel being kept (Rasmussen and Williams, Gaussian Processes for Machine Learning, eq.
        5.12)."""
        process = self._process
        inverse = np.linalg.inv(process.kernel_(self._places))
        values = (self._mean[:, -1] - process._y_train_mean[-1]) / process._y_train_std[-1]
        errors = inverse @ values / np.diag(inverse) * process._y_train_std[-1]
        return float(np.sqrt((errors**2).mean()))

    @cached_property
    def best(self) -> Point:
        """The point of the lowest final loss."""
        low, high = np.log([self._space.learning_rate.low, self._space.learning_rate.high])
        ranks, ratios = exponents(self._space.lora_rank), exponents(self._space.lora_alpha_ratio)
        points = [
            Point(learning_rate=rate, lora_rank=2**rank, lora_alpha=2.0 ** (rank + ratio))
            for rate in np.exp(np.linspace(low, high, RATES)).clip(np.exp(low), np.exp(high)).tolist()
            for rank in range(ranks[0], ranks[1] + 1)
            for ratio in range(ratios[0], ratios[1] + 1)
        ]
        return points[int(self._process.predict(self._scaled(points))[:, -1].argmin())]

    def loss(self, point: Point) -> float:
        """The mean final log loss."""
        return float(self._process.predict(self._scaled([point]))[0, -1])

    def curve(self, point: Point, seed: int) -> list[tuple[int, float]]:
        """(percent of the run, lowest log loss so far); the last is the best weights' loss on all rows, so it
        may lie above the one before."""
        place = self._scaled([point])
        rng = generator(point, seed)
        near = np.argsort(((self._places - place) ** 2).sum(axis=1))[:NEAREST]
        noise = self._noise[rng.choice(near), rng.integers(self._noise.shape[1])]
        losses = self._process.predict(place)[0] + noise
        losses[:-1] = np.minimum.accumulate(losses[:-1])
        return list(zip(self._percents, losses.tolist(), strict=True))


def _complete(rows: Iterable[dict[str, Any]]) -> tuple[list[Point], list[list[Any]]]:
    """The configurations with a whole curve for every seed, and these curves as a search sees them: the
    lowest log loss so far, and at the end the run's value."""
    runs: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault(row["config"], []).append(row)
    seeds = max((len(found) for found in runs.values()), default=0)
    whole = [
        sorted(found, key=lambda row: row["seed"])
        for _, found in sorted(runs.items())
        if len(found) == seeds and all(row["status"] == "COMPLETE" for row in found)
    ]
    if seeds < 2 or len(whole) < FEWEST:
        raise InputError(
            f"a table of at least {FEWEST} configurations with two seeds each is needed, but it has {len(whole)} "
            f"with {seeds}; go on with `python benchmarks/tiny_table.py`"
        )
    points = [Point(**{key: found[0][key] for key in Point.model_fields}) for found in whole]
    return points, [[_seen(row) for row in found] for found in whole]


def _seen(row: dict[str, Any]) -> list[tuple[int, float]]:
    percents, losses = zip(*row["curve"], strict=True)
    best = np.minimum.accumulate(losses)[:-1].tolist()
    return list(zip(percents, [*best, row["value"]], strict=True))


def _interaction(losses: Floats) -> Floats:
    """What neither the configuration nor the seed explains: searches compare trials of one seed, so what a
    seed does to all is no noise to them. Scaled up by what taking out the means has taken of the variance."""
    rest = losses - losses.mean(axis=1, keepdims=True)
    rest = rest - rest.mean(axis=0, keepdims=True)
    configurations, seeds, _ = losses.shape
    scale: Floats = rest * np.sqrt(configurations * seeds / ((configurations - 1) * (seeds - 1)))
    return scale


@lru_cache(maxsize=1)
def surface(table: Path, space: SpaceConfig) -> Surface:
    """The table of that file, interpolated once a process. Raises InputError when it has too few runs."""
    return Surface(read_lines(table)[1:], space)
