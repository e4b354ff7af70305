"""Pictures of a result."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train_fn.config import LABELS
from train_fn.storage import atomic_file


def confusion_png(matrix: Sequence[Sequence[int]], path: Path, title: str) -> None:
    """Draw `matrix` (rows true, columns predicted, order of LABELS) with counts and row shares to `path`.

    One hue from light to dark, so that no colour has to be told from another.
    """
    from matplotlib.figure import (
        Figure,
    )  # not pyplot, whose state is shared by threads and whose backend varies

    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5.2, 4.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        share = float(shares[row, column])
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share:.1%}",
            ha="center",
            va="center",
            fontsize=14,
            color="white" if share > 0.5 else "black",
        )
    names = [name.replace("_", " ") for name in LABELS]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, ax=axes, label="share of the true class", format="{x:.0%}")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
