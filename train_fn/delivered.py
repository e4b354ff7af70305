"""The folder of a run that has ended, read back for use: its settings, its base, and its adapter on that base."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.model import Base, Detector, attach, commit_of, resolve_model
from train_fn.storage import Paths, read_json
from train_fn.values import build, read_yaml

SETTINGS, LORA, WEIGHTS = (
    "config.yaml",
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
)


@dataclass(frozen=True)
class DeliveredRun:
    """How a run trained, and on which commit of a Hub model; None where its base is a folder."""

    folder: Path
    train: TrainConfig
    revision: str | None

    @classmethod
    def open(cls, folder: Path) -> "DeliveredRun":
        """Raises InputError where the folder is not that of a finished run."""
        if missing := _missing(folder):
            found = f"has no {missing[0]}" if folder.is_dir() else "is not there"
            above = folder.absolute().parent  # of merged/ or adapter/
            other = "give another folder, or end the run with the command that began it"
            remedy = other if _missing(above) else f"give {above}"
            raise InputError(
                f"--run must be the folder of a run that has ended, such as output/qwen3-0.6b-2m, but {folder} "
                f"{found}; {remedy}"
            )
        settings = read_yaml(folder / SETTINGS).get("train")
        if not isinstance(settings, dict):
            raise InputError(f"{folder / SETTINGS} must hold a run's settings, but has no train section")
        lineage = folder / "lineage.json"
        told = _read(lineage).get("model_revision") if lineage.exists() else None
        revision = told or _read(folder / LORA).get("revision")
        return cls(folder, build(TrainConfig, settings, str(folder / SETTINGS)), revision)

    def base_folder(self) -> str:
        """Where the base model lies, the very one of the training. Raises InputError where it cannot be had."""
        name, wanted = self.train.model, self.revision
        if Path(name).is_absolute() and not Path(name).is_dir():
            raise InputError(
                f"the base model of {self.folder} must be at {name}, but is not; put it back there"
            )
        try:
            source = resolve_model(name, Paths(self.folder.absolute().parent), wanted)
        except InputError as error:
            at = f" at revision {wanted}" if wanted else ""
            raise InputError(f"{self.folder} needs its base model {name}{at}: {error}") from error
        commit = commit_of(wanted or "")  # None for a branch or tag
        if commit and commit_of(source) != commit:
            raise InputError(
                f"{self.folder} was trained on revision {commit} of its base model, but {source} is another one; "
                "its scores would mean nothing there. Put that revision back"
            )
        return source

    def detector(self, base: Base) -> Detector:
        """The run's LoRA matrices and head on its base. Raises InputError where they do not belong to it."""
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        file = self.folder / WEIGHTS
        try:
            saved = load_file(file)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file} must be a safetensors file, but: {error}; copy it again") from error
        detector = attach(base, self.train)
        wanted = get_peft_model_state_dict(detector.peft, save_embedding_layers=False)
        if _shapes(saved) != _shapes(wanted):
            odd = sorted({name for name, _ in _shapes(saved) ^ _shapes(wanted)})
            raise InputError(
                f"{file} must fit {self.train.model} at lora_rank {self.train.lora_rank}, but {len(odd)} of its "
                f"tensors do not, such as {odd[0]}; is {SETTINGS} that of another run?"
            )
        set_peft_model_state_dict(detector.peft, saved)
        return detector


def _missing(folder: Path) -> list[str]:
    """What a finished run's folder has and this one lacks."""
    return [name for name in (SETTINGS, LORA, WEIGHTS) if not (folder / name).is_file()]


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(read_json(file))
    except (ValueError, TypeError) as error:
        raise InputError(f"{file} must hold a JSON object, but: {error}; copy it again") from error


def _shapes(tensors: dict[str, Any]) -> set[tuple[str, tuple[int, ...]]]:
    return {(name, tuple(tensor.shape)) for name, tensor in tensors.items()}
