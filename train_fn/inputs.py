"""What every run needs before it starts: the model's files, the tokenised data, and what is known against them."""

from dataclasses import dataclass
from pathlib import Path

from train_fn.audit_facts import AuditFacts
from train_fn.audit_run import audit_prepared
from train_fn.audit_view import short_lines
from train_fn.cache import prepare
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.model import resolve_model
from train_fn.run_folder import Say, weights_lines
from train_fn.storage import Paths, write_json


@dataclass(frozen=True)
class Inputs:
    """The folders of the model and of the tokenised data, and the data's audit."""

    model: str
    data: Path
    audit: AuditFacts

    def keep_audit(self, folder: Path) -> None:
        """Put audit.json beside the results that rest on this data."""
        write_json(folder / "audit.json", self.audit.model_dump(mode="json"))


def prepare_inputs(spec: DatasetSpec, config: TrainConfig, paths: Paths, say: Say) -> Inputs:
    """Fetch the model, tokenise the set and judge it, each once; says the leakage and the class weights.

    Raises InputError.
    """
    model = resolve_model(config.model, paths, config.model_revision)
    data = prepare(
        spec,
        model=model,
        model_revision=config.model_revision,
        max_length=config.max_length,
        splits=config.splits,
        split_seed=config.split_seed,
        paths=paths,
        say=say,
    )
    audit = audit_prepared(spec, config, data, paths, say, full=False)
    for line in (*short_lines(audit), *weights_lines(spec, config, data)):
        say(line)
    return Inputs(model, data, audit)
