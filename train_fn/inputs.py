"""What every run needs before it starts: the model's files and the tokenised data."""

from pathlib import Path

from train_fn.cache import prepare
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.model import resolve_model
from train_fn.run_folder import Say, weights_lines
from train_fn.storage import Paths


def prepare_inputs(spec: DatasetSpec, config: TrainConfig, paths: Paths, say: Say) -> tuple[str, Path]:
    """Fetch the model and tokenise the set, once; returns their folders and says the class weights.

    Raises InputError.
    """
    model = resolve_model(config.model, paths, config.model_revision)
    data = prepare(
        spec,
        model=model,
        model_revision=config.model_revision,
        max_length=config.max_length,
        paths=paths,
        say=say,
    )
    for line in weights_lines(spec, config, data):
        say(line)
    return model, data
