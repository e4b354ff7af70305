"""One full run without a search:  python train_fn/train.py --dataset 10k

The same command again continues a run that was stopped, from its last checkpoint.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from train_fn.cli import Json, KeepCheckpoints, Quiet, Replace, explained, new_app, run_app
from train_fn.delivery import Delivery, License, NoMerged, Public, PushToHub
from train_fn.voice import Result, done, say

app = new_app()


@app.command(help=__doc__)
def train(
    dataset: Annotated[str, typer.Option(help="10k, 100k, 1M, 2M, sample, or a folder")],
    max_rows: Annotated[int | None, typer.Option(help="train on so many rows [all]")] = None,
    model: Annotated[str | None, typer.Option(help="a Hub name or a folder [Qwen/Qwen3-0.6B]")] = None,
    seed: Annotated[int | None, typer.Option(help="of the training [42]")] = None,
    output: Annotated[Path | None, typer.Option(help="the folder for everything written [output]")] = None,
    replace: Replace = False,
    keep_checkpoints: KeepCheckpoints = None,
    no_merged: NoMerged = False,
    license_: License = None,
    push_to_hub: PushToHub = None,
    public: Public = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override configs/train.yaml")
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> Result:
    flags = {"max_rows": max_rows, "model": model, "seed": seed, "keep_checkpoints": keep_checkpoints}
    with explained(quiet, json_) as spoken:
        given = {key: value for key, value in flags.items() if value is not None}
        delivery = Delivery.checked(no_merged, license_, push_to_hub, public)
        _train(dataset, set_ or [], given, output, replace, delivery)
    return spoken.result


def _train(
    dataset: str,
    sets: list[str],
    flags: Mapping[str, object],
    output: Path | None,
    replace: bool,
    delivery: Delivery,
) -> None:
    from train_fn.config import find_dataset, resolve_train
    from train_fn.storage import Paths
    from train_fn.values import parse_sets

    spec = find_dataset(dataset)
    config = resolve_train(spec, {**parse_sets(sets), **flags})
    paths = Paths.of(output)

    from train_fn.full_run import claim_run, execute_here, finish
    from train_fn.inputs import prepare_inputs
    from train_fn.run_folder import RunFolder, run_name

    with RunFolder.of(paths, run_name(config.model, spec, config.splits)).locked():
        inputs = prepare_inputs(spec, config, paths, say)
        config = inputs.pinned(config)
        run, job = claim_run(spec, config, paths, inputs, {}, delivery, replace=replace)
        if not run.finished:
            execute_here(job, run)
        origin = {"study": None, "trial_id": None}
        for line in finish(run, spec, config, inputs, paths, origin, delivery, say):
            say(line)
    where = ["--output", str(output)] if output else []
    command = shlex.join(["python", "search/tune.py", "--dataset", dataset, *where])
    done({**run.told(), "next": command}, f"files    {run.folder}")
    say(f"next     {command}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
