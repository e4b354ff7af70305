"""The report's pictures of the search space: where the good trials lie."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from search.record import TrialRecord
from search.report_facts import Facts
from search.report_style import (
    BLACK,
    BLUE,
    GREY,
    LOOKS,
    ORANGE,
    VALUE_LABEL,
    Picture,
    dots,
    failed_row,
    legend,
    log_axis,
    picture,
    plain,
    ring,
    spread,
    value_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES: dict[str, Callable[[TrialRecord], float]] = {
    "learning rate": lambda record: record.params.learning_rate,
    "LoRA rank": lambda record: float(record.params.lora_rank),
    "LoRA alpha": lambda record: record.params.lora_alpha,
    "alpha / rank": lambda record: record.params.lora_alpha / record.params.lora_rank,
}
STYLES = {  # colour, dash, width, of a line in parallel coordinates; drawn in this order
    "pruned": (ORANGE, (0, (1, 2)), 1.0),
    "complete": (GREY, (0, (5, 2)), 1.0),
    "best quarter": (BLUE, "-", 1.5),
    "default": (BLACK, "-.", 2.0),
    "winner": (BLACK, "-", 2.6),
}
TICKS, FEW = 5, 8  # of an axis in parallel coordinates; values up to which each is a tick
JITTER = 0.025  # of an axis: tells lines through one rank apart
NUMBERED = 40  # trials up to which each point bears its number


def slices(facts: Facts) -> Picture:
    """The value against each parameter by itself."""

    def paint(figure: "Figure") -> None:
        grid = figure.subplots(2, 2, sharey=True)
        for axes, (name, of) in zip(grid.flat, AXES.items(), strict=True):
            for state in ("COMPLETE", "PRUNED"):
                found = facts.valued(state)
                dots(axes, [of(record) for record, _ in found], [value for _, value in found], state)
            failed_row(axes, [of(record) for record in facts.ended_as("FAILED")])
            for record, value, which in facts.marked():
                ring(axes, of(record), value, which)
            axes.set(title=f"By {name}", xlabel=f"{name} (no unit, log scale)")
            log_axis(axes, "x", 10 if name == "learning rate" else 2)
        for axes in grid[:, 0]:
            value_axis(axes, [value for _, value in facts.valued(*LOOKS)])
        legend(grid.flat[0], 3)

    return picture("slices", "Validation log loss against each parameter by itself.", paint, 6)


def plane(facts: Facts) -> Picture:
    """Learning rate x alpha x rank of the complete trials: the value as lightness, the rank as size."""
    found = facts.valued("COMPLETE")

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        rates, alphas = (
            [record.params.learning_rate for record, _ in found],
            [record.params.lora_alpha for record, _ in found],
        )
        sizes, values = [_area(record.params.lora_rank) for record, _ in found], [value for _, value in found]
        norm = "log" if spread(values) else "linear"
        drawn = axes.scatter(rates, alphas, s=sizes, c=values, cmap="cividis", norm=norm, ec=BLACK, zorder=3)
        for record, _ in found if len(found) <= NUMBERED else ():
            at = (record.params.learning_rate, record.params.lora_alpha)
            axes.annotate(str(record.number), at, xytext=(8, 5), textcoords="offset points", fontsize=7.5)
        for rank in sorted({record.params.lora_rank for record, _ in found}):
            axes.scatter([], [], s=_area(rank), c="white", ec=BLACK, label=f"rank {rank}")
        axes.set(title="Learning rate x alpha x rank, complete trials")
        axes.set(xlabel="learning rate (no unit, log scale)", ylabel="LoRA alpha (no unit, log scale)")
        log_axis(axes, "x")
        log_axis(axes, "y", 2)
        figure.colorbar(
            drawn, ax=axes, label=f"{VALUE_LABEL}: dark is low", format=lambda value, _: plain(value)
        )
        legend(axes)

    words = "Complete trials by learning rate and alpha; darker is a lower log loss, larger a higher rank."
    return picture("plane", words, paint, 4.3)


def parallel(facts: Facts) -> Picture:
    """Every trial with a value as a line through its parameters to its log loss."""
    found = facts.valued("COMPLETE", "PRUNED")
    columns = [*([of(record) for record, _ in found] for of in AXES.values()), [value for _, value in found]]
    scales = [_Scale(column) for column in columns]
    kinds = _kinds(facts)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for kind, (colour, dash, width) in STYLES.items():
            for at, (record, _) in enumerate(found):
                if kinds[record.number] == kind:
                    shift = JITTER * (2 * at / len(found) - 1)
                    heights = [scale.place(column[at]) for scale, column in zip(scales, columns, strict=True)]
                    heights[1:-1] = [height + shift for height in heights[1:-1]]
                    axes.plot(range(len(columns)), heights, color=colour, ls=dash, lw=width, label=kind)
        for at, scale in enumerate(scales):
            _ruler(axes, at, scale)
        names = [*(f"{name}\n(no unit)" for name in AXES), "log loss\n(nats)"]
        axes.set_xticks(range(len(names)), names)
        axes.set(title="Parallel coordinates, log scales", xlim=(-0.1, len(names) - 0.45), ylim=(-0.06, 1.06))
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        legend(axes)

    return picture("parallel", "A line a trial through learning rate, rank, alpha and log loss.", paint, 4)


class _Scale:
    """A logarithmic axis from the smallest of `values` to the largest, as heights from 0 to 1."""

    def __init__(self, values: list[float]) -> None:
        self._values = sorted(set(values))
        self._low, self._high = self._values[0], self._values[-1]

    def place(self, value: float) -> float:
        """The height of a value; the middle where all are the same, even heights where one is not positive."""
        if self._low == self._high:
            return 0.5
        if self._low <= 0:
            return (value - self._low) / (self._high - self._low)
        return math.log(value / self._low) / math.log(self._high / self._low)

    def ticks(self) -> list[float]:
        """The values where they are few, as ranks are; else some of them, spread over the axis."""
        if len(self._values) <= FEW:
            return self._values
        steps = [at / (TICKS - 1) for at in range(TICKS)]
        return [min(self._values, key=lambda value: abs(self.place(value) - step)) for step in steps]


def _ruler(axes: "Axes", at: int, scale: _Scale) -> None:
    axes.axvline(at, color=BLACK, lw=0.9, zorder=1)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
    for value in scale.ticks():
        height = scale.place(value)
        axes.plot([at], [height], "_", color=BLACK, ms=7)
        axes.text(at + 0.05, height, plain(value), fontsize=7.5, va="center", bbox=box, zorder=6)


def _kinds(facts: Facts) -> dict[int, str]:
    """What each trial's line is, by number; the winner before the default before the best quarter."""
    complete = sorted(facts.valued("COMPLETE"), key=lambda item: item[1])
    kinds = {record.number: "pruned" for record, _ in facts.valued("PRUNED")}
    for at, (record, _) in enumerate(complete):
        kinds[record.number] = "best quarter" if at < len(complete) / 4 else "complete"
    for record, _, which in reversed(facts.marked()):
        kinds[record.number] = which
    return kinds


def _area(rank: int) -> float:
    return 28.0 * math.sqrt(rank)
