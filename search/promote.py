"""Promote a search's winner to a full run:  python search/promote.py --best --dataset 2M

The same command again continues a run that was stopped, from its last checkpoint.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.order import Decontaminate, LearningRate, Order, Overrides, Rate, Top
from train_fn.cli import Json, KeepCheckpoints, Price, Quiet, Replace, Storage, explained, new_app, run_app
from train_fn.delivery import Delivery, License, NoMerged, Public, PushToHub
from train_fn.voice import Result, done, say

if TYPE_CHECKING:
    from search.choice import Choice
    from search.promotion import PromoteConfig
    from search.selection import Selection
    from train_fn.config import DatasetSpec, TrainConfig
    from train_fn.job import Job
    from train_fn.run_folder import RunFolder
    from train_fn.storage import Paths

app = new_app()


@app.command(help=__doc__)
def promote(
    dataset: Annotated[str, typer.Option(help="10k, 100k, 1M, 2M, sample, or a folder")],
    best: Annotated[bool, typer.Option("--best", help="take the best trial of the best study")] = False,
    study: Annotated[str | None, typer.Option(help="take the best trial of this study")] = None,
    trial: Annotated[int | None, typer.Option(help="with --study: take this trial")] = None,
    top: Top = 1,
    learning_rate: Rate = LearningRate.COPY,
    address: Annotated[str | None, typer.Option(help="of a Ray cluster: auto, HOST:PORT [none]")] = None,
    workers: Annotated[int | None, typer.Option(help="ranks of the run, a GPU each [1]")] = None,
    max_rows: Annotated[int | None, typer.Option(help="train on so many rows [all]")] = None,
    model: Annotated[str | None, typer.Option(help="whose studies to look at [Qwen/Qwen3-0.6B]")] = None,
    output: Annotated[Path | None, typer.Option(help="the folder for everything written [output]")] = None,
    storage: Storage = None,
    replace: Replace = False,
    keep_checkpoints: KeepCheckpoints = None,
    decontaminate: Decontaminate = False,
    no_merged: NoMerged = False,
    license_: License = None,
    push_to_hub: PushToHub = None,
    public: Public = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say how long it would take, and stop")] = False,
    price_per_hour: Price = None,
    set_: Overrides = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> Result:
    with explained(quiet, json_) as spoken:
        from search.foresee import Request

        request = Request(dry_run, price_per_hour)
        delivery = Delivery.checked(no_merged, license_, push_to_hub, public)
        order = Order(study, trial, top, learning_rate, replace, decontaminate, request, delivery, storage)
        flags = {"address": address, "workers": workers, "max_rows": max_rows}
        flags["keep_checkpoints"] = keep_checkpoints
        _promote(dataset, best, order, model, output, set_ or [], flags)
    return spoken.result


def _promote(
    dataset: str,
    best: bool,
    order: Order,
    model: str | None,
    output: Path | None,
    sets: list[str],
    flags: dict[str, Any],
) -> None:
    from search.choice import find_best
    from search.promotion import resolve_promotion
    from search.store import stored
    from train_fn.config import absolute_model, find_dataset, resolve_train
    from train_fn.run_folder import RunFolder, run_name
    from train_fn.storage import Paths
    from train_fn.values import parse_sets

    given = parse_sets(sets)
    order.check(best, given)
    spec, paths = find_dataset(dataset), Paths.of(output)
    wanted = absolute_model(model) if model else resolve_train(spec, {}).model
    with stored(order.storage, paths, say) as store:
        if store:
            store.fetch_studies()
        choice = find_best(paths, wanted, spec, order.study, order.trial)
        config, promotion = resolve_promotion(choice, spec, given, flags)
        say(order.told(choice))
        folder = RunFolder.of(paths, run_name(config.model, spec, config.splits))
        with folder.locked():
            if store and not order.request.dry_run:
                store.fetch(folder.folder)
                store.keep(folder.folder)
            _run(choice, spec, config, promotion, paths, order, folder)
    following = shlex.join(["python", "train_fn/predict.py", "--run", str(folder.folder), "TEXT"])
    done({**folder.told(), "next": following}, f"files    {folder.folder}")
    say(f"next     {following}")


def _run(
    choice: "Choice",
    spec: "DatasetSpec",
    config: "TrainConfig",
    promotion: "PromoteConfig",
    paths: "Paths",
    order: Order,
    folder: "RunFolder",
) -> None:
    from search.foresee import foresee_promotion
    from search.guard import find_seen
    from search.report_page import reported
    from search.selection import select
    from search.target import Target
    from train_fn.contamination import write_left_out
    from train_fn.full_run import claim_run, finish, run_settings
    from train_fn.inputs import prepare_inputs

    inputs = prepare_inputs(spec, config, paths, say)
    config = inputs.pinned(config)
    seen = find_seen(choice.study, spec, inputs, paths, say, decontaminate=order.decontaminate)
    target = Target.of(config, inputs.data, seen if order.decontaminate else None)
    transfer = order.learning_rate is LearningRate.TRANSFER
    selection = select(choice, target, promotion, paths, order.top, transfer=transfer)
    settings, undecided = {**selection.settings, "decontaminate": order.decontaminate}, selection.undecided
    whole = run_settings(config, inputs, settings)
    goes_on = folder.goes_on(whole, replace=order.replace, undecided=undecided)
    foreseen = foresee_promotion(
        order.request, inputs, config, promotion, folder, say, selection.plan, goes_on=goes_on
    )
    run, job = claim_run(
        spec, config, paths, inputs, settings, order.delivery, replace=order.replace, undecided=undecided
    )
    foreseen.keep(run.folder)
    if order.decontaminate:
        write_left_out(seen, run.folder)
    _train(run, job, selection, promotion)
    lineage = {**selection.lineage(run), "seen_by_search": seen.facts}
    for line in finish(run, spec, config, inputs, paths, lineage, order.delivery, say):
        say(line)
    say(reported(choice.study, paths)[-1])  # where the report lies


def _train(run: "RunFolder", job: "Job", selection: "Selection", promotion: "PromoteConfig") -> None:
    from search.foreseen import settle, sitting
    from search.promotion import one_ray

    if run.finished:
        say("run      finished already; --replace would do it anew")
    else:
        with sitting(run.folder), one_ray(promotion) as train:
            train(selection.settle(run, job, train, say), run.logs / "run.log")
    settle(run.folder, say)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
