"""How much each searched parameter explains of the differences between a study's complete trials."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.config import SpaceConfig
from search.record import TrialRecord
from search.space import LEARNING_RATE, RANK, RATIO, distributions

if TYPE_CHECKING:
    import optuna

NAMES = {LEARNING_RATE: "learning rate", RANK: "rank", RATIO: "alpha / rank"}
MIN_TRIALS = 8  # on a known loss, fewer put another than the dominant parameter first more than once in ten
PARTS = 8  # left out in turn; not more than MIN_TRIALS, so that each has a trial in it
SEED = 0  # of the forest
ALIKE = "needs trials that differ by their parameters, but these do not"


@dataclass(frozen=True)
class Share:
    """A parameter's share of the variance, between 0 and 1, and its range when part of the trials is left out."""

    name: str
    share: float
    low: float
    high: float


def importance(trials: Sequence[tuple[TrialRecord, float]], space: SpaceConfig) -> list[Share] | str:
    """The shares by fANOVA (Hutter et al. 2014), largest first, or in words why there are none.

    `trials` are records with the values to explain, all of the same point of a run. PED-ANOVA, Optuna's
    default, wants five trials in its best tenth, which a search of twenty does not have.
    """
    if len(trials) < MIN_TRIALS:
        return f"needs at least {MIN_TRIALS} trials, but there are {len(trials)}"
    if len({value for _, value in trials}) == 1:
        return "needs trials that differ, but all have the same log loss"
    points = _on_even_axes(trials, space)
    if len({tuple(point.params.values()) for point in points}) == 1:
        return ALIKE
    parts = [_fanova([point for at, point in enumerate(points) if at % PARTS != out]) for out in range(PARTS)]
    found = []
    for key, share in _fanova(points).items():
        around = [share, *(part.get(key, 0.0) for part in parts)]
        found.append(Share(NAMES[key], share, min(around), max(around)))
    return sorted(found, key=lambda item: -item.share) or ALIKE


def _on_even_axes(
    trials: Sequence[tuple[TrialRecord, float]], space: SpaceConfig
) -> "list[optuna.trial.FrozenTrial]":
    """The trials with the logarithm of the learning rate: fANOVA weighs every axis as if it were linear."""
    from optuna.distributions import FloatDistribution
    from optuna.trial import create_trial

    low, high = math.log10(space.learning_rate.low), math.log10(space.learning_rate.high)
    axes = {**distributions(space), LEARNING_RATE: FloatDistribution(low, high)}
    found = []
    for record, value in trials:
        drawn = record.params.drawn()
        # The logarithm of a bound may lie a rounding error outside.
        exponent = min(max(math.log10(drawn[LEARNING_RATE]), low), high)
        point = {**drawn, LEARNING_RATE: exponent}
        found.append(create_trial(value=value, params=point, distributions=axes))
    return found


def _fanova(trials: "list[optuna.trial.FrozenTrial]") -> dict[str, float]:
    """Nothing where there is no variance to share: the values are equal, or no parameter tells them apart."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    if len({trial.value for trial in trials}) == 1:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a new study in memory is no news
    study = optuna.create_study()
    study.add_trials(trials)
    try:
        return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
    except RuntimeError as error:  # of a forest without a single split
        if "zero total variance" not in str(error):
            raise
        return {}
