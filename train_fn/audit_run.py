"""Judge a data set before anything is trained on it; what was found once is kept, by content."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from train_fn.audit_counts import Rows, across_splits, conflicts, domain_facts, gather, split_facts
from train_fn.audit_facts import AuditFacts, ClassWeights
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.locks import waiting_lock
from train_fn.source import Source
from train_fn.storage import Paths, read_json, write_json
from train_fn.tokenized import Meta, TokenizedSet, open_set

AUDIT_VERSION = 1  # raise it when the same input gives other facts

Say = Callable[[str], None]


def judged(
    source: Source, spec: DatasetSpec, config: TrainConfig, data: Path, paths: Paths, say: Say, full: bool
) -> AuditFacts:
    """Judge a set that `prepare` has written to the folder `data` with the same configuration. `full` adds the
    shortcut check and the cost of leakage.

    The short form may hold more than it was asked for: a full audit serves it. Raises InputError.
    """
    tokenized = open_set(data)
    key = _key(spec, config, tokenized.meta)
    path = audit_path(spec, paths, key)
    with waiting_lock(path, "judging", say):
        known = _read(path)
        if known is None or (full and known.shortcuts is None):
            known = AuditFacts(
                key=key,
                dataset=spec.name,
                source=tokenized.meta.source,
                revision=tokenized.meta.revision,
                splits_kind=config.splits,
                split_seed=config.split_seed,
                max_length=config.max_length,
                **_judge(source, spec, config, tokenized, paths, say, full),
            )
            write_json(path, known.model_dump(mode="json"))
    return known


def audit_path(spec: DatasetSpec, paths: Paths, key: str) -> Path:
    """Where the facts of that key lie."""
    return paths.tokenized_cache / spec.slug / f"audit-{key}.json"


def _key(spec: DatasetSpec, config: TrainConfig, meta: Meta) -> str:
    from train_fn.groups import GROUPS_VERSION
    from train_fn.splits import SPLITS_VERSION

    parts = {
        "versions": [AUDIT_VERSION, GROUPS_VERSION, SPLITS_VERSION],
        "fingerprint": meta.fingerprint,
        "tokenizer_hash": meta.tokenizer_hash,
        "max_length": meta.max_length,
        "published_weights": spec.published_weights,
        "splits": config.splits,
        "split_seed": config.split_seed,  # with published splits too: grouped ones are measured beside them
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _read(path: Path) -> AuditFacts | None:
    """The facts; None when they are absent or unreadable, and have to be found anew."""
    try:
        return AuditFacts(**read_json(path))
    except (OSError, ValueError, TypeError, ValidationError):
        return None


def _judge(
    source: Source,
    spec: DatasetSpec,
    config: TrainConfig,
    data: TokenizedSet,
    paths: Paths,
    say: Say,
    full: bool,
) -> dict[str, Any]:
    """What is found in the rows: the fields of AuditFacts beyond those that name the set and its settings."""
    from train_fn.data import load_source
    from train_fn.groups import find_groups

    groups = find_groups(source, spec.slug, paths, say)
    splits = load_source(source).splits
    rows = gather(data, splits)
    group, exact, normal = groups.group, groups.hashes[:, 0], groups.hashes[:, 1]
    groups_across, rows_across = across_splits(rows, group)
    found: dict[str, Any] = {
        "splits": split_facts(rows, {"exact": exact, "normal": normal, "group": group}),
        "domains": domain_facts(rows),
        "groups": groups.facts,
        "groups_across": groups_across,
        "rows_across": rows_across,
        "conflicts": {"exact": conflicts(rows, exact), "normal": conflicts(rows, normal)},
        "weights": _weights(spec, rows),
        "shortcuts": None,
        "leakage": None,
    }
    if full:
        from train_fn.audit_texts import grouped_splits, read_texts

        grouped = grouped_splits(source, spec, paths, config, say)
        found["shortcuts"], found["leakage"] = read_texts(rows, splits, group, grouped, say)
    return found


def _weights(spec: DatasetSpec, rows: Rows) -> ClassWeights:
    from train_fn.loss import inverse_frequency, label_counts

    formula = inverse_frequency(label_counts(rows.label[rows.split == 0]))
    return ClassWeights(formula=formula, published=spec.published_weights)
