"""A search begun from another's study, with real Ray, Tune and Optuna around a training that a formula stands in
for (fake_trial.py)."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from fake_trial import config_of, search_fake
from recorded import config_on, ended, make_study
from test_runner import optuna_view, rows_of, start, starts, wait_for

from search.draw import draw
from search.fidelity_file import write_fidelity
from search.prior import keep_prior, prior_of, read_prior
from search.sampler import StudySearch
from search.study import Study
from train_fn.storage import Paths, read_json


@pytest.fixture(autouse=True)
def _workers_find_fake_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


def test_the_sampler_asks_for_the_priors_points_and_shows_optuna_its_own_trials_alone(tmp_path: Path) -> None:
    paths, config = Paths(tmp_path), config_on("100k", prior="small")
    small = [ended(0, 0.9), *(ended(n, 0.1 * n, point=(n / 1e4, 8, 16.0)) for n in range(1, 4))]
    make_study(paths.studies / "small", small, config_on("10k"))
    new = make_study(paths.studies / "new", [], config)
    prior = prior_of(new, config, paths)
    assert prior
    keep_prior(new, prior)
    search = StudySearch(new, config, lambda: False, {})
    asked = [search.suggest(name) for name in "abcd"]
    points = [record.params.model_dump() for record in small]
    assert [isinstance(trial, dict) and trial["params"] for trial in asked] == points
    assert [number for number, _, _ in optuna_view(new)] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_search_begun_from_another_is_killed_and_goes_on_though_that_one_is_gone(tmp_path: Path) -> None:
    studies, search = tmp_path / "studies", {"grace_percent": 100}
    search_fake(studies / "small", 7, {}, **search)
    small, new = Study(studies / "small").records(), Study(studies / "new")

    process = start(new.folder, 8, {"seconds": 1.0}, prior="fake", **search)
    wait_for(lambda: rows_of(new, 2) >= 2, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept, prior = (new.folder / "prior.json").read_bytes(), read_prior(new)
    assert prior
    assert len(prior.trials) == 7
    best = sorted(small[1:], key=lambda record: record.value or 0)
    assert list(prior.enqueued) == [record.params for record in best[:5]]
    shutil.rmtree(studies / "small")

    search_fake(new.folder, 8, {}, prior="fake", **search)
    records = sorted(new.records(), key=lambda record: record.number)
    assert [record.params for record in records[:6]] == [small[0].params, *prior.enqueued]
    settings = config_of(8, **search)
    for number in (6, 7):
        drawn = draw(settings.search, settings.train.seed, number, records[:number], [], prior)
        assert records[number].params == drawn
    assert [state for _, state, _ in optuna_view(new)] == [
        "COMPLETE"
    ] * 8  # the view has its own trials alone
    assert [len(starts(new, number)) for number in range(8)] == [1, 1, 2, 1, 1, 1, 1, 1]
    assert (new.folder / "prior.json").read_bytes() == kept

    (line,) = write_fidelity(new)
    assert line.startswith("fidelity small predicts new here: tau 1.00")  # one formula, so one order
    assert read_json(new.folder / "fidelity.json")["shared"] == 6
    before = (new.folder / "trials.jsonl").read_bytes()
    search_fake(new.folder, 9, {}, prior="fake", **search)
    assert (new.folder / "trials.jsonl").read_bytes().startswith(before)
    assert len(new.records()) == 9
