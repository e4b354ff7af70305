"""What thresholds from validation do on test: how many AI texts they find, and how many human ones they accuse."""

import math

import numpy as np

from train_fn.intervals import Share, share
from train_fn.scored import Mask, Scored
from train_fn.thresholds import Point, Thresholds
from train_fn.values import Frozen


class Rates(Frozen):
    """The shares of human texts (`fpr`) and of AI texts (`tpr`) that are called AI_Generated, the latter also by
    generator. Nothing where `why` says that there is no threshold.
    """

    fpr: Share | None
    tpr: Share | None
    generators: dict[str, Share]
    why: str


class Operation(Frozen):
    """One target rate on test: at the threshold of all validation texts, and at each domain's own.

    `own_threshold` has every text at the threshold of its domain, and no figure where one of them has none: this
    is the figure of RAID's leaderboard.
    """

    global_threshold: Rates
    global_threshold_by_domain: dict[str, Rates]
    own_threshold: Rates
    own_threshold_by_domain: dict[str, Rates]


def operate(test: Scored, thresholds: Thresholds, key: str) -> Operation:
    """What the thresholds of the target `key` do. They must know the domains of `test`."""
    whole = thresholds.everywhere[key]
    own = {name: thresholds.domains[name][key] for name in test.domain.names}
    domains = {name: test.domain.rows(name) for name in own}
    everything, limits = np.ones(len(test.margin), np.bool_), np.full(len(test.margin), np.nan)
    for name, point in own.items():
        limits[domains[name]] = _limit(point)
    lacking = [name for name, point in own.items() if point.why]
    if (test.domain.codes < 0).any():
        lacking.append("texts of no domain")
    at_global, at_own = test.margin >= _limit(whole), test.margin >= limits
    return Operation(
        global_threshold=_rates(test, at_global, everything, whole.why),
        global_threshold_by_domain={
            name: _rates(test, at_global, rows, whole.why) for name, rows in domains.items()
        },
        own_threshold=_rates(
            test, at_own, everything, f"no threshold for {', '.join(lacking)}" if lacking else ""
        ),
        own_threshold_by_domain={
            name: _rates(test, at_own, rows, own[name].why) for name, rows in domains.items()
        },
    )


def _limit(point: Point) -> float:
    """Its threshold; nan, which no score reaches, where it has none."""
    return math.nan if point.margin is None else point.margin


def _rates(test: Scored, called: Mask, rows: Mask, why: str) -> Rates:
    """Of the test texts in `rows`, of which `called` are called AI_Generated; masks are [texts]."""
    if why:
        return Rates(fpr=None, tpr=None, generators={}, why=why)
    ai = rows & test.ai
    by_generator = {name: ai & test.model.rows(name) for name in test.model.names}
    return Rates(
        fpr=share(called[rows & test.human]),
        tpr=share(called[ai]),
        generators={name: share(called[texts]) for name, texts in by_generator.items() if texts.any()},
        why="",
    )
