"""The commands that make a study again, and its promotion: every setting that is not the default's is in them."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from search.config import resolve_search
from search.report_facts import Facts
from train_fn.config import DatasetSpec, find_dataset, known_datasets, resolve_train
from train_fn.storage import Paths

FLAGS = {
    "model": "--model",
    "max_rows": "--max-rows",
    "seed": "--seed",
    "gpus_per_trial": "--gpus-per-trial",
    "confirm_seeds": "--confirm-seeds",
}
TARGET = "2M"


def tune_command(facts: Facts, paths: Paths) -> str:
    """The search: on a study that is there it continues it, in another --output it makes it anew."""
    config, spec = facts.config, _spec(facts)
    words = ["--dataset", str(spec.path or spec.name), "--trials", str(config.search.trials)]
    words += ["--from", config.prior] if config.prior is not None else []
    if facts.name != config.default_name(spec):
        words += ["--study", facts.name]
    given = {**config.train.model_dump(mode="json"), **_flat(config.search.model_dump(mode="json"))}
    usual = {
        **resolve_train(spec, {}).model_dump(mode="json"),
        **_flat(resolve_search({}, section=spec.search).model_dump(mode="json")),
    }
    for key, value in given.items():
        if value != usual[key] and key not in ("trials", "time_budget"):  # --trials says how long
            flag = FLAGS.get(key) if value is not None else None
            words += [flag, str(value)] if flag else ["--set", f"{key}={json.dumps(value)}"]
    return _line("search/tune.py", words, paths)


def promote_command(facts: Facts, paths: Paths) -> str | None:
    """The winner's full run; None where there is no winner."""
    if facts.best is None:
        return None
    target = facts.config.dataset.name if facts.config.dataset.builtin else TARGET
    words = ["--study", facts.name, "--trial", str(facts.best.number), "--dataset", target]
    return _line("search/promote.py", words, paths)


def report_command(facts: Facts, paths: Paths) -> str:
    """This report."""
    return _line("search/report.py", ["--study", facts.name], paths)


def _line(script: str, words: list[str], paths: Paths) -> str:
    where = [] if paths == Paths.of(None) else ["--output", str(paths.output)]
    return shlex.join(["python", script, *words, *where])


def _spec(facts: Facts) -> DatasetSpec:
    """The data set as the study's search saw it; a folder's need not be there any more."""
    data = facts.config.dataset
    if data.name in known_datasets() and (data.builtin or data.revision):
        return find_dataset(data.name)
    return DatasetSpec.model_validate({"name": data.name, "path": data.source})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
