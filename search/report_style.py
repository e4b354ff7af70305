"""How the report's pictures look: SVG inside the page, Okabe-Ito colours, and a shape or dash beside each.

Matplotlib's SVG and not plotly: a page of some hundred kB instead of 5 MB of script, the same on paper as on a
screen, and dashes in parallel coordinates, where plotly tells lines apart by colour alone.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design, 2008.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
GREY = "#8A8A8A"
VALUE_LABEL = "validation log loss (nats)"
WIDTH = 7.4  # inches: the text's width on A4 and Letter
LOG_FROM = 3  # a ratio of largest to smallest from which a logarithmic axis shows more
ABOVE = 1.04  # of the height of a plot: the row of failed trials, which have no value
DECADE = {"x": (1, 2, 5), "y": (1, 2, 3, 5)}  # where a logarithmic axis has numbers; y has more room
SETTINGS = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and read out
    "axes.unicode_minus": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 13,  # room for the row of failed trials
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.prop_cycle": f"cycler(color=['{BLACK}'])",  # what we name no colour for, such as the caps of whiskers
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Look:
    """How a state is drawn: each differs from the others in shape, dash and fill, not in colour alone."""

    word: str
    marker: str
    colour: str
    dash: str
    filled: bool
    hatch: str


LOOKS = {
    "COMPLETE": Look("complete", "o", BLUE, "-", True, ""),
    "PRUNED": Look("pruned: its value when it was stopped", "v", ORANGE, "--", False, "////"),
    "FAILED": Look("failed: no value", "x", VERMILLION, ":", False, "xxxx"),
}


@dataclass(frozen=True)
class Picture:
    """A drawing as SVG text, with what it shows in words for who cannot see it."""

    svg: str
    words: str


def picture(name: str, words: str, paint: "Callable[[Figure], None]", height: float = 3.4) -> Picture:
    """Draw with `paint` on a figure of WIDTH x `height` inches. The same input gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    text = io.StringIO()
    settings: Any = {**SETTINGS, "svg.hashsalt": name}
    with rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure)
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'id="([a-zA-Z0-9.]+_\d+)"', rf'id="{name}-\1"', svg)  # ids are the whole page's
    return Picture(svg, words)


def dots(axes: "Axes", x: Sequence[float], y: Sequence[float], state: str, **more: Any) -> None:
    """Points of one state; with an entry in the legend if there are any."""
    look = LOOKS[state]
    if x:
        face = look.colour if look.filled else "white"
        drawn = {
            "color": look.colour,
            "mfc": face,
            "mew": 1.4,
            "ms": 6,
            "label": look.word,
            "zorder": 3,
            **more,
        }
        axes.plot(x, y, look.marker, **drawn)


def failed_row(axes: "Axes", x: Sequence[float]) -> None:
    """Failed trials have no value: they stand above the plot."""
    dots(axes, x, [ABOVE] * len(x), "FAILED", transform=axes.get_xaxis_transform(), clip_on=False)


def ring(axes: "Axes", x: float, y: float, which: Literal["winner", "default"]) -> None:
    """Mark the winner with a star, the default with a square around its point."""
    if which == "winner":
        axes.plot([x], [y], "*", ms=15, mfc="#F0E442", mec=BLACK, mew=1, label="winner", zorder=4, ls="")
    else:
        axes.plot([x], [y], "s", ms=12, mfc="none", mec=BLACK, mew=1.2, label="default", zorder=5, ls="")


def spread(values: Sequence[float]) -> bool:
    """Whether the values span so much that a logarithmic scale shows more of them."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > LOG_FROM


def value_axis(axes: "Axes", values: Sequence[float], label: str = VALUE_LABEL) -> None:
    """Name the y axis; logarithmic where the values span much, or one far value would flatten the rest."""
    if spread(values):
        log_axis(axes, "y")
        label = f"{label}, log scale"
    axes.set_ylabel(label)
    axes.margins(y=0.09)  # for the star at the lowest point


def number_axis(axes: "Axes", label: str) -> None:
    """An x axis of whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def log_axis(axes: "Axes", which: Literal["x", "y"], base: int = 10) -> None:
    """A logarithmic axis with plain numbers: some of each decade, or each power of two."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(base=base, subs=(1,) if base == 2 else DECADE[which]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """A short number: 0.00002 -> 2e-5, 0.0528 -> 0.0528, 128 -> 128."""
    if not 0 < value < 0.01:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def legend(axes: "Axes", columns: int = 5) -> None:
    """Below the plot, where it hides no point; each entry once."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=columns)
