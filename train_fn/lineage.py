"""lineage.json: where a full run comes from."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from train_fn.config import TrainConfig
from train_fn.run_folder import RunFolder, settings_of
from train_fn.storage import PROJECT, read_json, write_json
from train_fn.tokenized import Meta

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "ray", "optuna", "wandb")


def write_lineage(run: RunFolder, meta: Meta, train: TrainConfig, origin: Mapping[str, Any]) -> None:
    """lineage.json: from which trial, on which data, with which versions."""
    facts = read_json(run.folder / "facts.json")
    write_json(
        run.folder / "lineage.json",
        {
            "run": run.name,
            **origin,
            "model": train.model,
            "model_revision": facts["model_revision"],
            "dataset": settings_of(train, meta)["dataset"],
            "rows": {name: split.rows for name, split in meta.splits.items()},
            "seed": train.seed,
            "versions": {"python": platform.python_version(), **_versions()},
            "command": [*_script(), *sys.argv[1:]],
        },
    )


def _script() -> list[str]:
    """The script as it is called from the project's folder, or the command that an installation made of it."""
    script = Path(sys.argv[0]).absolute()
    if script.is_relative_to(PROJECT) and script.suffix == ".py":
        return ["python", script.relative_to(PROJECT).as_posix()]
    return [script.name]


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
