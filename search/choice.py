"""Which trial of which study to promote, and why."""

import dataclasses
from dataclasses import dataclass

from search.confirm import DEFAULT, Confirmed
from search.record import StudyConfig, TrialRecord
from search.space import Point
from search.study import Study, open_study
from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.storage import Paths
from train_fn.values import Frozen


@dataclass(frozen=True)
class Choice:
    """A trial to promote; `reason` is for the reader. `confirmed` is what chose it, where it was confirmed."""

    study: Study
    config: StudyConfig
    trial: TrialRecord
    reason: str
    confirmed: Confirmed | None = None

    @property
    def value(self) -> float | None:
        """Its validation log loss: the mean over the fresh seeds where it was confirmed, else the trial's own."""
        return self.confirmed.mean if self.confirmed else self.trial.value


class Candidate(Frozen):
    """A configuration that may be promoted. `value` is its validation log loss in the study, as `Choice` has it;
    None where it was not complete."""

    number: int
    trial_id: str
    params: Point
    value: float | None

    @property
    def name(self) -> str:
        return "the default" if self.number == DEFAULT else f"trial {self.number}"

    def at(self, learning_rate: float) -> "Candidate":
        """The same with another learning rate."""
        return self.model_copy(
            update={"params": self.params.model_copy(update={"learning_rate": learning_rate})}
        )


def find_best(
    paths: Paths, model: str, spec: DatasetSpec, study: str | None = None, trial: int | None = None
) -> Choice:
    """The confirmed winner of the best study: same base model, those that came beyond their start first, then
    more training rows, then grouped splits, whose log loss no leakage lowers, then confirmed ones, whose log loss
    no luck lowers, then lower log loss; the built-in sample's studies serve only the sample. One that cannot be
    read is passed over. An unconfirmed study has its best trial for a winner. `study`
    and `trial` (a number) choose others.

    Raises InputError that says which studies exist and how to make one.
    """
    if study is not None:
        return _in_study(open_study(paths, study), trial)
    if trial is not None:
        raise InputError("--trial needs --study: a number says nothing without its study")
    found = [choice for study in studies_in(paths) if (choice := _readable(study))]
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
    return dataclasses.replace(best, reason=f"{reason}; {best.reason}")


def ranked(choice: Choice) -> tuple[Candidate, ...]:
    """The candidates of a study, the best first: those of its confirmation by their mean over the fresh seeds,
    then the other complete trials by their own log loss. Whatever became of the default, it is one of them.
    """
    study, records, confirmed = choice.study, choice.study.records(), choice.confirmed
    points = {number: asked.params for number, asked in study.asked().items()}
    points |= {item.number: item.params for item in records}
    means = dict(zip(confirmed.candidates, confirmed.means, strict=True)) if confirmed else {}
    own = {
        item.number: item.value for item in records if item.status == "COMPLETE" and item.value is not None
    }
    values = {**own, **means}
    order = sorted(values, key=lambda number: (number not in means, values[number], number))
    return tuple(
        Candidate(
            number=number,
            trial_id=study.trial_id(number),
            params=points[number],
            value=values.get(number),
        )
        for number in dict.fromkeys([*order, *({DEFAULT} & points.keys())])
    )


def studies_in(paths: Paths) -> list[Study]:
    """Every study under the output folder, by name; none that a link leads to outside of it."""
    folders = [file.parent for file in sorted(paths.studies.glob("*/config.yaml"))]
    return [Study(folder) for folder in folders if not paths.leads_out(folder)]


def _rank(choice: Choice) -> tuple[bool, int, bool, bool, float]:
    config, value = choice.config, choice.value
    loss = float("inf") if value is None else value
    searched = len(choice.study.records()) >= min(config.search.trials, config.search.startup_trials + 1)
    rows, grouped = config.dataset.train_rows, config.train.splits == "grouped"
    return searched, rows, grouped, choice.confirmed is not None, -loss


def _readable(study: Study) -> Choice | None:
    """Its candidate; None where there is none, or where its record is damaged or of another version."""
    try:
        return _candidate(study)
    except InputError:
        return None


def _candidate(study: Study) -> Choice | None:
    if (best := study.winner()) is None:
        return None
    confirmed = best.confirmed if best.confirmed and best.confirmed.winner is not None else None
    return Choice(study, study.config(), best.trial, best.sentence, confirmed)


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
    if best := study.winner():
        trials[best.trial.number] = best.trial  # a default that won was perhaps stopped in the search
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
