"""The folder of one full run: its name, whose settings it holds, where it came from, and what stands in it."""

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from train_fn.baseline import MAX_ROWS, tfidf_baseline
from train_fn.config import NO_NUMBER, DatasetSpec, Splits, TrainConfig
from train_fn.errors import InputError
from train_fn.locks import only_one
from train_fn.source import Source
from train_fn.storage import Paths, read_json, write_json, write_text
from train_fn.thresholds import THRESHOLDS
from train_fn.tokenized import Meta
from train_fn.values import read_yaml

Say = Callable[[str], None]
REPLACING = ".replacing"  # while a command with --replace is not through: what it has trained is its own


def run_name(model: str, spec: DatasetSpec, splits: Splits) -> str:
    """Qwen/Qwen3-0.6B on 2M -> qwen3-0.6b-2m; on its grouped splits -> qwen3-0.6b-2m-grouped."""
    name = "qwen3-tiny" if model == "tiny" else Path(model).name.lower()
    return f"{name}-{spec.slug}{'' if splits == 'published' else f'-{splits}'}"


@dataclass(frozen=True)
class RunFolder:
    """Where one full run lives: its results and its logs."""

    folder: Path
    logs: Path

    @classmethod
    def of(cls, paths: Paths, name: str) -> "RunFolder":
        """Raises InputError where a link there leads out of the output folder."""
        return cls(paths.inside(paths.output / name), paths.logs / name)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def run_id(self) -> str:
        """The run's id in W&B: a resumed run keeps it, a replaced one gets another."""
        return (self.folder / "run_id").read_text(encoding="utf-8")

    @property
    def finished(self) -> bool:
        return (self.folder / "result.json").exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only command at this run. Raises InputError that names the one at work. The lock lies beside the
        folder, which may go."""
        busy = f"{self.folder} is being trained by {{}}; wait for it, end it, or use another --output"
        with only_one(self.folder.parent / f".{self.name}.lock", busy):
            yield

    def goes_on(self, settings: Mapping[str, Any], *, replace: bool, undecided: Collection[str] = ()) -> bool:
        """Whether what stands in the folder is this run; else it is empty, or to be replaced.

        A run that was begun with --replace and killed goes on with the same command: one of equal settings that is
        unfinished, or finished and not delivered yet, is never replaced. The run itself finds the `undecided` of
        its training's settings.

        Raises InputError when the folder holds a run of other settings.
        """
        file = self.folder / "config.yaml"
        another = self.finished and not (self.folder / REPLACING).exists()
        if not file.exists() or (replace and another):
            return False
        try:
            there = read_yaml(file)
        except InputError:
            if replace:  # what cannot be read is no run of these settings
                return False
            raise
        settings = _as_found(settings, there, undecided)
        lines = sorted(_differences(_deciding(there), _deciding(settings)))
        if lines and not replace:
            state = "a finished" if self.finished else "an unfinished"
            raise InputError(
                f"{self.folder} holds {state} run of other settings:\n  " + "\n  ".join(lines) + "\n"
                "give its settings to continue it, --output for another place, or --replace to discard it"
            )
        return not lines

    def claim(self, settings: Mapping[str, Any], *, replace: bool, undecided: Collection[str] = ()) -> None:
        """Make the folder this run's. What it found of the `undecided` settings stands. Raises as `goes_on`."""
        if self.goes_on(settings, replace=replace, undecided=undecided):
            settings = _as_found(settings, read_yaml(self.folder / "config.yaml"), undecided)
        elif replace:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        if replace:
            (self.folder / REPLACING).touch()
        self.logs.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "run_id").exists():
            write_text(self.folder / "run_id", f"{self.name}-{uuid.uuid4().hex[:8]}")
        self._write_config(settings)

    def decide(self, values: Mapping[str, Any]) -> None:
        """Record what the run found of the settings that were undecided."""
        self._write_config(_with_train(read_yaml(self.folder / "config.yaml"), values))

    def told(self) -> dict[str, Any]:
        """What a program reads at the end of a run."""
        return {
            "run": self.name,
            "folder": str(self.folder),
            "logs": str(self.logs),
            "metrics": read_json(self.folder / "metrics.json"),
            "thresholds": read_json(self.folder / THRESHOLDS),
        }

    def _write_config(self, settings: Mapping[str, Any]) -> None:
        text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=False)
        write_text(self.folder / "config.yaml", "# config.yaml: resolved, as the run used it\n" + text)


def _with_train(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, "train": {**settings["train"], **values}}


def _as_found(
    settings: Mapping[str, Any], there: Mapping[str, Any], undecided: Collection[str]
) -> dict[str, Any]:
    """The settings with what the run that stands `there` found of the `undecided` ones."""
    return _with_train(settings, {key: there["train"].get(key) for key in undecided})


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that decide no number."""
    return {**settings, "promotion": None, "train": {**settings.get("train", {}), **dict.fromkeys(NO_NUMBER)}}


def _differences(there: Any, given: Any, key: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(given, dict):
        names = sorted({*there, *given})
        return [
            line for n in names for line in _differences(there.get(n), given.get(n), f"{key}.{n}".strip("."))
        ]
    return [] if there == given else [f"{key}: {there} in the folder, {given} now"]


def settings_of(train: TrainConfig, meta: Meta, **more: Any) -> dict[str, Any]:
    """What config.yaml of a run holds; equal settings are the same run."""
    data = {
        "name": meta.dataset,
        "source": meta.source,
        "revision": meta.revision,
        "fingerprint": meta.fingerprint,
        "split_hash": meta.split_hash,
    }
    return {"dataset": data, **more, "train": train.model_dump(mode="json")}


def add_baseline(
    run: RunFolder, source: Source, spec: DatasetSpec, train: TrainConfig, paths: Paths, say: Say
) -> None:
    """Put TF-IDF's balanced accuracy, fitted on the same rows, beside the detector's in metrics.json."""
    from train_fn.batching import stratified_subset
    from train_fn.contamination import left_out_file, scored_rows
    from train_fn.rows import SEED
    from train_fn.splits import load_assigned

    found = read_json(run.folder / "metrics.json")
    if "tfidf_balanced_accuracy" in found:
        return
    say("test     fitting TF-IDF with logistic regression on the same rows, to stand beside the detector")
    splits = load_assigned(source, spec.slug, paths, train.splits, train.split_seed, say).splits
    labels = splits["train"].with_format("numpy")["label"][:]
    rows = splits["train"].select(stratified_subset(labels, train.max_rows, SEED))
    test = splits["test"].select(scored_rows("test", len(splits["test"]), left_out_file(run.folder)))
    found["tfidf_rows"] = {"train": min(len(rows), MAX_ROWS), "test": min(len(test), MAX_ROWS)}
    found["tfidf_balanced_accuracy"] = tfidf_baseline(
        rows["text"], rows["label"], test["text"], test["label"]
    )
    write_json(run.folder / "metrics.json", found)


def summary(run: RunFolder) -> list[str]:
    """What a person reads at the end of a run."""
    found = read_json(run.folder / "metrics.json")
    before, after = found.get("test_before") or {}, found["test"]
    lines = []
    for key in ("balanced_accuracy", "auroc", "tpr_at_fpr_5", "tpr_at_fpr_1", "log_loss", "ece"):
        start = f"{before[key]:.4f} before, " if before.get(key) is not None else ""
        lines.append(f"test     {key}: {start}{after[key]:.4f} after training")
    fitted = " on {train:,} train and {test:,} test rows".format(**found["tfidf_rows"])
    lines.append(f"test     balanced accuracy of TF-IDF: {found['tfidf_balanced_accuracy']:.4f}{fitted}")
    lines.append(f"logs     {run.logs}")
    return lines
