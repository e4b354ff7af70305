"""The parts of a report whose file may lie in a study's folder or not, read as plain facts."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.report_tables import FACTS, Table

LISTED = 12  # numbers of a list that are shown


@dataclass(frozen=True)
class Extra:
    """One optional part: what it says as tables and commands, or in words why it says nothing."""

    title: str
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()
    trouble: str = ""


def extras(folder: Path) -> list[Extra]:
    """The parts whose file lies in the study's folder, in the order in which they are read."""
    parts = [
        _part("Data audit", folder / "audit.json"),
        _part("Confirmation", folder / "best.json", "confirmed"),
        _part("Does the small set predict this one", folder / "fidelity.json"),
        _part("Forecast against actual", folder / "forecast.json"),
    ]
    return [part for part in parts if part]


def promotions(output: Path, study: str) -> Extra | None:
    """The full runs under `output` whose lineage.json names the study."""
    rows, commands = [], []
    for file in sorted(output.glob("*/lineage.json")):
        told = _read(file)
        if isinstance(told, Mapping) and told.get("study") == study:
            metrics = _read(file.parent / "metrics.json")
            test = (metrics.get("test") if isinstance(metrics, Mapping) else None) or {}
            found = [_cell(test.get(key)) for key in ("log_loss", "auroc", "tpr_at_fpr_5")]
            rows.append((file.parent.name, _cell(told.get("trial")), *found))
            commands += [shlex.join(told["command"])] if told.get("command") else []
    head = ("run", "trial", "test log loss (nats)", "test AUROC", "test TPR at FPR 5 %")
    return Extra("Promotions", (Table(head, tuple(rows)),), tuple(commands)) if rows else None


def facts_tables(value: Any) -> tuple[Table, ...]:
    """Any JSON value as tables: nested keys become one row each, a list of mappings a table of its own, and things
    that are told alike (splits, domains) a column each."""
    grids = {key: item for key, item in value.items() if _is_grid(item)} if isinstance(value, Mapping) else {}
    rows, tables = [], [_grid(_words(key), item) for key, item in grids.items()]
    rest = {key: item for key, item in value.items() if key not in grids} if grids else value
    for key, item in _leaves(rest):
        if _is_table(item):
            head = tuple(dict.fromkeys(str(name) for row in item for name in row))
            cells = tuple(tuple(_cell(row.get(name)) for name in head) for row in item)
            tables.append(Table((key, *head), tuple((str(at + 1), *row) for at, row in enumerate(cells))))
        else:
            rows.append((key, _cell(item)))
    return (*([Table(FACTS, tuple(rows))] if rows else []), *tables)


def _part(title: str, file: Path, key: str | None = None) -> Extra | None:
    if not file.exists():
        return None
    value = _read(file)
    if isinstance(value, ValueError):
        return Extra(title, trouble=f"{file.name} must be JSON, but: {value}")
    if key is not None:
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value is None else Extra(title, facts_tables(value))


def _read(file: Path) -> Any:
    """The file's value; what was wrong with it, or None where there is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        return error


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}, {_words(key)}" if name else _words(key))
    else:
        yield name or "value", value


def _is_table(value: Any) -> bool:
    rows = isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
    return rows and all(isinstance(row, Mapping) for row in value)


def _is_grid(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and len(value) > 1 and all(isinstance(v, Mapping) for v in value.values())
    )


def _grid(title: str, things: Mapping[str, Any]) -> Table:
    found = {name: dict(_leaves(facts)) for name, facts in things.items()}
    keys = dict.fromkeys(key for facts in found.values() for key in facts)
    cells = tuple((key, *(_cell(facts.get(key)) for facts in found.values())) for key in keys)
    return Table((title, *map(_words, found)), cells)


def _words(key: str) -> str:
    return str(key).replace("_", " ")


def _cell(value: Any) -> str:
    """A value for a person: at most four digits after the first, thousands apart."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = [f"and {len(value) - LISTED} more"] if len(value) > LISTED else []
        return ", ".join([*(_cell(item) for item in value[:LISTED]), *more])
    return str(value)
