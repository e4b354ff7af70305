"""The report of a study: one HTML file beside its record, and its short form for the terminal."""

import shlex
from pathlib import Path
from typing import Any

from search.fidelity_file import write_fidelity
from search.report_extras import extras, promotions
from search.report_facts import Facts, counts, judged, rungs, verdict
from search.report_html import Section, render
from search.report_importance import importance
from search.report_sections import (
    Shares,
    commands_section,
    cost_section,
    failures_section,
    history_section,
    importance_section,
    made_section,
    rungs_section,
    space_sections,
    versus_section,
)
from search.report_style import Picture
from search.report_tables import short_form
from search.study import Study
from train_fn.storage import Paths, write_text

FILE = "report.html"


def write_report(study: Study, paths: Paths) -> list[str]:
    """Write report.html, and fidelity.json of a study with a prior, into the study's folder; returns the short
    form, lines of plain ASCII.

    Reads the record alone, so it is safe beside a running search. Raises InputError for a record that this
    version cannot read.
    """
    facts, fidelity = Facts.of(study), write_fidelity(study)
    shares = shares_of(facts)
    about = facts.config
    subtitle = (
        f"{about.train.model} on {about.dataset.name} ({about.dataset.train_rows:,} training rows); "
        f"trials: {counts(facts)}. The value of a trial is its validation log loss in nats; lower is better."
    )
    sections = [section for section in _sections(facts, shares, study.folder, paths) if section]
    write_text(study.folder / FILE, render(f"Search {facts.name}", subtitle, verdict(facts), sections))
    return [*short_form(facts), *_importance_lines(shares), *fidelity, f"report   {study.folder / FILE}"]


def reported(study: Study, paths: Paths) -> list[str]:
    """`write_report` at the end of a command: where it fails, one line that says so, for the work is done."""
    try:
        return write_report(study, paths)
    except Exception as error:
        again = shlex.join(
            ["python", "search/report.py", "--study", study.name, "--output", str(paths.output)]
        )
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        return [f"report   could not be written ({cause}); all else is there. Again: {again}"]


def told(study: Study) -> dict[str, Any]:
    """What a program reads at the end of a search, and of its report."""
    winner = study.winner()
    about = {"trial_id", "number", "params", "value", "metrics"}
    return {
        "study": study.name,
        "folder": str(study.folder),
        "report": str(study.folder / FILE),
        "winner": winner and winner.trial.model_dump(mode="json", include=about),
        "verdict": winner and winner.sentence,
    }


def pictures(study: Study, paths: Paths) -> list[Picture]:
    """The report's pictures, in their order. Raises as `write_report` does."""
    facts = Facts.of(study)
    sections = _sections(facts, shares_of(facts), study.folder, paths)
    return [picture for section in sections if section for picture in section.pictures]


def shares_of(facts: Facts) -> Shares:
    """Importance by the point of the run: all trials that came to the first rung, and those that came to the end.

    The second are what ASHA let live: among them a parameter may matter little that decides who they are.
    """
    first = next(iter(rungs(facts.config.search)), 100.0)
    points = {f"At {first:g} % of the run": judged(facts, first), "At the end": facts.valued("COMPLETE")}
    space = facts.config.search.space
    return {f"{title} (n = {len(found)})": importance(found, space) for title, found in points.items()}


def _importance_lines(shares: Shares) -> list[str]:
    told = {title: found for title, found in shares.items() if not isinstance(found, str)}
    if not told:
        title, reason = list(shares.items())[-1]
        return [f"matters  importance {title[0].lower()}{title[1:]} {reason}"]
    lines = []
    for title, found in told.items():
        parts = ", ".join(f"{share.name} {100 * share.share:.0f} %" for share in found)
        lines.append(f"matters  {title[0].lower()}{title[1:]}: {parts} of the variance")
    return lines


def _sections(facts: Facts, shares: Shares, folder: Path, paths: Paths) -> list[Section | None]:
    extra = [part for part in (*extras(folder), promotions(paths.output, facts.name)) if part]
    return [
        versus_section(facts),
        history_section(facts),
        importance_section(shares),
        *space_sections(facts),
        rungs_section(facts),
        failures_section(facts),
        *(Section(p.title, (p.trouble,) if p.trouble else (), (), p.tables, p.commands) for p in extra),
        cost_section(facts),
        made_section(facts, folder),
        commands_section(facts, paths),
    ]
