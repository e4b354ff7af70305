"""README.md of a full run: a model card as the Hub reads it, written from the run's records alone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from train_fn.audit_facts import AuditFacts
from train_fn.audit_view import short_lines
from train_fn.audit_warnings import ascii_only
from train_fn.card_page import ADAPTER, PEFT, PIPELINE, TEMPLATE
from train_fn.card_tables import domains, figures, generators, number
from train_fn.config import LABELS, DatasetSpec
from train_fn.export import AGREEMENT, MERGED
from train_fn.judged import EVALUATION, Evaluation
from train_fn.model import TINY
from train_fn.run_folder import RunFolder
from train_fn.storage import read_json, write_text
from train_fn.thresholds import TARGETS
from train_fn.values import read_yaml

CARD, ADAPTER_FOLDER = "README.md", "adapter"
RECORDS = ("metrics", "facts", "result", "sittings", "thresholds")
ON_THE_HUB = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "roc_auc": "auroc",
    "f1": "macro_f1",
}


def write_card(run: RunFolder, spec: DatasetSpec, license: str | None) -> None:
    """Write README.md of a finished run on that data set, and that of its adapter.

    `license` is the Hub's name of one, such as apache-2.0; None keeps the one that the card there states.
    """
    license = license or stated_license(run)
    values = _values(run, license, None, merged=True)
    _write(run.folder / CARD, _header(run, spec, license, "transformers"), _render(TEMPLATE, values))
    page = _render(ADAPTER, {**values, "folder": ".", "card": "in the folder above"})
    _write(run.folder / ADAPTER_FOLDER / CARD, _header(run, spec, license, "peft", results=False), page)


def write_hub_card(run: RunFolder, spec: DatasetSpec, repository: str, folder: Path, *, merged: bool) -> None:
    """Write the card, and that of the adapter, as the repository on the Hub holds them. The run has its own.

    `merged`: the merged model lies at its root and the adapter in a folder; else the adapter lies at its root.
    """
    license = stated_license(run)
    values = _values(run, license, repository, merged=merged)
    header = _header(run, spec, license, "transformers" if merged else "peft")
    _write(folder / CARD, header, _render(TEMPLATE, values))
    if merged:
        page = _render(ADAPTER, {**values, "card": f"of {repository}"})
        _write(folder / ADAPTER_FOLDER / CARD, _header(run, spec, license, "peft", results=False), page)


def stated_license(run: RunFolder) -> str | None:
    """The licence in the card that is there; None where there is no card, or none in it."""
    from huggingface_hub import ModelCard

    file = run.folder / CARD
    found: str | None = ModelCard.load(file).data.license if file.exists() else None
    return found


def _write(file: Path, header: str, page: str) -> None:
    write_text(file, ascii_only(f"---\n{header}\n---\n\n{page}"))


def _header(
    run: RunFolder, spec: DatasetSpec, license: str | None, library: str, *, results: bool = True
) -> str:
    """The metadata; only what is on the Hub is named as the Hub's."""
    from huggingface_hub import ModelCardData

    base = read_json(run.folder / "lineage.json")["model"]
    return ModelCardData(
        base_model=None if base == TINY or Path(base).is_absolute() else base,
        library_name=library,
        pipeline_tag="text-classification",
        license=license,
        datasets=[spec.hub_id] if spec.hub_id else None,
        metrics=list(ON_THE_HUB) if results else None,
        model_name=run.name if results else None,
        eval_results=_results(run, spec) if results else None,
    ).to_yaml()


def _results(run: RunFolder, spec: DatasetSpec) -> list[Any]:
    """What the Hub lists beside a model."""
    from huggingface_hub import EvalResult

    test = read_json(run.folder / "metrics.json")["test"]
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=spec.hub_id or spec.name,
            dataset_name=spec.name,
            dataset_split="test",
            dataset_revision=read_json(run.folder / "lineage.json")["dataset"]["revision"],
            metric_type=metric,
            metric_name=key,
            metric_value=test[key],
        )
        for metric, key in ON_THE_HUB.items()
    ]


def _values(run: RunFolder, license: str | None, repository: str | None, *, merged: bool) -> dict[str, Any]:
    """What the pages say; what a run does not have, such as a search or thresholds, is None."""
    audit = AuditFacts(**read_json(run.folder / "audit.json"))
    lineage, train = read_json(run.folder / "lineage.json"), read_yaml(run.folder / "config.yaml")["train"]
    model = train.pop("model")
    base = Path(model).name if Path(model).is_absolute() else model  # nobody else has that path
    records = {name: _read(run, f"{name}.json") for name in RECORDS}
    agreement = _read(run, f"{MERGED}/{AGREEMENT}") if merged else None
    return {
        "name": run.name,
        "hub": repository,
        "model": repository or MERGED,
        "folder": repository or ADAPTER_FOLDER,
        "download": repository if agreement else None,
        "base": "a tiny random Qwen3" if model == TINY else base,
        "revision": f" at revision {lineage['model_revision']}" if lineage["model_revision"] else "",
        "random": model == TINY,
        "labels": LABELS,
        "lineage": lineage,
        "data": lineage["dataset"],
        "reason": lineage.get("reason", "").replace(model, base),
        "train": train,
        "settings": yaml.safe_dump(train, sort_keys=False).rstrip(),
        "audit": [line[9:] for line in short_lines(audit) if not line.startswith("audit")],
        "leaks": audit.leaks,
        "merged": agreement,
        "licence": license,
        **records,
        **_evaluated(run, records["metrics"]),
    }


def _evaluated(run: RunFolder, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of figures, from evaluation.json where it is there."""
    told = _read(run, EVALUATION)
    found = Evaluation(**told) if told else None
    by_domain = {percent: domains(found.operation[key]) for key, percent in TARGETS.items()} if found else {}
    return {
        "evaluation": found,
        "figures": figures(metrics, found),
        "domains": {percent: rows for percent, rows in by_domain.items() if rows},
        "generators": generators(found.operation) if found else [],
    }


def _render(template: str, values: Mapping[str, Any]) -> str:
    """A page, its two snippets filled in first."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(whole="{:,}".format, number=number)
    snippets = {
        name: environment.from_string(text).render(values)
        for name, text in {"pipeline": PIPELINE, "peft": PEFT}.items()
    }
    return environment.from_string(template).render(values, **snippets, chance=_chance)


def _read(run: RunFolder, name: str) -> Any:
    """A record of the run; None where it has none."""
    file = run.folder / name
    return read_json(file) if file.exists() else None


def _chance(margin: float | None) -> float | None:
    """The score of a text with that difference of logits, as a pipeline gives it."""
    return None if margin is None else 1 / (1 + math.exp(-margin))
