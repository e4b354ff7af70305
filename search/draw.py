"""The draw of a search's next point.

It is a function of the record, the prior, the seed and the trial's number, and of nothing else: a search that was
killed and goes on draws what it would have drawn, and never a point twice.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from search.config import PowersOfTwo, SearchConfig, SpaceConfig
from search.fidelity import agreement, curves_of
from search.prior import Prior, Tried, best_first
from search.record import Asked, TrialRecord
from search.space import LEARNING_RATE, RANK, RATIO, Point, distributions, exponents

if TYPE_CHECKING:
    import optuna

PRIOR_UNTIL = 10  # own trials
# After as many the space is taken for used up: only a learning rate has more points than that.
MODEL_TRIES, RANDOM_TRIES = 2, 64
ALIKE = 0.01  # learning rates this near to each other, as a share, train alike


def draw(
    search: SearchConfig,
    seed: int,
    number: int,
    ended: Iterable[TrialRecord],
    running: Iterable[Asked],
    prior: Prior | None = None,
) -> Point | None:
    """The point of trial `number`: one of the prior's best, then a spread of the space, then by a Gaussian process
    over what is known (`known_trials`); None when no point is left that was not tried. Trial 0 is the default, and
    not drawn.
    """
    if prior and 0 < number <= len(prior.enqueued):
        return prior.enqueued[number - 1]
    own = [Tried.of(record) for record in sorted(ended, key=lambda record: record.number)]
    under_way = [trial.params for trial in running]
    known = known_trials(own, prior)
    tried = [*(trial.params for trial in own), *under_way]
    proposals = _proposals(known, under_way, search, seed, number)
    return next((point for point in proposals if not any(_alike(point, other) for other in tried)), None)


def known_trials(own: Sequence[Tried], prior: Prior | None = None) -> list[tuple[Point, float]]:
    """Points and their scores, the lower the better: those of the prior first, then the study's own.

    A score is the share of a study's trials that are better, for two sets have no common scale of log loss, and a
    run that diverged must not hide the differences of those that did not. A pruned trial is worse than every
    complete one and better the further it came; a failed one is the worst, or a region that runs out of memory
    would be drawn from again and again.

    Of a point tried in both studies only the study's own trial counts. Such points tie the scales together: in the
    new study's order they have the prior's scores, or the worst of the prior's best, tried first, would look as
    bad as the worst of the space. The prior is contradicted while Kendall's tau of those points is below 0, and it
    has said what it can after PRIOR_UNTIL own trials: simulated, a misleading one that was kept to the end left a
    search half as far again from the optimum after 16 trials.
    """
    mine = _scored(own)
    if not prior or len(own) >= PRIOR_UNTIL or agreement(curves_of(prior.trials), curves_of(own)) < 0:
        return mine
    theirs = dict(_scored(prior.trials))
    shared = [(point, score) for point, score in mine if point in theirs]
    here, there = [score for _, score in shared], sorted(theirs.pop(point) for point, _ in shared)
    tied = np.interp([score for _, score in mine], [0, *here, 1], [0, *there, 1]).tolist()
    return [*theirs.items(), *((point, score) for (point, _), score in zip(mine, tied, strict=True))]


def _alike(one: Point, other: Point) -> bool:
    """Whether to try one is to try the other: a model that is sure of an optimum proposes it again and again."""
    same = (one.lora_rank, one.lora_alpha) == (other.lora_rank, other.lora_alpha)
    return same and math.isclose(one.learning_rate, other.learning_rate, rel_tol=ALIKE)


def _scored(trials: Sequence[Tried]) -> list[tuple[Point, float]]:
    order = [*best_first(trials), *(trial for trial in trials if trial.status == "FAILED")]
    return [(trial.params, (place + 0.5) / len(order)) for place, trial in enumerate(order)]


def _proposals(
    known: Sequence[tuple[Point, float]],
    under_way: Sequence[Point],
    search: SearchConfig,
    seed: int,
    number: int,
) -> Iterator[Point]:
    """What may be tried next, the best first."""
    from optuna.samplers import GPSampler, RandomSampler

    keys = (_key(seed, number, attempt) for attempt in range(MODEL_TRIES + RANDOM_TRIES))
    if len(known) < search.startup_trials:
        yield spread(search.space, seed, number + 1)[number]
    else:
        for key in islice(keys, MODEL_TRIES):
            yield _asked(GPSampler(seed=key, n_startup_trials=1), known, under_way, search.space)
    for key in keys:
        yield _asked(RandomSampler(seed=key), (), (), search.space)


def spread(space: SpaceConfig, seed: int, count: int) -> list[Point]:
    """The first points of a scrambled Halton sequence, which covers the space better than chance does: uniform in
    the logarithm of the learning rate and in both exponents."""
    from scipy.stats.qmc import Halton

    low, high = space.learning_rate.low, space.learning_rate.high
    return [
        Point.from_drawn(
            {
                LEARNING_RATE: min(high, low * (high / low) ** rate),
                RANK: _level(space.lora_rank, rank),
                RATIO: _level(space.lora_alpha_ratio, ratio),
            }
        )
        for rate, rank, ratio in Halton(3, rng=seed).random(count).tolist()
    ]


def _level(bounds: PowersOfTwo, place: float) -> int:
    """The exponent at a place in [0, 1)."""
    first, last = exponents(bounds)
    return first + int(place * (last - first + 1))


def _asked(
    sampler: "optuna.samplers.BaseSampler",
    known: Sequence[tuple[Point, float]],
    under_way: Sequence[Point],
    space: SpaceConfig,
) -> Point:
    """What a sampler suggests that knows these scores, and that these points are being tried."""
    import optuna
    from optuna.trial import TrialState, create_trial

    ranges = distributions(space)
    study = optuna.create_study(sampler=sampler)
    for point, score in known:
        study.add_trial(create_trial(value=score, params=dict(point.drawn()), distributions=ranges))
    for point in under_way:
        study.add_trial(
            create_trial(state=TrialState.RUNNING, params=dict(point.drawn()), distributions=ranges)
        )
    return Point.from_drawn(study.ask(ranges).params)


def _key(seed: int, number: int, attempt: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}/{attempt}".encode()).digest()[:4], "big")
