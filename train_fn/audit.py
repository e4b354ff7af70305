"""Judge a data set before training on it:  python train_fn/audit.py --dataset 100k

Counts, lengths, copies, leakage between the splits, and how far the classes come apart without reading.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from train_fn.cli import Json, Quiet, explained, new_app, run_app
from train_fn.voice import Result, done, say

app = new_app()


@app.command(help=__doc__)
def audit(
    dataset: Annotated[str, typer.Option(help="10k, 100k, 1M, 2M, sample, or a folder")],
    model: Annotated[
        str | None, typer.Option(help="whose tokens are counted: a Hub name or a folder [Qwen/Qwen3-0.6B]")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="the folder for everything written [output]")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit with 2 when rows leak between the splits")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override configs/train.yaml")
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> Result:
    with explained(quiet, json_) as spoken:
        _audit(dataset, model, output, set_ or [], strict)
    return spoken.result


def _audit(dataset: str, model: str | None, output: Path | None, sets: list[str], strict: bool) -> None:
    from train_fn.config import find_dataset, resolve_train
    from train_fn.errors import InputError
    from train_fn.storage import Paths
    from train_fn.values import parse_sets

    spec = find_dataset(dataset)
    flags = {"model": model} if model else {}
    config = resolve_train(spec, {**parse_sets(sets), **flags})
    paths = Paths.of(output)

    from train_fn.audit_run import audit_path
    from train_fn.audit_view import render
    from train_fn.audit_warnings import leak_warnings
    from train_fn.inputs import audit

    facts = audit(spec, config, paths, say, full=True)
    say(render(facts))
    done(facts.model_dump(mode="json"), f"files    {audit_path(spec, paths, facts.key)}")
    if strict and (found := list(leak_warnings(facts))):
        raise InputError(f"--strict: no row may have a relative in another split, but {'; '.join(found)}")
    kept = [word for pair in sets for word in ("--set", pair)]
    words = [*(["--model", model] if model else []), *(["--output", str(output)] if output else []), *kept]
    if facts.leaks and facts.leakage and not facts.leakage.refused:
        words += ["--set", "splits=grouped"]
    say(f"next     {shlex.join(['python', 'search/tune.py', '--dataset', dataset, *words])}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
