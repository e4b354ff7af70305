"""What a person reads of an audit: tables and plain sentences, in ASCII."""

import math
from collections.abc import Iterator
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from train_fn.audit_facts import AuditFacts, Shortcut, Spread
from train_fn.audit_warnings import ascii_only, percent, warnings
from train_fn.config import LABELS

WIDTH = 200  # of the page; tables take what they need
NAME = 30  # characters of a domain
BECAUSE = {"source_id": "source_id", "prefix": "the same opening", "copy": "a copy", "near": "a near copy"}


def render(facts: AuditFacts) -> str:
    """The whole audit as text."""
    out = StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False, markup=False, emoji=False)
    console.print(_split_table(facts))
    splits = out.getvalue()
    console.print(_domain_table(facts))
    lines = [*_group_lines(facts), *_weight_lines(facts), *_leakage_lines(facts)]
    text = [
        f"data     {ascii_only(facts.source)}, {facts.splits_kind} splits",
        "         relatives: rows of the same text / the same once surface attacks are undone / the same group",
        splits.rstrip(),
        f"data     lengths: mean / median / 95 %; cut: longer than {facts.max_length} tokens",
        *_scored_line(facts),
        out.getvalue()[len(splits) :].rstrip(),
        *lines,
        *(f"warning  {line}" for line in warnings(facts)),
    ]
    return "\n".join(text)


def short_lines(facts: AuditFacts) -> list[str]:
    """What a command says of its data before it trains: the leakage, what else is wrong, and a remedy."""
    lines = [*_leakage_lines(facts), *(f"warning  {line}" for line in warnings(facts))]
    return lines if len(lines) == 1 else [*lines, "audit    python train_fn/audit.py shows it in full"]


def _table(*columns: str) -> Table:
    table = Table(box=box.ASCII)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True, overflow="crop")
    return table


def _split_table(facts: AuditFacts) -> Table:
    table = _table("split", "rows", *LABELS, "relatives in the same split", "relatives in train")
    for name, split in facts.splits.items():
        inside = " / ".join(percent(twins.inside / split.rows) for twins in split.twins.values())
        train = " / ".join(percent(split.leaking(kind)) for kind in split.twins) if name != "train" else "-"
        table.add_row(
            name, f"{split.rows:,}", *(f"{count:,}" for count in split.classes.values()), inside, train
        )
    return table


def _domain_table(facts: AuditFacts) -> Table:
    found = facts.shortcuts
    table = _table(
        "domain", "rows", "characters", "tokens", "cut", *(("length", "opening", "words") if found else ())
    )
    for name, domain in facts.domains.items():
        cells = [f"{domain.rows:,}", _spread(domain.characters), _spread(domain.tokens), percent(domain.cut)]
        table.add_row(ascii_only(name)[:NAME], *cells, *(_scores(found.domains[name]) if found else []))
    if found:
        table.add_row(
            "all",
            f"{sum(domain.rows for domain in facts.domains.values()):,}",
            "",
            "",
            "",
            *_scores(found.overall),
        )
    return table


def _scored_line(facts: AuditFacts) -> Iterator[str]:
    if found := facts.shortcuts:
        yield (
            "         AUROC of the length, of the first 40 characters and of TF-IDF, fitted on "
            f"{found.train_rows:,} train rows, on {found.test_rows:,} test rows of {found.splits} splits"
        )


def _group_lines(facts: AuditFacts) -> Iterator[str]:
    groups = facts.groups
    joined = ", ".join(
        f"{percent(share)} by {BECAUSE.get(kind, kind)}" for kind, share in groups.shares.items()
    )
    yield (
        f"groups   {groups.groups:,} groups of related rows, the largest with {groups.largest:,}; "
        f"{percent(groups.alone)} of the rows are alone"
    )
    yield f"groups   rows with a relative {joined}"
    if groups.cut_groups:
        yield (
            f"groups   {groups.cut_groups:,} groups of together {groups.cut_rows:,} rows were above the bound of "
            f"{groups.bound:,} and were cut at their weakest links"
        )
    yield (
        f"groups   {facts.groups_across:,} groups with {facts.rows_across:,} rows stand in more than one "
        f"{facts.splits_kind} split"
    )


def _weight_lines(facts: AuditFacts) -> Iterator[str]:
    for number, label in enumerate(LABELS):
        published = facts.weights.published
        told = f", published {published[number]:.4f}" if published else ""
        yield f"weight   {label}: formula {facts.weights.formula[number]:.4f}{told}"


def _leakage_lines(facts: AuditFacts) -> list[str]:
    test, found = facts.splits["test"], facts.leakage
    line = (
        f"leakage  {facts.splits_kind} splits: {percent(test.leaking('group'))} of the test rows have a relative "
        f"in train, {percent(test.leaking('normal'))} a copy once surface attacks are undone, "
        f"{percent(test.leaking('exact'))} the same text"
    )
    if found is None or found.published is None or found.grouped is None:
        return [line]
    doubt = 1.96 * math.hypot(found.published.error, found.grouped.error)
    return [
        line,
        f"leakage  TF-IDF's balanced accuracy on {found.rows:,} rows: {found.published.value:.2f} on published "
        f"splits, {found.grouped.value:.2f} on grouped; the premium of leakage is "
        f"{found.published.value - found.grouped.value:.2f} (95 %: +- {doubt:.2f})",
    ]


def _spread(spread: Spread) -> str:
    return f"{spread.mean:,.0f} / {spread.median:,.0f} / {spread.high:,.0f}"


def _scores(shortcut: Shortcut) -> list[str]:
    scores = (shortcut.length, shortcut.opening, shortcut.words)
    return ["-" if score is None else f"{score:.3f}" for score in scores]
