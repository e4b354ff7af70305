"""Which trial of which study to promote, and why."""

from dataclasses import dataclass
from pathlib import Path

from search.record import StudyConfig, TrialRecord, best_of
from search.study import Study, open_study
from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.storage import Paths


@dataclass(frozen=True)
class Choice:
    """A trial to promote; `reason` is for the reader."""

    study: Study
    config: StudyConfig
    trial: TrialRecord
    reason: str


def find_best(
    paths: Paths, model: str, spec: DatasetSpec, study: str | None = None, trial: int | None = None
) -> Choice:
    """The best trial of the best study: same base model, more training rows first, then grouped splits, whose
    log loss no leakage lowers, then lower log loss; the built-in sample's studies serve only the sample. `study`
    and `trial` (a number) choose others.

    Raises InputError that says which studies exist and how to make one.
    """
    if study is not None:
        return _in_study(open_study(paths, study), trial)
    if trial is not None:
        raise InputError("--trial needs --study: a number says nothing without its study")
    found = [choice for folder in _folders(paths) if (choice := _candidate(Study(folder)))]
    fit = [
        choice
        for choice in found
        if choice.config.train.model == model and (spec.builtin or not choice.config.dataset.builtin)
    ]
    if not fit:
        raise _nothing(paths, model, spec, found)
    best = max(fit, key=_rank)
    others = f"the largest of {len(fit)} studies" if len(fit) > 1 else "the only study"
    reason = (
        f"{others} of {model}: {best.config.dataset.name}, {best.config.dataset.train_rows} training rows"
    )
    return Choice(best.study, best.config, best.trial, f"{reason}; {best.reason}")


def _folders(paths: Paths) -> list[Path]:
    return sorted(file.parent for file in paths.studies.glob("*/config.yaml"))


def _rank(choice: Choice) -> tuple[int, bool, float]:
    config = choice.config
    return config.dataset.train_rows, config.train.splits == "grouped", -_value(choice.trial)


def _value(trial: TrialRecord) -> float:
    return float("inf") if trial.value is None else trial.value


def _candidate(study: Study) -> Choice | None:
    records = study.records()
    best = best_of(records)
    if best is None:
        return None
    reason = f"trial {best.number} has the lowest validation log loss of its {len(records)} trials, "
    return Choice(study, study.config(), best, f"{reason}{_value(best):.4f}")


def _in_study(study: Study, number: int | None) -> Choice:
    if not (study.folder / "config.yaml").exists():
        names = ", ".join(folder.name for folder in sorted(study.folder.parent.glob("*"))) or "none"
        raise InputError(f"there is no study {study.name}; there are: {names}")
    if number is None:
        choice = _candidate(study)
        if choice is None:
            raise InputError(f"study {study.name} has no complete trial yet; continue its search first")
        return choice
    trials = {record.number: record for record in study.records() if record.status == "COMPLETE"}
    if number not in trials:
        there = ", ".join(map(str, sorted(trials))) or "none"
        raise InputError(f"study {study.name} has no complete trial {number}; complete trials: {there}")
    return Choice(study, study.config(), trials[number], f"trial {number}, as chosen")


def _nothing(paths: Paths, model: str, spec: DatasetSpec, found: list[Choice]) -> InputError:
    lines = [
        f"\n  {choice.study.name}: {choice.config.dataset.name}, {choice.config.train.model}"
        for choice in found
    ]
    there = "".join(lines) or " none"
    return InputError(
        f"no study to promote to {spec.name}: one of the base model {model} with a complete trial is needed"
        f"{'' if spec.builtin else ', not of the built-in sample'}.\n"
        f"studies with complete trials in {paths.studies}:{there}\n"
        f"make one: python search/tune.py --dataset {'sample' if spec.builtin else '100k'}"
    )
