"""What W&B holds of a delivered detector: the model, where it comes from, and that `wandb sync` sends it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from folders import write_sample
from recorded import make_study, twenty
from tracking_runs import KEY, offline
from wandb_files import OfflineRun, read_runs
from wandb_server import serve

from train_fn.config import TrainConfig
from train_fn.delivered import DeliveredRun
from train_fn.run_folder import RunFolder
from train_fn.storage import Paths, read_json, write_json
from train_fn.tracking_delivery import track_delivery
from train_fn.train import main
from train_fn.values import read_yaml

SETTINGS = ("max_length=64", "epochs=1", "batch_size=16", "evaluations=2", "eval_before_rows=16")
SECRET = "a-value-of-the-environment"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny detector, trained by the command without merged/, which keeps the weights of every evaluation."""
    folder = tmp_path_factory.mktemp("delivery")
    with pytest.MonkeyPatch.context() as patch:
        offline(patch, folder)
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("SOME_VARIABLE", SECRET)
        words = ["--dataset", str(write_sample(folder / "rows")), "--model", "tiny", "--max-rows", "64"]
        words += ["--output", str(folder / "output"), "--no-merged", "--set", "wandb_log_model=all"]
        assert main([*words, *(word for pair in SETTINGS for word in ("--set", pair))]) == 0
        yield folder


def run_of(place: Path) -> RunFolder:
    return RunFolder(place / "output" / "qwen3-tiny-rows", place / "logs" / "qwen3-tiny-rows")


@pytest.fixture(scope="module")
def delivery(place: Path) -> OfflineRun:
    """What the command itself wrote of the delivery."""
    return read_runs(place / "logs")[1]


@pytest.fixture(scope="module")
def promoted(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OfflineRun]:
    """The same detector as a promotion leaves it: from a trial of a study, with merged/ beside it."""
    folder = tmp_path_factory.mktemp("promoted")
    paths = Paths(folder / "output")
    study = make_study(paths.studies / "s", twenty())
    found = run_of(place)
    run = RunFolder(paths.output / found.name, folder / "logs" / found.name)
    shutil.copytree(found.folder, run.folder)
    lineage = read_json(run.folder / "lineage.json")
    write_json(
        run.folder / "lineage.json", {**lineage, "study": study.name, "trial_id": "s-0007", "trial": 7}
    )
    (run.folder / "merged").mkdir()
    (run.folder / "merged" / "model.safetensors").write_bytes(bytes(1000))
    write_json(run.folder / "merged" / "agreement.json", {"largest": 0.01})
    track_delivery(run, config_of(run), tokenized(place), paths)
    (told,) = read_runs(folder / "logs")
    return folder, told


def config_of(run: RunFolder, **changes: Any) -> TrainConfig:
    return TrainConfig(**{**read_yaml(run.folder / "config.yaml")["train"], **changes})


def tokenized(place: Path) -> Path:
    (meta,) = (place / "tokenized_cache" / "rows").glob("*/meta.json")
    return meta.parent


def test_the_training_keeps_the_weights_of_its_evaluations(place: Path, delivery: OfflineRun) -> None:
    training = read_runs(place / "logs")[0]
    assert (training.job_type, delivery.job_type) == ("train", "delivery")
    assert delivery.id == f"{training.id}-delivery"
    kept = training.made("checkpoint")
    assert [found.metadata["progress"] for found in kept] == [50, 100]
    assert {tuple(found.files) for found in kept} == {("position.json", "weights.safetensors")}
    assert all(path.stat().st_size for found in kept for path in found.files.values())
    assert delivery.made("checkpoint") == []


def test_the_model_holds_all_that_predict_needs(delivery: OfflineRun, tmp_path: Path) -> None:
    (model,) = delivery.made("model")
    assert {"README.md", "thresholds.json", "evaluation.json", "lineage.json"} <= set(model.files)
    for name, path in model.files.items():  # as `wandb artifact get` does
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / name)
    assert DeliveredRun.open(tmp_path).train.max_length == 64


def test_a_delivery_has_its_figures_and_curves_on_test(place: Path, delivery: OfflineRun) -> None:
    metrics = read_json(run_of(place).folder / "metrics.json")
    assert delivery.summary["test"] == metrics["test"]
    assert delivery.summary["tfidf_balanced_accuracy"] == metrics["tfidf_balanced_accuracy"]
    assert set(delivery.summary["thresholds"]) == {"fpr_5", "fpr_1"}
    counts = [row["nPredictions"] for row in delivery.table("confusion_matrix")]
    assert counts == [count for row in metrics["test"]["confusion_matrix"] for count in row]
    assert delivery.table("roc")[-1] == {"class": "AI_Generated", "fpr": 1, "tpr": 1}
    assert delivery.table("pr")[-1]["recall"] == 1
    assert (delivery.exit_code, delivery.summary["status"]) == (0, "COMPLETE")


def test_a_promoted_model_leads_back_to_trial_study_and_data(promoted: tuple[Path, OfflineRun]) -> None:
    run = promoted[1]
    (model,), (study,), (data,) = run.made("model"), run.used("study"), run.used("dataset")
    assert (model.metadata["study"], model.metadata["trial_id"], run.group) == ("s", "s-0007", "s")
    assert model.metadata["dataset"]["fingerprint"] == data.metadata["fingerprint"]
    assert {"revision", "split_hash"} <= set(data.metadata)
    assert set(study.files) == {"config.yaml", "trials.jsonl", "best.json"}
    assert study.metadata == {"study": "s"}
    assert "command" not in model.metadata


def test_of_a_merged_model_only_the_comparison_is_sent(promoted: tuple[Path, OfflineRun]) -> None:
    (model,) = promoted[1].made("model")
    assert [name for name in model.files if name.startswith("merged")] == ["merged/agreement.json"]


def test_without_log_model_a_delivery_has_its_lineage_and_no_files(place: Path, tmp_path: Path) -> None:
    found = run_of(place)
    run, paths = RunFolder(found.folder, tmp_path / "logs"), Paths(place / "output")
    track_delivery(run, config_of(run, wandb_log_model="none"), tokenized(place), paths)
    (told,) = read_runs(tmp_path)
    assert told.made("model") == []
    assert len(told.used("dataset")) == 1
    assert told.config["lineage"]["dataset"]["name"] == "rows"


def test_wandb_sync_uploads_the_model_and_says_what_it_was_made_from(
    promoted: tuple[Path, OfflineRun],
) -> None:
    folder, run = promoted
    (model,), (study,), (data,) = run.made("model"), run.used("study"), run.used("dataset")
    with serve() as received:
        told = {"WANDB_BASE_URL": received.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
        words = [str(Path(sys.executable).parent / "wandb"), "sync", str(run.folder)]
        done = subprocess.run(words, env={**os.environ, **told}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {model.name, study.name, data.name} <= received.committed
    assert received.used == {study.name, data.name}
    weights = folder / "output" / "qwen3-tiny-rows" / "adapter" / "adapter_model.safetensors"
    assert received.sizes["adapter/adapter_model.safetensors"] == weights.stat().st_size
    assert received.exit_codes == {run.id: 0}


def test_no_secret_is_in_any_file(place: Path, promoted: tuple[Path, OfflineRun]) -> None:
    files = [path for folder in (place, promoted[0]) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.suffix == ".wandb" for path in files) >= 3
    assert any("artifacts" in path.parts for path in files)
    for path in files:
        data = path.read_bytes()
        assert KEY.encode() not in data, path
        assert SECRET.encode() not in data, path


def test_a_delivery_that_cannot_be_tracked_is_one_warning(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = run_of(place)
    run = RunFolder(shutil.copytree(found.folder, tmp_path / found.name), tmp_path / "logs")
    (run.folder / "predictions.parquet").unlink()
    track_delivery(run, config_of(run), tokenized(place), Paths(tmp_path))
    (warning,) = [record for record in caplog.records if record.name == "train_fn.tracking"]
    assert "record on disk is complete" in warning.message
