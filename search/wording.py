"""How numbers of a search are worded, on the terminal and in the report."""

import math

from search.space import Point


def describe(params: Point) -> str:
    """A point in words."""
    return f"learning rate {params.learning_rate:.2e}, rank {params.lora_rank}, alpha {params.lora_alpha:g}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def loss(value: float | None) -> str:
    """A log loss to four places, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def ascii_line(text: str) -> str:
    """One line of plain ASCII; a library's message may be neither."""
    return " ".join(text.splitlines()).encode("ascii", "backslashreplace").decode("ascii")
