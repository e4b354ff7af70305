"""Write the report of a search as one HTML file:  python search/report.py --study NAME

Without --study, of the newest study. Safe beside a running search; a search and a promotion write it themselves.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train_fn.cli import Json, Quiet, explained, new_app, run_app
from train_fn.voice import Result, done, say

if TYPE_CHECKING:
    from search.study import Study
    from train_fn.storage import Paths

app = new_app()


@app.command(help=__doc__)
def report(
    study: Annotated[str | None, typer.Option(help="the study's name [the newest]")] = None,
    output: Annotated[Path | None, typer.Option(help="the folder for everything written [output]")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> Result:
    with explained(quiet, json_) as spoken:
        from search.report_page import told, write_report
        from train_fn.storage import Paths

        paths = Paths.of(output)
        found = _find(paths, study)
        *lines, last = write_report(found, paths)
        say("\n".join(lines))
        done(told(found), last)
    return spoken.result


def _find(paths: "Paths", name: str | None) -> "Study":
    from search.choice import studies_in
    from search.study import Study, open_study
    from train_fn.errors import InputError

    there = [study.folder for study in studies_in(paths)]
    if not there:
        raise InputError(
            f"a report needs a study, but there is none in {paths.studies}; "
            "give --output, or make one: python search/tune.py --dataset sample"
        )
    if name is None:
        return Study(max(there, key=_changed))
    study = open_study(paths, name)
    if study.folder not in there:
        raise InputError(f"there is no study {name}; there are: {', '.join(folder.name for folder in there)}")
    return study


def _changed(folder: Path) -> float:
    """When the study's record last grew."""
    files = [folder / name for name in ("config.yaml", "trials.jsonl", "confirm.jsonl")]
    return max(file.stat().st_mtime for file in files if file.exists())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
