"""What a full run leaves for others to use, beside its results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from train_fn.config import DatasetSpec
    from train_fn.push import Push
    from train_fn.run_folder import RunFolder

NoMerged = Annotated[
    bool, typer.Option("--no-merged", help="leave out merged/, two bytes a weight of the base")
]
License = Annotated[
    str | None, typer.Option("--license", help="of the detector, in its model card [none stated]")
]
PushToHub = Annotated[
    str | None,
    typer.Option(
        "--push-to-hub",
        metavar="[OWNER/]NAME",
        help="upload the detector to the Hugging Face Hub (token: HF_TOKEN or `hf auth login`); a new "
        "repository there is private",
    ),
]
Public = Annotated[
    bool, typer.Option("--public", help="with --push-to-hub: a repository that everybody can read")
]


@dataclass(frozen=True)
class Delivery:
    """What the command line asks for. It decides no number of a run, so it is no part of its settings."""

    merged: bool
    license: str | None
    push: "Push | None"

    @classmethod
    def checked(cls, no_merged: bool, license: str | None, name: str | None, public: bool) -> "Delivery":
        """Raises InputError, before hours of training, where a push would fail."""
        from train_fn.errors import InputError
        from train_fn.push import Push

        if public and name is None:
            raise InputError("--public is for --push-to-hub NAME; give both, or none")
        push = None if name is None else Push(name, public)
        if push:
            push.check()
        return cls(not no_merged, license, push)

    def write(
        self, run: "RunFolder", spec: "DatasetSpec", data: Path, say: Callable[[str], None]
    ) -> list[str]:
        """Write what is wanted of a finished run on the tokenised `data`, and push it; returns the lines to show.

        Raises InputError when the merged model does not judge as the adapter does.
        """
        from train_fn.card import CARD, write_card
        from train_fn.export import merged_lines, write_merged

        if self.merged:
            write_merged(run, data, say)
        write_card(run, spec, self.license)
        lines = [*merged_lines(run), f"card     {run.folder / CARD}"]
        if self.push is None:
            return lines
        say(f"push     the detector to {self.push.name} on the Hub")
        return [*lines, *self.push.lines(run, spec, merged=self.merged)]
