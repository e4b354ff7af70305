"""The report's pictures of a search's course: values, curves, rungs, cost, and what mattered."""

from typing import TYPE_CHECKING, Any

from search.record import TrialRecord
from search.report_facts import Facts, reached, rungs
from search.report_importance import Share
from search.report_style import (
    BLACK,
    BLUE,
    GREY,
    LOOKS,
    SKY,
    Picture,
    dots,
    failed_row,
    legend,
    number_axis,
    picture,
    ring,
    value_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTTED = (0, (1, 2))
MANY = 40  # trials from which their curves are drawn finer
UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))


def history(facts: Facts) -> Picture:
    """The value of every trial by its number, with the lowest complete one so far."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        complete = facts.valued("COMPLETE")
        if complete:
            lowest = [min(value for _, value in complete[: at + 1]) for at in range(len(complete))]
            numbers = [*(record.number for record, _ in complete), facts.records[-1].number]
            axes.step(
                numbers, [*lowest, lowest[-1]], where="post", color=BLACK, lw=1.2, label="lowest so far"
            )
        for state in ("COMPLETE", "PRUNED"):
            found = facts.valued(state)
            dots(axes, [record.number for record, _ in found], [value for _, value in found], state)
        failed_row(axes, [record.number for record in facts.ended_as("FAILED")])
        for record, value, which in facts.marked():
            ring(axes, record.number, value, which)
        axes.set_title("Value of each trial")
        number_axis(axes, "trial number")
        value_axis(axes, [value for _, value in facts.valued(*LOOKS)])
        legend(axes, 3)

    return picture("history", f"Validation log loss of {len(facts.records)} trials by number.", paint, 3.9)


def curves(facts: Facts) -> Picture:
    """The lowest log loss so far over each trial's run, with the percents at which ASHA judges."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for mark in rungs(facts.config.search):
            axes.axvline(mark, color=GREY, lw=1.2, ls=DOTTED, label="rung: ASHA judges here")
        width, size = (1.0, 4) if len(facts.records) <= MANY else (0.6, 2)
        for record in facts.records:
            look = LOOKS[record.status]
            fill = {"color": look.colour, "mfc": look.colour if look.filled else "white", "lw": width}
            _curve(axes, record, look.dash, marker=look.marker, ms=size, label=record.status.lower(), **fill)
        if facts.default:
            _curve(
                axes, facts.default, "-.", color=BLACK, marker="s", mfc="white", ms=5, lw=1.8, label="default"
            )
        if facts.best:
            _curve(axes, facts.best, "-", color=BLACK, marker="*", ms=9, lw=2.2, label="winner")
        axes.set(title="Loss curves", xlabel="share of the run (percent)", xlim=(0, 103))
        values = [value for record in facts.records for _, value in record.curve]
        value_axis(axes, values, "lowest validation log loss so far (nats)")
        legend(axes, 3)

    return picture("curves", "Lowest validation log loss so far over the run, a line a trial.", paint, 4.3)


def progress(facts: Facts) -> Picture:
    """How far each trial came."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for mark in rungs(facts.config.search):
            axes.axhline(mark, color=GREY, lw=1.2, ls=DOTTED, label="rung: ASHA judges here")
        for state, look in LOOKS.items():
            found = facts.ended_as(state)
            numbers, percents = [record.number for record in found], [reached(record) for record in found]
            axes.vlines(numbers, 0, percents, color=look.colour, lw=1.2, ls=look.dash)
            dots(axes, numbers, percents, state, label=state.lower())
        axes.set(title="How far each trial came", ylabel="share of the run (percent)", ylim=(-4, 106))
        number_axis(axes, "trial number")
        legend(axes, 4)

    return picture("progress", "The share of its run at which each trial was evaluated last.", paint, 3.1)


def cost(facts: Facts) -> Picture:
    """What each trial took."""
    longest = max((record.seconds for record in facts.records), default=0.0)
    unit, size = next((item for item in UNITS if longest >= 3 * item[1]), UNITS[-1])

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for state, look in LOOKS.items():
            found = facts.ended_as(state)
            axes.bar(
                [record.number for record in found],
                [record.seconds / size for record in found],
                color=look.colour if look.filled else "white",
                edgecolor=look.colour,
                hatch=look.hatch,
                label=state.lower() if found else None,
            )
        axes.set(title="Training time of each trial", ylabel=f"time ({unit})")
        number_axis(axes, "trial number")
        axes.grid(visible=False, axis="x")
        legend(axes)

    return picture("cost", f"Training time of each trial in {unit}.", paint, 3)


def importance_bars(found: dict[str, list[Share]]) -> Picture:
    """The share of each parameter, with its range when part of the trials is left out."""

    def paint(figure: "Figure") -> None:
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)
        for axes, (title, shares) in zip(panels.flat, found.items(), strict=True):
            turned = sorted(shares, key=lambda share: share.name, reverse=True)
            spans = [[100 * (item.share - item.low), 100 * (item.high - item.share)] for item in turned]
            axes.barh(
                [item.name for item in turned],
                [100 * item.share for item in turned],
                xerr=list(zip(*spans, strict=True)),
                color=SKY,
                edgecolor=BLUE,
                height=0.5,
                error_kw={"ecolor": BLACK, "capsize": 4},
            )
            axes.set(title=title, xlabel="share of the variance (percent)", xlim=(0, 102))
            axes.grid(visible=False, axis="y")

    told = "; ".join(
        f"{title}: {', '.join(f'{share.name} {share.share:.0%}' for share in shares)}"
        for title, shares in found.items()
    )
    return picture("importance", f"Parameter importance. {told}.", paint, 2.3)


def _curve(axes: "Axes", record: TrialRecord, dash: str, **look: Any) -> None:
    if record.curve:
        axes.plot(*zip(*record.curve, strict=True), dash, **look)
