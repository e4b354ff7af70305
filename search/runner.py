"""Run a search: Ray Tune, our sampler, the scheduler and our trials around one study's record.

A search has no state but the record: started on a study with the same settings it continues it, whatever
ended the one before, and a larger number of trials extends it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.cluster import check_machines
from search.config import SearchConfig
from search.confirm import TOP
from search.foreseen import Foresee, settle, sitting, unforeseen
from search.guard import record_texts
from search.interrupt import Interrupt, interruptible, stopper
from search.leftover import passed
from search.lost import survived
from search.machine import Slots, slots_of, some_ray
from search.prior import find_prior, keep_prior, may_go_on, prior_of
from search.record import DataInfo, StudyConfig
from search.shelter import DIED
from search.space import check_space
from search.store import Store
from search.study import Study, open_study
from search.tuner import run_configuration, run_tune, scratch_folder, tune_configuration
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.errors import Fault, disk_full, no_space
from train_fn.room import check_room, search_bytes
from train_fn.storage import Paths

if TYPE_CHECKING:
    from search.sampler import StudySearch
    from train_fn.inputs import Inputs

Say = Callable[[str], None]
Ready = Callable[[Slots], None]  # the last look before the first trial; raises InputError
Watch = Callable[[Study, StudyConfig, Slots], list[Any]]  # the Tune callbacks that show the search


@dataclass(frozen=True)
class Outcome:
    """How a search ended; `interrupted` is the reason, or "" when it is through."""

    study: Study
    interrupted: str = ""
    signalled: bool = False


def run_search(
    spec: DatasetSpec,
    train: TrainConfig,
    search: SearchConfig,
    *,
    paths: Paths,
    name: str | None,
    say: Say,
    watch: Watch,
    prior: str | None = None,
    foresee: Foresee = unforeseen,
    store: Store | None = None,
) -> Outcome:
    """Search from the data to the winner. `name` is the study's, None for one made of the settings; `prior` is
    the study, or the data set of the study, that informs a new one; `foresee` is asked before anything is
    started, and may set the number of trials; `store` keeps a copy.

    Raises InputError, and OSError when the record cannot be written.
    """
    study, config, inputs = _planned(spec, train, search, paths, name, prior, say)
    if store:
        store.fetch(study.folder)
    begun_with = prior_of(study, config, paths)
    say(f"study    {study.name}: {study.folder}")
    study.check_config(config)
    study.unfinished(), study.reruns()  # a damaged record is told before anything is written
    config, foreseen = foresee(study, config, inputs)
    with study.locked():
        if store:
            store.keep(study.folder)
        study.adopt_config(config)
        if begun_with:
            say(keep_prior(study, begun_with))
        inputs.keep_audit(study.folder)
        foreseen.keep(study.folder)
        record_texts(study, spec, train, inputs, paths, say)
        study.repair()
        ready = _readiness(study, config, inputs, paths)
        outcome = fit(study, config, _constants(study, config, inputs, paths), watch=watch, ready=ready)
        if not outcome.interrupted:
            settle(study.folder, say)
        return outcome


def _planned(
    spec: DatasetSpec,
    train: TrainConfig,
    search: SearchConfig,
    paths: Paths,
    name: str | None,
    prior: str | None,
    say: Say,
) -> tuple[Study, StudyConfig, "Inputs"]:
    """The study, which need not exist yet, and its settings; what can be refused early is."""
    from train_fn.groups import find_groups
    from train_fn.inputs import prepare_inputs
    from train_fn.rows import HALVES, training_data
    from train_fn.tokenized import open_set

    check_space(search.space, train)
    study = open_study(paths, name) if name else None
    if prior is not None and not may_go_on(paths, spec, study):
        find_prior(paths, prior, train, search, name)  # a bad --from is told before the data is read
    inputs = prepare_inputs(spec, train, paths, say)
    train = inputs.pinned(train)
    find_groups(inputs.source, spec.slug, paths, say)  # the halves of validation follow them
    training_data(train, open_set(inputs.data), "trial")  # too few validation rows would fail every trial
    info = data_info(spec, train, inputs.data)
    config = StudyConfig(dataset=info, train=train, search=search, prior=prior, halves=HALVES)
    return study or open_study(paths, config.default_name(spec)), config, inputs


def _constants(study: Study, config: StudyConfig, inputs: "Inputs", paths: Paths) -> dict[str, Any]:
    """What every trial of the study is given."""
    info = config.dataset
    return {
        "data": str(inputs.data),
        "model": inputs.model,
        "train": config.train.model_dump(mode="json"),
        "about": {"dataset": info.name, "dataset_revision": info.revision, "train_rows": info.train_rows},
        "tags": [info.name, "search"],
        "logs": str(paths.logs / study.name),
    }


def _readiness(study: Study, config: StudyConfig, inputs: "Inputs", paths: Paths) -> Ready:
    """Asked when the machines are known: all of them must reach the record, and the disk must hold what comes."""

    def ready(slots: Slots) -> None:
        model, logs = Path(inputs.model), paths.logs / study.name
        if config.search.address:
            logs.mkdir(parents=True, exist_ok=True)
            check_machines((study.folder, logs), (inputs.data, model))
        largest = {"lora_rank": int(config.search.space.lora_rank.high)}
        runs = config.search.trials + (TOP + 1) * config.search.confirm_seeds
        left = max(0, runs - len(study.records()) - len(study.reruns()))
        needed = search_bytes(model, config.train.model_copy(update=largest), slots.count, left)
        check_room(study.folder, needed, "checkpoints and adapters")

    return ready


def data_info(spec: DatasetSpec, train: TrainConfig, folder: Path) -> DataInfo:
    """What the set is that was tokenised into `folder`."""
    from train_fn.tokenized import open_set

    meta = open_set(folder).meta
    rows = meta.splits["train"].rows
    return DataInfo(
        name=spec.name,
        builtin=spec.builtin,
        source=meta.source,
        revision=meta.revision,
        fingerprint=meta.fingerprint,
        train_rows=min(rows, train.max_rows or rows),
    )


def fit(
    study: Study,
    config: StudyConfig,
    constants: dict[str, Any],
    *,
    watch: Watch,
    ready: Ready = lambda slots: None,
    trainable: type | None = None,
) -> Outcome:
    """Run what is left of a study whose lock is held. `trainable` is Trial unless a test has its own."""
    ended = study.records()
    if len(ended) >= config.search.trials and not study.confirmation().missing:
        return Outcome(study)
    with (
        sitting(study.folder),
        some_ray(config.search.address) as machines,
        scratch_folder(study) as scratch,
        interruptible(study, config.search.time_budget) as interrupt,
    ):
        from search.sampler import StudySearch
        from search.scheduler import Asha
        from search.trial import Trial

        slots = slots_of(config.search, machines)
        ready(slots)
        space = {
            **constants,
            "study": str(study.folder),
            "resources": slots.resources,
            "hang_seconds": config.search.hang_minutes * 60,
        }
        left = {trial.number: passed(study.folder_of(trial)) for trial in study.unfinished()}
        scheduler = Asha(config.search, ended, left)
        sampler = StudySearch(study, config, interrupt.stopping, scheduler.causes)
        stop = stopper(lambda: interrupt.overdue() or sampler.failure is not None)
        run_config = run_configuration(scratch, stop, watch(study, config, slots))
        with _explained(study, sampler, interrupt), survived():
            run_tune(trainable or Trial, space, tune_configuration(sampler, scheduler, slots), run_config)
        return Outcome(study, interrupt.reason, interrupt.signalled)


@contextmanager
def _explained(study: Study, sampler: "StudySearch", interrupt: Interrupt) -> Iterator[None]:
    """Raise what ended Tune in the block, in the words of who knows more of it than Tune."""
    raised: Exception | None = None
    try:
        yield
    except Exception as error:
        raised = error
    if sampler.failure:
        raise sampler.failure from raised
    if interrupt.reason == DIED:
        raise Fault(f"{DIED}; the same command goes on: nothing finished is lost") from raised
    if raised:
        raise Fault(no_space(study.folder)) if disk_full(raised) else raised
