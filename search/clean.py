"""Show what may go of what the commands wrote, and how large it is; delete it:  python search/clean.py --yes

What a killed command left, checkpoints of runs that have ended, and tokenised sets that no record uses. A study or
a full run that is named goes as a whole, its results too; nothing else that was found by training does. What a
command is at work on is left alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train_fn.cli import explained, new_app, run_app

if TYPE_CHECKING:
    from search.removable import Found, Place

app = new_app()


@app.command(help=__doc__)
def clean(
    names: Annotated[
        list[str] | None, typer.Argument(help="studies and full runs to delete with their results [none]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="delete; without it nothing is")] = False,
    output: Annotated[Path | None, typer.Option(help="the folder that was written to [output]")] = None,
) -> None:
    with explained():
        from search.removable import named, runs, sets, studies
        from train_fn.storage import Paths

        paths = Paths.of(output)
        whole = {place.folder: place for place in (named(paths, name) for name in names or ())}
        parts = (*studies(paths), *runs(paths), *sets(paths))
        places = [*whole.values(), *(place for place in parts if place.folder not in whole)]
        total = sum(_clear(place, yes=yes) for place in places)
        done = "deleted" if yes else "may go; nothing was deleted, --yes (make clean-runs YES=1) does it"
        typer.echo(f"{_told(total)}  {done}")


def _clear(place: "Place", *, yes: bool) -> int:
    """Show, and delete if so asked, what was found; returns its bytes."""
    if not place.found:
        return 0
    with place.idle() as idle:
        if not idle:
            typer.echo(f"in use      {place.folder}")
            return 0
        total = 0
        for found in _outermost(place.found):
            total += found.size
            typer.echo(f"{_told(found.size)}  {found.path}  ({found.why})")
            if yes:
                found.remove()
        return total


def _outermost(found: "Sequence[Found]") -> "list[Found]":
    paths = {each.path for each in found}
    return [each for each in found if paths.isdisjoint(each.path.parents)]


def _told(size: int) -> str:
    return f"{size / 2**20:8,.1f} MB"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
