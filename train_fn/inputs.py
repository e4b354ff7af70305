"""What every run needs before it starts: the model's files, the tokenised data, and what is known against them."""

from dataclasses import dataclass
from pathlib import Path

from train_fn.audit_facts import AuditFacts
from train_fn.audit_run import judged
from train_fn.audit_view import short_lines
from train_fn.cache import prepare
from train_fn.config import LABELS, DatasetSpec, TrainConfig
from train_fn.model import commit_of, resolve_model
from train_fn.run_folder import Say
from train_fn.source import Source, find_source
from train_fn.storage import Paths, write_json


@dataclass(frozen=True)
class Inputs:
    """The rows that were found, the folders of the model and of the tokenised data, and the data's audit."""

    source: Source
    model: str
    data: Path
    audit: AuditFacts

    def pinned(self, config: TrainConfig) -> TrainConfig:
        """The configuration with the commit of the base that was found, for what comes later must have the same;
        a base that is a folder has none."""
        return config.model_copy(update={"model_revision": commit_of(self.model) or config.model_revision})

    def keep_audit(self, folder: Path) -> None:
        """Put audit.json beside the results that rest on this data."""
        write_json(folder / "audit.json", self.audit.model_dump(mode="json"))


def prepare_inputs(spec: DatasetSpec, config: TrainConfig, paths: Paths, say: Say) -> Inputs:
    """Fetch the model, tokenise the set and judge it, each once; says the leakage and the class weights.

    Raises InputError.
    """
    inputs = _prepare(spec, config, paths, say, full=False)
    for line in (*short_lines(inputs.audit), *weights_lines(spec, config, inputs.data)):
        say(line)
    return inputs


def audit(spec: DatasetSpec, config: TrainConfig, paths: Paths, say: Say, full: bool) -> AuditFacts:
    """Tokenise the set, find its groups and judge it. `full` adds the shortcut check and the cost of leakage.

    Raises InputError.
    """
    return _prepare(spec, config, paths, say, full).audit


def _prepare(spec: DatasetSpec, config: TrainConfig, paths: Paths, say: Say, full: bool) -> Inputs:
    """The set is looked up once: on the Hub it may be another one a moment later."""
    source = find_source(spec, paths=paths)
    model = resolve_model(config.model, paths, config.model_revision)
    data = prepare(source, spec, config, model, paths, say)
    return Inputs(source, model, data, judged(source, spec, config, data, paths, say, full))


def weights_lines(spec: DatasetSpec, train: TrainConfig, data: Path) -> list[str]:
    """The class weights of a run on the tokenised `data`, the formula's and the published ones, and the counts."""
    from train_fn.cache import open_set
    from train_fn.loss import label_counts, weight_facts
    from train_fn.rows import training_data

    used = training_data(train, open_set(data))
    facts = weight_facts(label_counts(used.train.labels[used.train_rows]), used.weights)
    lines = []
    for number, label in enumerate(LABELS):
        published = spec.published_weights
        told = f", published {published[number]:.4f}" if published else ""
        lines.append(
            f"weight   {label}: {facts[f'class_weight_{label}']:.4f} for {facts[f'train_rows_{label}']:,} rows "
            f"(formula {facts[f'inverse_frequency_{label}']:.4f}{told})"
        )
    return lines
