"""What a search takes over from an earlier study: which one, what of it, and that it is kept."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_trial import config_of
from recorded import config_on, ended, make_study, twenty

from search.prior import find_prior, keep_prior, prior_of, read_prior, spelled
from search.record import TrialRecord, record_of
from search.space import Point
from search.study import Study
from train_fn.config import DatasetSpec, TrainConfig
from train_fn.errors import InputError
from train_fn.storage import Paths, read_json

TEN = ended(0, 0.4), *(ended(n, 0.4 - n / 100, point=(1e-4 + n / 1e5, 8, 16.0)) for n in range(1, 9))


def library(tmp_path: Path, **studies: tuple[str, list[TrialRecord]]) -> Paths:
    """Studies by name, each on a set with these trials."""
    paths = Paths.of(tmp_path / "output")
    for name, (dataset, records) in studies.items():
        make_study(paths.studies / name, records, config_on(dataset))
    return paths


def find(paths: Paths, name: str, **changes: Any) -> Any:
    config = config_on("100k", **changes)
    return find_prior(paths, name, config.train, config.search, None)


def test_a_name_is_a_study_and_else_a_set_whose_study_with_the_most_complete_trials_is_taken(
    tmp_path: Path,
) -> None:
    many = [*TEN[:3], *(ended(n, 0.5, "PRUNED", came=10) for n in range(3, 9))]
    paths = library(tmp_path, a=("10k", [*TEN[:5]]), b=("10k", [*TEN[:5]]), c=("10k", many))
    assert (
        find(paths, "10k").study == "b"
    )  # of equals the later name; c has more trials, not more complete ones
    assert find(paths, "10K").study == "b"
    assert find(paths, "a").study == "a"
    make_study(paths.studies / "10k", [*TEN[:2]], config_on("1M"))
    assert find(paths, "10k").study == "10k"  # a study's name comes first


def test_what_is_taken_is_the_ended_trials_and_the_best_points_without_the_default(tmp_path: Path) -> None:
    records = [*TEN[:4], ended(4, 0.9, "PRUNED", came=30, point=(9e-4, 8, 16.0))]
    records += [ended(5, 0.8, "PRUNED", came=10, point=(8e-4, 8, 16.0)), ended(6, None, "FAILED", came=0)]
    prior = find(library(tmp_path, a=("10k", records)), "a")
    assert (prior.dataset, prior.train_rows, len(prior.trials)) == ("10k", 7983, 7)
    assert [trial.status for trial in prior.trials] == [record.status for record in records]
    assert prior.trials[3].curve[-1] == (100, records[3].value)
    assert prior.trials[4].curve == records[4].curve
    ranked = [records[n].params for n in (3, 2, 1, 4, 5)]  # trial 0 is the default, the next ones were pruned
    assert list(prior.enqueued) == ranked
    assert list(find(Paths.of(tmp_path / "output"), "a", prior_top=2).enqueued) == ranked[:2]


def test_the_confirmed_winner_stands_first(tmp_path: Path) -> None:
    study = make_study(tmp_path / "output" / "studies" / "a", [*TEN[:4]], config_on("10k", confirm_seeds=1))
    for number, seed in study.confirmation().missing:
        row = {"progress": 100, "objective": 0.1 if number == 1 else 0.5, "status": "COMPLETE"}
        study.end(record_of(study.ask_again(number, seed), [row]))
    prior = find(Paths.of(tmp_path / "output"), "a")
    assert list(prior.enqueued) == [TEN[n].params for n in (1, 3, 2)]


def test_a_run_that_patience_ended_counts_as_complete_at_100_percent() -> None:
    from search.prior import Tried

    early = ended(1, 0.3).model_copy(update={"curve": ((10, 0.5), (60, 0.3), (60, 0.29)), "value": 0.29})
    assert Tried.of(early).curve == ((10, 0.5), (60, 0.3), (60, 0.29), (100, 0.29))


def test_what_was_taken_is_kept_whatever_becomes_of_the_earlier_study(tmp_path: Path) -> None:
    paths = library(tmp_path, a=("10k", [*TEN[:4]]))
    new, config = Study(paths.studies / "new"), config_on("100k", prior="10k")
    first = prior_of(new, config, paths)
    assert first
    assert keep_prior(new, first).startswith("prior    a: 4 trials on 10k (7,983 training rows)")
    kept = (new.folder / "prior.json").read_bytes()
    assert read_json(new.folder / "prior.json")["enqueued"][0] == TEN[3].params.model_dump()

    Study(paths.studies / "a").end(TEN[8])
    make_study(paths.studies / "b", list(TEN), config_on("10k"))
    assert prior_of(new, config, paths) == first
    assert prior_of(Study(paths.studies / "newer"), config, paths) != first
    shutil.rmtree(paths.studies / "a")
    shutil.rmtree(paths.studies / "b")
    assert prior_of(new, config, paths) == read_prior(new) == first
    keep_prior(new, first.model_copy(update={"study": "another"}))
    assert (new.folder / "prior.json").read_bytes() == kept
    assert prior_of(new, config_on("100k"), paths) is None


def test_a_broken_prior_json_is_told_and_not_made_anew(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", [])
    assert read_prior(study) is None
    for text in ("{", '{"study": "a"}'):
        (study.folder / "prior.json").write_text(text)
        with pytest.raises(InputError, match=r"(?s)prior.json must say .*; put the file back"):
            read_prior(study)


def test_identity_and_name_change_with_a_prior_and_are_what_they_were_without(tmp_path: Path) -> None:
    spec, plain = DatasetSpec(name="2M"), config_of(4)
    assert plain.default_name(spec) == "2m-de33d718"  # as before there were priors
    assert not {"prior", "prior_top"} & plain.identity.keys()
    assert config_of(4, prior_top=3).default_name(spec) == plain.default_name(spec)
    begun = [plain.model_copy(update={"prior": prior}) for prior in ("10k", "10k-1a2b3c4d")]
    begun.append(config_of(4, prior_top=3).model_copy(update={"prior": "10k"}))
    assert len({config.default_name(spec) for config in (plain, *begun)}) == 4

    study = make_study(tmp_path / "s", [], begun[0])
    assert study.config() == begun[0]
    study.adopt_config(begun[0])
    with pytest.raises(
        InputError, match=r"prior: 10k in the study, None now\n  prior_top: 5 in the study, None"
    ):
        study.adopt_config(plain)


def test_a_study_from_before_there_were_priors_still_loads(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", [])
    file = study.folder / "config.yaml"
    values = yaml.safe_load(file.read_text())
    del values["prior"], values["search"]["prior_top"]
    file.write_text(yaml.safe_dump(values))
    assert study.config() == config_of(20)
    study.adopt_config(config_of(20))


def test_a_sets_name_is_spelled_in_one_way() -> None:
    assert [spelled(name) for name in ("10K", "1m", "1M", "My-Study")] == ["10k", "1M", "1M", "My-Study"]


def test_the_prior_of_a_real_looking_study_is_ordered_by_how_good_its_trials_were(tmp_path: Path) -> None:
    prior = find(library(tmp_path, a=("10k", twenty())), "a")
    losses = {record.params: record.value for record in twenty() if record.status == "COMPLETE"}
    best = [losses[point] for point in prior.enqueued]
    assert best == sorted(losses.values())[:5]
    assert Point.of(TrainConfig()) not in prior.enqueued
