"""The sections of the report: what each says, shows and lists. None where a study has nothing for it."""

from pathlib import Path

import yaml

from search.prior import read_prior
from search.report_commands import promote_command, report_command, tune_command
from search.report_facts import Facts, rungs, saved_seconds, wall_seconds
from search.report_html import Section
from search.report_importance import Share
from search.report_tables import FACTS, Table, failure_table, rung_table, trial_table, versus_table
from search.study import Study
from search.wording import clock
from train_fn.storage import Paths, read_json

Shares = dict[str, list[Share] | str]  # by the point of the run: why there are none, where there are none
MACHINE = (
    "device",
    "dtype",
    "attention",
    "threads",
    "expanded_base",
    "micro_batch_tokens",
    "model_revision",
    "torch",
)


def versus_section(facts: Facts) -> Section | None:
    best, default = facts.best, facts.default
    if best is None or default is None or best is default or default.status != "COMPLETE":
        return None
    text = (
        "The winner was chosen as the lowest of many, so its own log loss flatters it. A confirmation on fresh "
        "seeds, where the study has one, is the fair comparison."
    )
    return Section("The winner against the default", (text,), tables=(versus_table(best, default),))


def history_section(facts: Facts) -> Section:
    from search.report_plots import history

    if not facts.records:
        return Section("History", ("No trial has ended yet, so there is nothing to draw.",))
    if not facts.valued("COMPLETE", "PRUNED"):
        return Section("History", ("No trial has a value, so there is nothing to draw.",))
    text = "A pruned trial stands at the log loss at which it was stopped, an earlier point of its run."
    return Section("History", (text,), (history(facts),))


def importance_section(shares: Shares) -> Section:
    from search.report_plots import importance_bars

    told = {title: found for title, found in shares.items() if not isinstance(found, str)}
    text = [f"{title}: importance {found}." for title, found in shares.items() if isinstance(found, str)]
    if told:
        text.append(
            "Whiskers: the range when an eighth of the trials is left out. The shares add up to 100 % even where "
            "trials differ by noise alone. Among the trials that came to the end, what ASHA stopped is missing."
        )
    return Section("Parameter importance (fANOVA)", tuple(text), (importance_bars(told),) if told else ())


def space_sections(facts: Facts) -> list[Section]:
    from search.report_space_plots import parallel, plane, slices

    if not facts.valued("COMPLETE", "PRUNED"):
        return []
    complete = (plane(facts),) if facts.valued("COMPLETE") else ()
    text = (
        "A line a trial; between the outer axes shifted a little, so that equal ranks do not hide each other."
    )
    return [
        Section("Slices of the space", pictures=(slices(facts), *complete)),
        Section("Parallel coordinates", (text,), (parallel(facts),)),
    ]


def rungs_section(facts: Facts) -> Section | None:
    from search.report_plots import curves, progress

    if not facts.records:
        return None
    marks = ", ".join(f"{mark:g} %" for mark in rungs(facts.config.search)) or "no point"
    factor = facts.config.search.reduction_factor
    text = (
        f"At {marks} of a run ASHA lets go on what is among the best 1 / {factor:g} of the trials that came so "
        "far; it judges at the first evaluation from there on."
    )
    drawn = (curves(facts),) if any(record.curve for record in facts.records) else ()
    return Section("Rungs and loss curves", (text,), (*drawn, progress(facts)), (rung_table(facts),))


def failures_section(facts: Facts) -> Section:
    table = failure_table(facts)
    if not table.rows:
        return Section("Failures by cause", ("No trial failed.",))
    return Section("Failures by cause", tables=(table,))


def cost_section(facts: Facts) -> Section | None:
    from search.report_plots import cost

    if not facts.records:
        return None
    lost = sum(record.seconds for record in facts.ended_as("FAILED"))
    text = (
        f"{clock(facts.seconds)} of training in {len(facts.records)} trials, {clock(lost)} of it in failed ones; "
        f"{clock(wall_seconds(facts.records))} from the first start to the last end, pauses included. Run to "
        f"their end at their own pace, the pruned trials would have taken {clock(saved_seconds(facts))} more."
    )
    return Section("What each trial cost", (text,), (cost(facts),), (trial_table(facts),))


def made_section(facts: Facts, folder: Path) -> Section:
    data, found = (
        facts.config.dataset,
        [read_json(file) for file in sorted(folder.glob("trials/*/facts.json"))],
    )
    rows = [
        ("data", data.source),
        ("revision of the data", data.revision or "none: not from the Hub"),
        ("fingerprint of the data", data.fingerprint),
        (
            "sampler",
            f"Gaussian process after {facts.config.search.startup_trials} trials, seed {facts.config.train.seed}",
        ),
        ("trial 0", "the default configuration"),
    ]
    if prior := read_prior(Study(folder)):
        told = f"{len(prior.trials)} trials on {prior.dataset}, the best {len(prior.enqueued)} tried first"
        rows.append(("prior", f"{prior.study}: {told}"))
    if facts.records:
        rows.append(("ran", f"{facts.records[0].started} to {max(record.ended for record in facts.records)}"))
    for key in MACHINE:
        values = sorted({str(item[key]) for item in found if key in item})
        rows += [(key.replace("_", " "), ", ".join(values))] if values else []
    settings = yaml.safe_dump(facts.config.model_dump(mode="json"), sort_keys=False, allow_unicode=False)
    text = "Below the table, config.yaml: every setting as the search used it."
    table = Table(FACTS, tuple(rows))
    return Section("How the study was made", (text,), tables=(table,), commands=(settings.strip(),))


def commands_section(facts: Facts, paths: Paths) -> Section:
    text = (
        "In the project's folder. Here the first goes on with this study or finds it finished; with another "
        "--output it makes the study anew. Then the winner's full run, and this page."
    )
    found = (tune_command(facts, paths), promote_command(facts, paths), report_command(facts, paths))
    return Section("To reproduce", (text,), commands=tuple(line for line in found if line))
