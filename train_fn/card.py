"""README.md of a full run: a model card as the Hub reads it, written from the run's records alone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from train_fn.audit_facts import AuditFacts
from train_fn.audit_view import short_lines
from train_fn.audit_warnings import ascii_only
from train_fn.card_page import TEMPLATE, USE
from train_fn.config import LABELS, DatasetSpec
from train_fn.export import AGREEMENT, MERGED
from train_fn.model import TINY
from train_fn.run_folder import RunFolder
from train_fn.storage import read_json, write_text
from train_fn.values import read_yaml

CARD = "README.md"
RECORDS = ("metrics", "facts", "result", "sittings", "thresholds")
TITLES = {  # of metrics.json
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "tpr_at_fpr_5": "TPR at FPR 5 %, threshold from these rows",
    "tpr_at_fpr_1": "TPR at FPR 1 %, threshold from these rows",
    "log_loss": "log loss, nats",
    "ece": "calibration error (ECE)",
}
ON_THE_HUB = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "roc_auc": "auroc",
    "f1": "macro_f1",
}


def write_card(run: RunFolder, spec: DatasetSpec, license: str | None) -> None:
    """Write README.md of a finished run on that data set.

    `license` is the Hub's name of one, such as apache-2.0; None keeps the one that the card there states.
    """
    from huggingface_hub import ModelCard

    file = run.folder / CARD
    if license is None and file.exists():
        license = ModelCard.load(file).data.license
    lineage = read_json(run.folder / "lineage.json")
    header = _header(run, spec, lineage, license).to_yaml()
    write_text(file, ascii_only(f"---\n{header}\n---\n\n{_body(run, lineage, license)}"))


def _header(run: RunFolder, spec: DatasetSpec, lineage: Mapping[str, Any], license: str | None) -> Any:
    """The metadata; only what is on the Hub is named as the Hub's."""
    from huggingface_hub import EvalResult, ModelCardData

    test = read_json(run.folder / "metrics.json")["test"]
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=spec.hub_id or spec.name,
            dataset_name=spec.name,
            dataset_split="test",
            dataset_revision=lineage["dataset"]["revision"],
            metric_type=metric,
            metric_name=key,
            metric_value=test[key],
        )
        for metric, key in ON_THE_HUB.items()
    ]
    base = lineage["model"]
    return ModelCardData(
        base_model=None if base == TINY or Path(base).is_absolute() else base,
        library_name="transformers",
        pipeline_tag="text-classification",
        license=license,
        datasets=[spec.hub_id] if spec.hub_id else None,
        metrics=list(ON_THE_HUB),
        model_name=run.name,
        eval_results=results,
    )


def _body(run: RunFolder, lineage: Mapping[str, Any], license: str | None) -> str:
    """The page; what a run does not have, such as a search or thresholds, is left out of it."""
    from jinja2 import Environment, StrictUndefined

    audit = AuditFacts(**read_json(run.folder / "audit.json"))
    train = read_yaml(run.folder / "config.yaml")["train"]
    model = train.pop("model")
    base = Path(model).name if Path(model).is_absolute() else model  # nobody else has that path
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(whole="{:,}".format, share=_share)
    return environment.from_string(TEMPLATE).render(
        name=run.name,
        base="a tiny random Qwen3" if model == TINY else base,
        random=model == TINY,
        use=USE,
        titles=TITLES,
        labels=LABELS,
        lineage=lineage,
        data=lineage["dataset"],
        reason=lineage.get("reason", "").replace(model, base),
        train=train,
        settings=yaml.safe_dump(train, sort_keys=False).rstrip(),
        audit=[line[9:] for line in short_lines(audit) if not line.startswith("audit")],
        leaks=audit.leaks,
        merged=_read(run, f"{MERGED}/{AGREEMENT}"),
        evaluated=(run.folder / "evaluation.json").exists(),
        licence=license,
        chance=_chance,
        **{name: _read(run, f"{name}.json") for name in RECORDS},
    )


def _read(run: RunFolder, name: str) -> Any:
    """A record of the run; None where it has none."""
    file = run.folder / name
    return read_json(file) if file.exists() else None


def _chance(margin: float | None) -> float | None:
    """The score of a text with that difference of logits, as a pipeline gives it."""
    return None if margin is None else 1 / (1 + math.exp(-margin))


def _share(value: float | None, decimals: int = 4) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"
