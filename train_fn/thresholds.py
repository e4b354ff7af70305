"""thresholds.json of a full run: from which score on a text is called AI_Generated, at a stated rate of errors.

version, score, rule   what the numbers mean
temperature            P(AI_Generated) is sigmoid(score / temperature)
global                 {"fpr_5": point, "fpr_1": point}, from all human validation texts
domains                the same for each domain, from its own; a point is a `Point`
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field

from train_fn.metrics import Floats
from train_fn.scored import Scored
from train_fn.values import Frozen

THRESHOLDS = "thresholds.json"
TARGETS = {"fpr_5": 5, "fpr_1": 1}  # percent of human texts that may be called AI_Generated


class Point(Frozen):
    """A threshold as `margin`, a score, and as calibrated `probability`; None where `why` refuses it.

    It calls `false_positives` of `human_texts` of validation AI_Generated.
    """

    margin: float | None
    probability: float | None
    human_texts: int
    false_positives: int
    why: str = ""


Points = dict[str, Point]


class Thresholds(Frozen):
    """The whole file. `everywhere` is written as "global"."""

    model_config = ConfigDict(populate_by_name=True)

    version: Literal[1] = 1
    score: str = "AI logit less human logit"
    rule: str = "AI_Generated when the score is at least the threshold"
    temperature: float = Field(gt=0)
    everywhere: Points = Field(validation_alias="global", serialization_alias="global")
    domains: dict[str, Points]


def find_thresholds(validation: Scored, domains: Sequence[str], temperature: float) -> Thresholds:
    """The thresholds of all rows and of each of these domains."""
    human = validation.human
    return Thresholds(
        temperature=temperature,
        everywhere=_points(validation.margin[human], temperature),
        domains={
            name: _points(validation.margin[human & validation.domain.rows(name)], temperature)
            for name in domains
        },
    )


def _points(human: Floats, temperature: float) -> Points:
    return {key: choose(human, percent, temperature) for key, percent in TARGETS.items()}


def choose(human: Floats, percent: int, temperature: float) -> Point:
    """The lowest score in `human` [texts], the scores of human texts, that calls at most `percent` % of them AI.

    The rule of RAID's evaluator (Dugan et al. 2024, arXiv:2405.07940; raid-bench 0.2.0, raid/evaluate.py): a text
    is called AI when its score is at least the threshold; a threshold that calls no human text AI shows no rate;
    where every other one exceeds the target there is no result. RAID, which has about 2,000 human texts a
    domain, lets a rate exceed the target by one of them, 0.0005; here none may, so 100 / `percent` are needed.
    Where scores do not tie, a threshold that calls k of n texts calls k / (n + 1) of new ones in the mean.
    """
    from scipy.special import expit

    scores, counts = np.unique(human, return_counts=True)
    called = counts[::-1].cumsum()[::-1]  # human texts that score at least so much
    fitting = np.flatnonzero(called * 100 <= percent * len(human))
    if not len(fitting):
        why = _refusal(len(human), percent, int(counts[-1]) if len(counts) else 0)
        return Point(margin=None, probability=None, human_texts=len(human), false_positives=0, why=why)
    margin = float(scores[fitting[0]])
    return Point(
        margin=margin,
        probability=float(expit(margin / temperature)),
        human_texts=len(human),
        false_positives=int(called[fitting[0]]),
    )


def _refusal(texts: int, percent: int, highest: int) -> str:
    needed = 100 // percent
    if texts < needed:
        return f"FPR {percent} % needs {needed} human validation texts, but there are {texts}"
    return (
        f"FPR {percent} % cannot be met: {highest} of {texts} human validation texts share the highest score"
    )
