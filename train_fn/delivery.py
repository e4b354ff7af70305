"""What a full run leaves for others to use, beside its results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from train_fn.config import DatasetSpec, TrainConfig
    from train_fn.run_folder import RunFolder
    from train_fn.storage import Paths

NoMerged = Annotated[
    bool, typer.Option("--no-merged", help="leave out merged/, two bytes a weight of the base")
]
License = Annotated[
    str | None, typer.Option("--license", help="of the detector, in its model card [none stated]")
]


@dataclass(frozen=True)
class Delivery:
    """What the command line asks for. It decides no number of a run, so it is no part of its settings."""

    merged: bool
    license: str | None

    def write(
        self,
        run: "RunFolder",
        spec: "DatasetSpec",
        config: "TrainConfig",
        data: Path,
        paths: "Paths",
        say: Callable[[str], None],
    ) -> list[str]:
        """Write what is wanted of a finished run on the tokenised `data`; returns the lines to show.

        Raises InputError when the merged model does not judge as the adapter does.
        """
        from train_fn.card import CARD, write_card
        from train_fn.export import merged_lines, write_merged

        if self.merged:
            write_merged(run, config, data, paths, say)
        write_card(run, spec, self.license)
        return [*merged_lines(run), f"card     {run.folder / CARD}"]
