"""What lineage.json says of the search behind a promotion: its size, and the default beside what was promoted.

The pairs of runs that exist without a full run of the default: those of the confirmation, else the two trials, and
with --top those of the last rung that ran both.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search.choice import Choice
from search.confirm import DEFAULT
from search.space import Point
from train_fn.default_run import Beside, figures

Metrics = Mapping[str, Any]


def provenance(choice: Choice, number: int, rungs: Mapping[str, Any] | None, params: Point) -> dict[str, Any]:
    """`search` and `default` of lineage.json for a promotion of that trial with `params`, which may be others than
    its own; `rungs` is rungs.json, if any."""
    study, data = choice.study, choice.config.dataset
    trials, reruns = study.records(), study.reruns()
    pairs = [_searched(choice, number), _rung(rungs, number)] if number != DEFAULT else []
    own = next(record.params for record in trials if record.number == number)
    changed = {key: value for key, value in own if value != getattr(params, key)}
    named = ", ".join(f"{key} {value:g}" for key, value in changed.items())
    note = f", with the trial's own parameters ({named})" if changed else ""
    return {
        "search": {
            "dataset": data.name,
            "train_rows": data.train_rows,
            "trials": dict(Counter(record.status for record in trials)),
            "confirmation_runs": len(reruns),
            "seconds": sum(record.seconds for record in (*trials, *reruns)),
        },
        "default": {
            "params": Point.of(choice.config.train).model_dump(),
            "beside": [{**pair.model_dump(), "where": pair.where + note} for pair in pairs if pair],
        },
    }


def _searched(choice: Choice, number: int) -> Beside | None:
    """The two on fresh seeds where both were confirmed; else as trials, on rows that chose among trials."""
    study, data = choice.study, choice.config.dataset
    winner = study.winner()
    confirmed = winner.confirmed if winner else None
    if confirmed and {number, DEFAULT} <= set(confirmed.candidates):
        ended = {(record.number, record.seed): record.metrics for record in study.reruns()}
        ours, theirs = ([ended[each, seed] for seed in confirmed.seeds] for each in (number, DEFAULT))
        where = f"mean of {len(confirmed.seeds)} fresh seeds in the search on {data.name}"
    else:
        complete = {item.number: [item.metrics] for item in study.records() if item.status == "COMPLETE"}
        ours, theirs = complete.get(number, []), complete.get(DEFAULT, [])
        where = f"trials of the search on {data.name}, on the rows that chose among them"
    return _pair(where, data.train_rows, ours, theirs)


def _rung(rungs: Mapping[str, Any] | None, number: int) -> Beside | None:
    """The two on the largest fraction of the target's rows that both were run on."""
    pair = None
    for rung, ended in zip(rungs["plan"]["rungs"], rungs["rungs"], strict=False) if rungs else ():
        found = {each["trial"]: [each.get("validation", {})] for each in ended}
        where = f"runs on {100 * rung['size']['fraction']:g} % of the train rows"
        rows = rung["size"]["rows"]
        pair = _pair(where, rows, found.get(number, []), found.get(DEFAULT, [])) or pair
    return pair


def _pair(where: str, train_rows: int, ours: Sequence[Metrics], theirs: Sequence[Metrics]) -> Beside | None:
    """None unless both have runs that tell how many rows they were scored on."""
    if not (ours and theirs and all("rows" in each for each in (*ours, *theirs))):
        return None
    return Beside(
        where=where,
        split="validation",
        train_rows=train_rows,
        rows=ours[0]["rows"],
        promoted=_means(ours),
        default=_means(theirs),
    )


def _means(runs: Sequence[Metrics]) -> dict[str, float]:
    return {key: statistics.fmean(figures(run)[key] for run in runs) for key in figures(runs[0])}
