"""Figures of replayed searches: means with intervals, paired differences, a table to read and a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

OURS, UNCONFIRMED, RANDOM, PLAIN = "ours", "ours, unconfirmed", "random search", "plain recipe"
TRIALS = (8, 16, 32)
BUDGETS = tuple(range(2, 17))  # full runs; below them there is next to nothing to choose from
COMPARED = tuple(((ours, 16), other) for ours in (OURS, UNCONFIRMED) for other in ((RANDOM, 32), (PLAIN, 16)))
LEVEL = 0.9
COLOURS = ("#0072b2", "#56b4e9", "#e69f00", "#000000")  # Okabe and Ito's, which the colour-blind tell apart

# Of every searcher in one replay: "regret" and "cost" by trials, "regret_within" by full runs.
Scores = dict[str, dict[str, dict[int, float]]]
Interval = tuple[float, float, float]  # mean, and both ends


def interval(values: Sequence[float]) -> Interval:
    """The mean and its bootstrap interval (percentiles) at LEVEL; the same for the same values."""
    from scipy.stats import bootstrap

    draws = bootstrap(
        (values,), np.mean, confidence_level=LEVEL, n_resamples=4000, method="percentile", rng=0
    )
    low, high = draws.confidence_interval
    return float(np.mean(values)), float(low), float(high)


def column(replays: Sequence[Scores], searcher: str, kind: str, at: int) -> list[float]:
    """One score of a searcher in every replay."""
    return [scores[searcher][kind][at] for scores in replays]


def differences(replays: Sequence[Scores]) -> dict[str, Interval]:
    """Paired differences in regret of COMPARED; below 0 where the first is better."""
    found = {}
    for one, other in COMPARED:
        sides = [column(replays, name, "regret", count) for name, count in (one, other)]
        name = " - ".join(f"{name} at {count}" for name, count in (one, other))
        found[name] = interval(np.subtract(*sides).tolist())
    return found


def summary(replays: Sequence[Scores]) -> dict[str, Any]:
    """Everything about one world for the JSON, every replay among it."""
    about: dict[str, Any] = {"differences": differences(replays), "searchers": {}}
    for name, scores in replays[0].items():
        about["searchers"][name] = {
            kind: {
                at: {"interval": interval(values), "replays": [round(value, 5) for value in values]}
                for at in by
                for values in [column(replays, name, kind, at)]
            }
            for kind, by in scores.items()
        }
    return about


def told(replays: Sequence[Scores]) -> str:
    """One world as lines to read: regret by trials, its cost in full runs, and the paired differences."""
    lines = [" " * 20 + "".join(f"{f'{count} trials':>26}{'cost':>7}" for count in TRIALS)]
    for name in replays[0]:
        cells = [
            f"{_shown(interval(column(replays, name, 'regret', count))):>26}"
            f"{np.mean(column(replays, name, 'cost', count)):>7.1f}"
            for count in TRIALS
        ]
        lines.append(f"{name:<20}" + "".join(cells))
    for name, found in differences(replays).items():
        verdict = "below" if found[2] < 0 else "above" if found[1] > 0 else "not told apart"
        lines.append(f"{name}: {found[0]:+.4f} [{found[1]:+.4f}, {found[2]:+.4f}], {verdict}")
    return "\n".join(lines)


def _shown(found: Interval) -> str:
    return f"{found[0]:.4f} [{found[1]:.4f}, {found[2]:.4f}]"


def draw(worlds: Mapping[str, Sequence[Scores]], path: Path) -> None:
    """Regret against cost in every world, means and intervals, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(worlds), figsize=(3.4 * len(worlds), 3.2), squeeze=False, layout="constrained"
    )
    for axis, (world, replays) in zip(axes[0], worlds.items(), strict=True):
        for name, colour in zip(replays[0], COLOURS, strict=True):
            found = [interval(column(replays, name, "regret_within", budget)) for budget in BUDGETS]
            means, low, high = zip(*found, strict=True)
            axis.plot(BUDGETS, means, color=colour, label=name)
            axis.fill_between(BUDGETS, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.set(title=world, xlabel="cost (full runs)", yscale="log")
    axes[0][0].set_ylabel("mean regret (nats), 90 % interval")
    axes[0][-1].legend(fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)
