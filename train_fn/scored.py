"""predictions.parquet of a full run, read back as arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train_fn.config import LABELS
from train_fn.errors import InputError
from train_fn.metrics import Floats, Ints

Mask = NDArray[np.bool_]

READ = ("split", "row", "domain", "model", "label", "margin")


@dataclass(frozen=True)
class Names:
    """A column of names: `codes` [rows] number the `names`, which are sorted; -1 where a row has none."""

    names: list[str]
    codes: Ints

    def rows(self, name: str) -> Mask:
        """Which rows have that name, [rows]; none where the column does not know it."""
        return np.isin(self.codes, [code for code, known in enumerate(self.names) if known == name])


@dataclass(frozen=True)
class Scored:
    """The scored rows of a split. Every array is [rows]; `margin` is the AI logit less the human one."""

    rows: Ints
    margin: Floats
    labels: Ints
    domain: Names
    model: Names

    @property
    def ai(self) -> Mask:
        """Which texts are AI_Generated."""
        return np.asarray(self.labels == 0)

    @property
    def human(self) -> Mask:
        """Which texts are Human_Written."""
        return np.asarray(self.labels == 1)


def read_scored(path: Path, split: str) -> Scored:
    """The rows of one split. Raises InputError when the file holds no margins."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = pq.read_schema(path).names
    if missing := [name for name in READ if name not in found]:
        raise InputError(
            f"{path} must hold the columns {', '.join(READ)}, but lacks {', '.join(missing)}: an earlier version "
            "wrote it. Train the run again with --replace"
        )
    table = pq.read_table(path, columns=list(READ), filters=pc.field("split") == split)
    return Scored(
        rows=table["row"].to_numpy(),
        margin=table["margin"].to_numpy().astype(np.float64),
        labels=pc.index_in(table["label"], value_set=pa.array(LABELS)).to_numpy().astype(np.int64),
        domain=_names(table["domain"]),
        model=_names(table["model"]),
    )


def _names(column: Any) -> Names:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.cast(pa.string())  # of a column without any name, too
    names = sorted(pc.unique(values.drop_null()).to_pylist())
    codes = pc.index_in(values, value_set=pa.array(names, pa.string())).fill_null(-1)
    return Names(names, codes.to_numpy().astype(np.int64))
