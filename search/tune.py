"""Search the hyperparameters on one data set:  python search/tune.py --dataset 100k

The same command again continues a search that was stopped; a larger --trials extends a finished one.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from train_fn.cli import Json, Price, Quiet, Storage, explained, new_app, run_app, same_command
from train_fn.voice import Result, done, say

if TYPE_CHECKING:
    from search.runner import Outcome
    from train_fn.config import DatasetSpec
    from train_fn.storage import Paths

app = new_app()
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override configs/train.yaml or search.yaml"),
]


@dataclass(frozen=True)
class Order:
    """What is to be searched, and what to say of it beforehand; the settings come beside it."""

    dataset: str
    prior: str | None
    study: str | None
    output: Path | None
    storage: str | None
    dry_run: bool
    price_per_hour: float | None


@app.command(help=__doc__)
def tune(
    dataset: Annotated[str, typer.Option(help="10k, 100k, 1M, 2M, sample, or a folder")],
    trials: Annotated[int | None, typer.Option(help="how many trials the study shall have [20]")] = None,
    confirm_seeds: Annotated[
        int | None, typer.Option(help="seeds on which the best three and the default run again; 0: none [2]")
    ] = None,
    time_budget: Annotated[str | None, typer.Option(help="stop cleanly then: 8h, 90m; sets --trials")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="begin with what a study knows: its name or its data set's")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say how long it would take, and stop")] = False,
    price_per_hour: Price = None,
    study: Annotated[str | None, typer.Option(help="the study's name [made of the set and settings]")] = None,
    max_rows: Annotated[int | None, typer.Option(help="train on so many rows [all]")] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(help="below 1, trials share a GPU [1]")] = None,
    address: Annotated[str | None, typer.Option(help="of a Ray cluster: auto, HOST:PORT [none]")] = None,
    model: Annotated[str | None, typer.Option(help="a Hub name or a folder [Qwen/Qwen3-0.6B]")] = None,
    seed: Annotated[int | None, typer.Option(help="of the sampler and the training [42]")] = None,
    output: Annotated[Path | None, typer.Option(help="the folder for everything written [output]")] = None,
    storage: Storage = None,
    set_: Overrides = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> Result:
    flags = {
        "trials": trials,
        "confirm_seeds": confirm_seeds,
        "time_budget": time_budget,
        "max_rows": max_rows,
        "gpus_per_trial": gpus_per_trial,
        "address": address,
        "model": model,
        "seed": seed,
    }
    order = Order(dataset, from_, study, output, storage, dry_run, price_per_hour)
    with explained(quiet, json_) as spoken:
        _search(order, set_ or [], flags)
    return spoken.result


def _search(order: Order, sets: list[str], flags: dict[str, Any]) -> None:
    from search.config import resolve
    from search.prior import spelled
    from train_fn.config import find_dataset
    from train_fn.storage import Paths
    from train_fn.values import parse_sets

    spec, given = find_dataset(order.dataset), parse_sets(sets)
    train, search = resolve(spec, given, flags)
    paths = Paths.of(order.output)

    from search.foresee import Request, foresight
    from search.report_page import reported
    from search.runner import run_search
    from search.store import stored
    from search.tracked import track_study
    from search.view import SearchView

    request = Request(order.dry_run, order.price_per_hour, flags["trials"] is None and "trials" not in given)
    with stored(order.storage, paths, say) as store:
        outcome = run_search(
            spec,
            train,
            search,
            paths=paths,
            name=order.study,
            prior=order.prior and spelled(order.prior),
            say=say,
            watch=lambda *about: [SearchView(*about)],
            foresee=foresight(request, say),
            store=store,
        )
        if not outcome.signalled:  # who sends a signal cannot wait
            say("\n".join(reported(outcome.study, paths)))
            track_study(outcome.study, paths, interrupted=bool(outcome.interrupted))
    _end(outcome, spec, order, paths)


def _end(outcome: "Outcome", spec: "DatasetSpec", order: Order, paths: "Paths") -> None:
    """Say how the search ended, and what to type next."""
    from search.report_page import told
    from train_fn.tracking import sync_hint

    if hint := sync_hint(paths.logs / outcome.study.name):
        say(f"W&B      runs are offline; upload them with: {hint}")
    if outcome.interrupted:
        say(f"stopped  {outcome.interrupted}; nothing is lost, the same command goes on")
    following = _next_command(outcome, spec, order.output)
    result = {**told(outcome.study), "interrupted": outcome.interrupted, "next": following}
    done(result, f"files    {outcome.study.folder}")
    say(f"next     {following}")
    if outcome.signalled:
        raise typer.Exit(130)  # so that `tune && promote` does not promote half a search


def _next_command(outcome: "Outcome", spec: "DatasetSpec", output: Path | None) -> str:
    if outcome.interrupted:
        return same_command()
    from train_fn.config import find_dataset, resolve_train

    target = spec.name if spec.builtin else "2M"
    config = outcome.study.config()
    model, address = config.train.model, config.search.address
    words = ["--model", model] if model != resolve_train(find_dataset(target), {}).model else []
    words += ["--address", address] if address else []
    words += ["--output", str(output)] if output else []
    return shlex.join(["python", "search/promote.py", "--best", "--dataset", target, *words])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
