"""What a search takes over from an earlier one: `--from` finds that study, and prior.json keeps what was taken.

What was taken is fixed when the new study begins, so it goes on alike whatever becomes of the earlier one.
"""

from collections.abc import Iterable
from typing import Literal

from search.choice import studies_in
from search.config import Bounds, SearchConfig, SpaceConfig
from search.record import StudyConfig, TrialRecord
from search.space import Point
from search.study import Study
from train_fn.config import DatasetSpec, TrainConfig, known_datasets
from train_fn.errors import InputError
from train_fn.storage import Paths, read_json, write_json
from train_fn.values import Frozen, summed_up

FILE = "prior.json"
LEAST = 2  # complete trials: one is not better than any other


class Tried(Frozen):
    """A configuration that was tried. `value` is the validation log loss (nats), None when it failed; `curve`
    holds (percent of the run, lowest log loss so far), and that of a complete one ends at 100 percent."""

    params: Point
    status: Literal["COMPLETE", "PRUNED", "FAILED"]
    value: float | None
    curve: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, record: TrialRecord) -> "Tried":
        """An ended trial; one that patience ended before 100 percent is as good as it would be there."""
        curve = record.curve
        if record.status == "COMPLETE" and record.value is not None:
            curve = (*(point for point in curve if point[0] < 100), (100, record.value))
        return cls(params=record.params, status=record.status, value=record.value, curve=curve)


class Prior(Frozen):
    """prior.json: the ended trials of study `study`, by number, and the points to try first, the best first."""

    study: str
    dataset: str
    train_rows: int
    trials: tuple[Tried, ...]
    enqueued: tuple[Point, ...]


def best_first(trials: Iterable[Tried]) -> list[Tried]:
    """Without the failed ones: complete trials by their log loss, then pruned ones, the further first."""
    valued = [
        (-trial.curve[-1][0], trial.curve[-1][1], trial) for trial in trials if trial.status != "FAILED"
    ]
    return [trial for _, _, trial in sorted(valued, key=lambda item: item[:2])]


def best_points(ranked: Iterable[Tried], default: Point, top: int) -> list[Point]:
    """The first `top` points, each once, without the default: that is trial 0 anyway."""
    return [point for point in dict.fromkeys(trial.params for trial in ranked) if point != default][:top]


def spelled(name: str) -> str:
    """A data set's name as its configuration spells it, so that `1m` and `1M` make the same study."""
    return next((known for known in known_datasets() if known.lower() == name.lower()), name)


def find_prior(paths: Paths, name: str, train: TrainConfig, search: SearchConfig, own: str | None) -> Prior:
    """What the search `train`, `search` takes from the study of that name, else from the study of that data set
    with the most complete trials (of equals the later name). `own` is the new study's name, where it is known.

    Raises InputError when there is no such study or none that fits.
    """
    if name == own:
        raise InputError(
            f"--from must name an earlier study, but {name} is the one to be searched; leave it out"
        )
    there = studies_in(paths)
    meant = [study for study in there if study.name == name] or [
        study for study in there if study.name != own and _dataset(study).lower() == name.lower()
    ]
    troubles = {study.name: _trouble(study, train, search) for study in meant}
    fit = [study for study in meant if not troubles[study.name]]
    if not meant:
        raise _nothing(paths, name, there)
    if not fit:
        told = "".join(f"\n  {trouble}" for trouble in troubles.values())
        raise InputError(f"--from {name}: no study there can inform this search:{told}")
    return _taken(max(fit, key=lambda study: (_complete(study), study.name)), train, search)


def may_go_on(paths: Paths, spec: DatasetSpec, study: Study | None) -> bool:
    """Whether the search may be one that has begun: `study`, else some study of that set, has a prior.json."""
    if study:
        return (study.folder / FILE).exists()
    return any(paths.studies.glob(f"{spec.slug[:50]}-*/{FILE}"))


def prior_of(study: Study, config: StudyConfig, paths: Paths) -> Prior | None:
    """What the study was begun with, else what it would be begun with now. Raises InputError."""
    if config.prior is None:
        return None
    return read_prior(study) or find_prior(paths, config.prior, config.train, config.search, study.name)


def keep_prior(study: Study, prior: Prior) -> str:
    """Write prior.json of a study that begins; returns a line on it for the reader."""
    if not (study.folder / FILE).exists():
        write_json(study.folder / FILE, prior.model_dump(mode="json"))
    return (
        f"prior    {prior.study}: {len(prior.trials)} trials on {prior.dataset} ({prior.train_rows:,} training "
        f"rows) as they were when this study began; its best {len(prior.enqueued)} are tried first"
    )


def read_prior(study: Study) -> Prior | None:
    """What the study was begun with; None for one without a prior. Raises InputError."""
    file = study.folder / FILE
    try:
        return Prior.model_validate(read_json(file)) if file.exists() else None
    except ValueError as error:
        raise InputError(
            f"{file} must say what the study was begun with, but: {summed_up(error)}; put the file back, or begin "
            "another study with --study"
        ) from error


def _taken(study: Study, train: TrainConfig, search: SearchConfig) -> Prior:
    config = study.config()
    trials = [Tried.of(record) for record in sorted(study.records(), key=lambda record: record.number)]
    winner = study.winner()
    first = [Tried.of(winner.trial)] if winner else []
    return Prior(
        study=study.name,
        dataset=config.dataset.name,
        train_rows=config.dataset.train_rows,
        trials=tuple(trials),
        enqueued=tuple(best_points([*first, *best_first(trials)], Point.of(train), search.prior_top)),
    )


def _trouble(study: Study, train: TrainConfig, search: SearchConfig) -> str:
    """Why the study cannot inform the search, and what to do; "" when it can."""
    try:
        config, records = study.config(), study.records()
        study.winner()
    except (InputError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        return f"{study.name} must be a record of this version, but: {reason}; search it anew"
    if config.train.model != train.model:
        return f"{study.name} must be of the base model {train.model}, but is of {config.train.model}; see --model"
    if config.search.space != search.space:
        words = _space_words(config.search.space, search.space)
        return f"{study.name} must have searched the same space, but has another; to search its own: {words}"
    if records and all(record.status == "FAILED" for record in records):
        return f"{study.name} has failed trials only ({records[0].cause}); mend that and search it anew"
    if _complete(study) < LEAST:
        return (
            f"{study.name} must have {LEAST} complete trials or more, but has {_complete(study)}; go on with it: "
            f"its own command, with a larger --trials than {config.search.trials} if it is through"
        )
    return ""


def _space_words(there: SpaceConfig, here: SpaceConfig) -> str:
    """The flags that make `here` the space that is `there`."""
    ends = [(name, end) for name in SpaceConfig.model_fields for end in Bounds.model_fields]
    values = [
        (name, end, *(getattr(getattr(space, name), end) for space in (there, here))) for name, end in ends
    ]
    return " ".join(
        f"--set space.{name}.{end}={theirs}" for name, end, theirs, ours in values if theirs != ours
    )


def _complete(study: Study) -> int:
    return sum(record.status == "COMPLETE" for record in study.records())


def _dataset(study: Study) -> str:
    """The name of a study's data set; "" when its configuration cannot be read."""
    try:
        return study.config().dataset.name
    except InputError:
        return ""


def _nothing(paths: Paths, name: str, there: list[Study]) -> InputError:
    found = ", ".join(f"{study.name} ({_dataset(study) or 'unreadable'})" for study in there) or "none"
    dataset = name if name in known_datasets() else "10k"
    return InputError(
        f"--from takes a study or the data set of one, but {name!r} is neither; studies in {paths.studies}: "
        f"{found}\nmake one: python search/tune.py --dataset {dataset}"
    )
