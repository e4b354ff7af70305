"""Studies that cannot inform a search, through the command line: a message, exit code 2, the disk untouched."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from recorded import config_on, ended, make_study
from test_prior import TEN, find, library
from typer.testing import CliRunner

from search.config import SpaceConfig
from search.prior import keep_prior, may_go_on
from search.record import StudyConfig, TrialRecord
from search.study import Study
from search.tune import app
from train_fn.config import find_dataset
from train_fn.errors import InputError
from train_fn.storage import Paths


def refused(paths: Path, *words: str) -> str:
    """What the command says to a bad --from; it must leave the disk as it was."""
    before = sorted((path, path.stat().st_mtime_ns) for path in paths.rglob("*"))
    words = ("--dataset", "100k", *words, "--output", str(paths / "output"))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert sorted((path, path.stat().st_mtime_ns) for path in paths.rglob("*")) == before
    return str(done.stderr)


def test_a_prior_that_is_not_there_is_refused_with_what_is_there(tmp_path: Path) -> None:
    assert "neither; studies in" in (told := refused(tmp_path, "--from", "10k"))
    assert told.endswith(": none\nmake one: python search/tune.py --dataset 10k\n")
    library(tmp_path, a=("1M", list(TEN)), b=("2M", []))
    assert "'10kk' is neither" in (told := refused(tmp_path, "--from", "10kk"))
    assert "a (1M), b (2M)" in told
    assert "'' is neither" in refused(tmp_path, "--from", "")
    assert "the one to be searched" in refused(tmp_path, "--from", "a", "--study", "a")
    assert "'1M' is neither" in refused(
        tmp_path, "--from", "1M", "--study", "a"
    )  # its only study is this one


def bad_studies() -> dict[str, tuple[StudyConfig, list[TrialRecord], str]]:
    config = config_on("10k")
    space = SpaceConfig.model_validate({"learning_rate": {"low": 1e-6, "high": 1}})
    search = config.search.model_copy(update={"space": space})
    model = config.train.model_copy(update={"model": "some/model"})
    failed = [ended(n, None, "FAILED", came=0, cause="out of memory") for n in range(3)]
    return {
        "model": (config.model_copy(update={"train": model}), [*TEN], "is of some/model; see --model"),
        "space": (
            config.model_copy(update={"search": search}),
            [*TEN],
            "another; to search its own: --set space.learning_rate.low=1e-06 --set space.learning_rate.high=1.0\n",
        ),
        "one": (config, [TEN[0], failed[1]], "must have 2 complete trials or more, but has 1; go on with it"),
        "empty": (config, [], "but has 0"),
        "failed": (config, failed, "has failed trials only (out of memory); mend that"),
    }


@pytest.mark.parametrize("name", bad_studies())
def test_a_study_that_cannot_inform_the_search_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    config, records, want = bad_studies()[name]
    make_study(tmp_path / "output" / "studies" / name, records, config)
    assert want in refused(tmp_path, "--from", name)
    assert f"\n  {name} " in refused(tmp_path, "--from", "10k")
    make_study(tmp_path / "output" / "studies" / "a", [*TEN[:2]], config_on("10k"))
    assert find(Paths.of(tmp_path / "output"), "10k").study == "a"  # one that can is taken


def test_a_record_of_another_format_is_refused(tmp_path: Path) -> None:
    paths = library(tmp_path, old=("10k", list(TEN)), older=("10k", list(TEN)))
    rows = paths.studies / "old" / "trials.jsonl"
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps({**line, "params": {"lr": 1}}) + "\n" for line in lines))
    (paths.studies / "older" / "config.yaml").write_text("learning_rates: [1]\n")
    for name in ("old", "older"):
        assert f"{name} must be a record of this version, but:" in refused(tmp_path, "--from", name)
    assert "old must be a record" in refused(tmp_path, "--from", "10k")
    assert "older (unreadable)" in refused(tmp_path, "--from", "1M")


def test_a_search_that_may_have_begun_looks_for_its_prior_when_it_is_known_which_one_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, spec = library(tmp_path, a=("10k", list(TEN))), find_dataset("100k")
    new = make_study(paths.studies / "100k-1a2b3c4d", [], config_on("100k", prior="10k"))
    assert not may_go_on(paths, spec, None)
    keep_prior(new, find(paths, "10k"))
    shutil.rmtree(paths.studies / "a")
    assert may_go_on(paths, spec, None)
    assert may_go_on(paths, spec, new)
    assert not may_go_on(paths, spec, Study(paths.studies / "other"))
    assert not may_go_on(paths, find_dataset("1M"), None)

    def read(*_: Any) -> None:
        raise InputError("the data is read")

    monkeypatch.setattr("train_fn.inputs.prepare_inputs", read)
    assert "the data is read" in refused(tmp_path, "--from", "10k")
    assert "neither" in refused(tmp_path, "--from", "10k", "--study", "other")
