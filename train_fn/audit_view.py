"""What a person reads of an audit: tables and plain sentences, in ASCII."""

import math
from collections.abc import Iterator
from io import StringIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from train_fn.audit_facts import KINDS, AuditFacts, Shortcut, Spread
from train_fn.audit_warnings import ascii_only, percent, warnings
from train_fn.config import LABELS
from train_fn.voice import TAG, new_table

WIDTH = 80  # of the page
NAME = 19  # characters of a domain
TWINS = {"exact": "the same text", "normal": "the same, attacks undone,", "group": "a relative"}
BECAUSE = {"source_id": "source_id", "prefix": "the same opening", "copy": "a copy", "near": "a near copy"}


def render(facts: AuditFacts) -> str:
    """The whole audit as text."""
    text = [
        f"data     {ascii_only(facts.source)}, {facts.splits_kind} splits",
        _text(_split_table(facts)),
        f"lengths  mean / median / 95 %; cut: longer than {facts.max_length} tokens",
        _text(_length_table(facts)),
        *_shortcut_lines(facts),
        *_group_lines(facts),
        *_weight_lines(facts),
        *_leakage_lines(facts),
        *(f"warning  {line}" for line in warnings(facts)),
    ]
    return "\n".join(text)


def short_lines(facts: AuditFacts) -> list[str]:
    """What a command says of its data before it trains: the leakage, what else is wrong, and a remedy."""
    lines = [*_leakage_lines(facts), *(f"warning  {line}" for line in warnings(facts))]
    return lines if len(lines) == 1 else [*lines, "audit    python train_fn/audit.py shows it in full"]


def _text(table: Table) -> str:
    """The table where texts stand, beside the tags."""
    out = StringIO()
    Console(file=out, width=WIDTH, color_system=None).print(Padding(table, (0, 0, 0, TAG), expand=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _split_table(facts: AuditFacts) -> Table:
    table, splits = new_table("split", *facts.splits), facts.splits.values()
    table.add_row("rows", *(f"{split.rows:,}" for split in splits))
    for label in LABELS:
        table.add_row(label, *(f"{split.classes[label]:,}" for split in splits))
    for kind in KINDS:
        shares = (percent(split.twins[kind].inside / split.rows) for split in splits)
        table.add_row(f"{TWINS[kind]} in this split", *shares)
    for kind in KINDS:
        told = {name: percent(split.leaking(kind)) for name, split in facts.splits.items()}
        table.add_row(f"{TWINS[kind]} in train", *({**told, "train": "-"}.values()))
    return table


def _length_table(facts: AuditFacts) -> Table:
    table = new_table("domain", "rows", "characters", "tokens", "cut")
    for name, domain in facts.domains.items():
        lengths = (_spread(domain.characters), _spread(domain.tokens))
        table.add_row(ascii_only(name)[:NAME], f"{domain.rows:,}", *lengths, percent(domain.cut))
    return table


def _shortcut_lines(facts: AuditFacts) -> Iterator[str]:
    if (found := facts.shortcuts) is None:
        return
    yield (
        "AUROC    of the length, of the first 40 characters and of TF-IDF, fitted on "
        f"{found.train_rows:,} train rows, on {found.test_rows:,} test rows of {found.splits} splits"
    )
    table = new_table("domain", "length", "opening", "words")
    for name, shortcut in {**found.domains, "all": found.overall}.items():
        table.add_row(ascii_only(name)[:NAME], *_scores(shortcut))
    yield _text(table)


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
    return f"{spread.mean:,.0f}/{spread.median:,.0f}/{spread.high:,.0f}"


def _scores(shortcut: Shortcut) -> list[str]:
    scores = (shortcut.length, shortcut.opening, shortcut.words)
    return ["-" if score is None else f"{score:.3f}" for score in scores]
