"""What W&B holds of a study: the trials, what tells them apart, and the report; a failure is one line."""

from pathlib import Path

import pytest
from recorded import make_study, twenty
from tracking_runs import offline
from wandb_files import OfflineRun, read_runs

from search.report_page import write_report
from search.study import Study
from search.tracked import track_study
from train_fn.storage import Paths
from train_fn.tracking_delivery import study_files


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return Paths(tmp_path_factory.mktemp("study") / "output")


@pytest.fixture(scope="module")
def study(paths: Paths) -> Study:
    found = make_study(paths.studies / "s", twenty())
    write_report(found, paths)
    return found


@pytest.fixture(scope="module")
def told(study: Study, paths: Paths) -> OfflineRun:
    with pytest.MonkeyPatch.context() as patch:
        offline(patch, paths.logs)
        track_study(study, paths, interrupted=False)
    (run,) = read_runs(paths.logs)
    return run


def test_the_study_is_a_run_of_its_group(told: OfflineRun) -> None:
    assert (told.id, told.group, told.job_type, told.exit_code) == ("s-study", "s", "study", 0)
    assert told.config["search"]["trials"] == 20
    assert told.config["dataset"]["name"] in told.tags


def test_the_table_holds_every_trial_as_the_record_does(told: OfflineRun, study: Study) -> None:
    rows = {row["trial"]: row for row in told.table("trials")}
    assert list(rows) == list(range(20))
    for record in study.records():
        row = rows[record.number]
        assert {key: row[key] for key in record.params.model_dump()} == record.params.model_dump()
        assert (row["state"], row["log_loss"], row["cause"]) == (record.status, record.value, record.cause)
        assert row["accuracy"] == record.metrics.get("accuracy")


def test_importance_parallel_coordinates_and_the_report_are_shown(told: OfflineRun, study: Study) -> None:
    bars = told.table("importance_end")
    assert {row["parameter"] for row in bars} == {"learning rate", "rank", "alpha / rank"}
    assert sum(row["importance"] for row in bars) == pytest.approx(1)
    assert told.preset("importance_end") == "wandb/bar/v0"
    assert told.preset("importance_rung") == "wandb/bar/v0"
    assert told.page("parallel_coordinates").startswith("<svg")
    assert told.page("report") == (study.folder / "report.html").read_text(encoding="utf-8")


def test_the_summary_names_the_winner_and_says_how_sure_it_is(told: OfflineRun, study: Study) -> None:
    best = min(
        (item for item in study.records() if item.status == "COMPLETE"), key=lambda item: item.value or 1
    )
    assert told.summary["best"]["trial_id"] == best.trial_id
    assert told.summary["best"]["learning_rate"] == best.params.learning_rate
    assert told.summary["verdict"].startswith(f"Trial {best.number} has ")
    assert sum(told.summary["trials"].values()) == 20


def test_the_record_is_the_artifact_that_a_promotion_uses(told: OfflineRun, study: Study) -> None:
    (made,) = told.made("study")
    wanted = study_files(study.folder)
    assert (made.name, set(made.files)) == (wanted.name, set(wanted.paths))
    assert made.files["trials.jsonl"].read_bytes() == (study.folder / "trials.jsonl").read_bytes()


def test_an_interrupted_search_of_one_trial_is_shown_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch, tmp_path)
    paths = Paths(tmp_path / "output")
    study = make_study(paths.studies / "s", twenty()[:1])
    write_report(study, paths)
    track_study(study, paths, interrupted=True)
    (run,) = read_runs(paths.logs)
    assert (len(run.table("trials")), run.exit_code) == (1, 255)
    assert "needs at least 8 trials" in str(run.summary["importance"])


@pytest.mark.parametrize("trouble", ["no report", "no folder"])
def test_a_failure_is_one_warning_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    offline(monkeypatch, tmp_path)
    paths = Paths(tmp_path / "output")
    study = make_study(paths.studies / "s", twenty()[:1])
    if trouble == "no folder":
        write_report(study, paths)
        paths.logs.write_text("")  # in the way of the folder
    track_study(study, paths, interrupted=False)
    (warning,) = [record for record in caplog.records if record.name == "train_fn.tracking"]
    assert "record on disk is complete" in warning.message


def test_nothing_is_done_where_tracking_is_off(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    track_study(study, Paths(tmp_path / "output"), interrupted=False)
    assert list(tmp_path.iterdir()) == []
