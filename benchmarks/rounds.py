"""Sides measured in turn, each in a process of its own, and their ratios."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from processes import watched

LEVEL = 0.9

Run = dict[str, Any]


def measure(
    script: str, sides: Sequence[str], options: Mapping[str, Any], repeats: int
) -> list[dict[str, Run]]:
    """Every side once a round, odd rounds backwards, so that what slows the machine down slows all of them.

    `script --side NAME` with the options measures one; its last line is JSON with tokens_per_second.
    """
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    rounds = []
    for number in range(repeats):
        found = {}
        for name in sides[:: -1 if number % 2 else 1]:
            told, memory = watched([sys.executable, script, "--side", name, *words])
            found[name] = told | memory
            print(f"round {number + 1}: {name:<24}{told['tokens_per_second']:>9,.0f} tokens/s", flush=True)
        rounds.append(found)
    return rounds


def rates(rounds: Sequence[dict[str, Run]], side: str) -> list[float]:
    """The tokens a second of a side in each round."""
    return [found[side]["tokens_per_second"] for found in rounds]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The geometric mean of paired ratios, and its interval at LEVEL: Student's t over their logarithms."""
    from scipy.stats import ttest_1samp

    logs = [math.log(one / other) for one, other in zip(ours, theirs, strict=True)]
    low, high = ttest_1samp(logs, 0).confidence_interval(LEVEL)
    return {"ratio": math.exp(sum(logs) / len(logs)), "low": math.exp(low), "high": math.exp(high)}
