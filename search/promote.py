"""Promote a search's winner to a full run:  python search/promote.py --best --dataset 2M

The same command again continues a run that was stopped, from its last checkpoint.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from train_fn.cli import explained, new_app, run_app

if TYPE_CHECKING:
    from search.choice import Choice
    from search.foresee import Request
    from search.promotion import PromoteConfig
    from train_fn.config import DatasetSpec, TrainConfig
    from train_fn.storage import Paths

app = new_app()


@app.command(help=__doc__)
def promote(
    dataset: Annotated[str, typer.Option(help="10k, 100k, 1M, 2M, sample, or a folder")],
    best: Annotated[bool, typer.Option("--best", help="take the best trial of the best study")] = False,
    study: Annotated[str | None, typer.Option(help="take the best trial of this study")] = None,
    trial: Annotated[int | None, typer.Option(help="with --study: take this trial")] = None,
    workers: Annotated[int | None, typer.Option(help="ranks of the run, a GPU each [1]")] = None,
    max_rows: Annotated[int | None, typer.Option(help="train on so many rows [all]")] = None,
    model: Annotated[str | None, typer.Option(help="whose studies to look at [Qwen/Qwen3-0.6B]")] = None,
    output: Annotated[Path | None, typer.Option(help="the folder for everything written [output]")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="discard what the run's folder holds")] = False,
    decontaminate: Annotated[
        bool, typer.Option("--decontaminate", help="score without rows that the search trained on")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say how long it would take, and stop")] = False,
    price_per_hour: Annotated[
        float | None, typer.Option(help="of a GPU, or of a machine without one: say the cost")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="override the study's settings or configs/promote.yaml"
        ),
    ] = None,
) -> None:
    with explained():
        from search.foresee import Request
        from train_fn.errors import InputError

        if not (best or study):
            raise InputError("say which trial: --best, or --study NAME with or without --trial NUMBER")
        flags = {"workers": workers, "max_rows": max_rows}
        request, switches = Request(dry_run, price_per_hour), (replace, decontaminate)
        _promote(dataset, (study, trial), model, output, set_ or [], flags, switches, request)


def _promote(
    dataset: str,
    which: tuple[str | None, int | None],
    model: str | None,
    output: Path | None,
    sets: list[str],
    flags: dict[str, Any],
    switches: tuple[bool, bool],
    request: "Request",
) -> None:
    from search.choice import find_best
    from search.promotion import resolve_promotion
    from train_fn.config import absolute_model, find_dataset, parse_sets, resolve_train
    from train_fn.run_folder import RunFolder, run_name
    from train_fn.storage import Paths

    spec, paths = find_dataset(dataset), Paths.of(output)
    given = parse_sets(sets)
    wanted = absolute_model(model) if model else resolve_train(spec, {}).model
    choice = find_best(paths, wanted, spec, *which)
    config, promotion = resolve_promotion(choice, spec, given, flags)
    typer.echo(f"promoting {choice.trial.trial_id}: {choice.reason}")
    typer.echo(f"          {choice.trial.params.model_dump_json()}, everything else as in that study")

    with RunFolder.of(paths, run_name(config.model, spec, config.splits)).locked():
        _run(choice, spec, config, promotion, paths, *switches, request)


def _run(
    choice: "Choice",
    spec: "DatasetSpec",
    config: "TrainConfig",
    promotion: "PromoteConfig",
    paths: "Paths",
    replace: bool,
    decontaminate: bool,
    request: "Request",
) -> None:
    from search.foresee import foresee_promotion
    from search.foreseen import settle
    from search.guard import find_seen
    from search.promotion import run_promotion
    from search.report_page import write_report
    from train_fn.contamination import write_left_out
    from train_fn.full_run import claim_run, finish
    from train_fn.inputs import prepare_inputs

    origin = {"study": choice.study.name, "trial_id": choice.trial.trial_id}
    settings = {**origin, "promotion": promotion.model_dump(), "decontaminate": decontaminate}
    inputs = prepare_inputs(spec, config, paths, typer.echo)
    seen = find_seen(choice.study, spec, inputs, paths, typer.echo, decontaminate=decontaminate)
    foreseen = foresee_promotion(request, inputs, spec, config, promotion, paths, typer.echo, replace=replace)
    run, job = claim_run(spec, config, paths, inputs, "promotion", settings, replace=replace)
    foreseen.keep(run.folder)
    if decontaminate:
        write_left_out(seen, run.folder)
    if not run.finished:
        run_promotion(job, run.logs, promotion)
    else:
        typer.echo("this run is finished already; --replace would do it anew")
    settle(run.folder, typer.echo)
    told = {**origin, "trial": choice.trial.number, "reason": choice.reason, "value": choice.value}
    lineage = {**told, "params": choice.trial.params.model_dump(), "seen_by_search": seen.facts}
    for line in finish(run, spec, config, inputs, paths, lineage, typer.echo):
        typer.echo(line)
    typer.echo(write_report(choice.study, paths)[-1])  # where the report lies
    typer.echo(f"next     load {run.folder / 'adapter'} with peft.AutoPeftModelForSequenceClassification")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
