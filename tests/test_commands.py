"""The user's two literal commands, unchanged, against a stand-in for the Hub: small files under the real names."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, commit, env
from wandb_files import read_runs

from train_fn.sample import sample_rows
from train_fn.storage import LOSSES, PROJECT, RELATED, read_json, read_lines
from train_fn.tiny import write_tiny_model

TUNE = "python search/tune.py --dataset 100k"
PROMOTE = "python search/promote.py --best --dataset 2M"
ROWS = {"train": 128, "validation": 40, "test": 40}
DUMMY_KEY = "5ec12e7" + "d" * 33  # the length of a W&B key
DUMMY_TOKEN = "hf_" + "Dummy" * 6
REAL_KEYS = re.compile(rb"hf_[A-Za-z]{34}|wandb_v1_[A-Za-z0-9_]{40,}|-----BEGIN [A-Z ]*PRIVATE KEY")
COLUMNS = ("domain_name", "model", "text", "label")


@dataclass(frozen=True)
class Place:
    """A copy of the project, so that its default folders are the test's own."""

    root: Path
    hub: Path
    ray: Path
    tune: str
    promote: str

    @property
    def study(self) -> Path:
        (folder,) = (self.root / "output" / "studies").iterdir()
        return folder

    @property
    def run(self) -> Path:
        return self.root / "output" / "qwen3-0.6b-2m"


def serve(root: Path) -> None:
    rows = sample_rows()
    for name, offset in (("raid_aligned_100k", 0), ("raid_aligned_2000k", 300)):
        for split, count in ROWS.items():
            path = root / "datasets" / "codefactory4791" / name / "data" / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            start = offset if split == "train" else 0
            columns = zip(*rows[split][start : start + count], strict=True)
            table = pa.table(dict(zip(COLUMNS, map(list, columns), strict=True)))
            pq.write_table(table, path)
    write_tiny_model(root / "models" / "Qwen" / "Qwen3-0.6B")


def run(command: str, root: Path, environment: dict[str, str]) -> str:
    words = [sys.executable, *command.split()[1:]]
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(hub: Hub | str, place: Path, ray: Path) -> dict[str, str]:
    return {
        **env(hub, place / "home"),
        "PYTHONPATH": str(place / "project"),
        "WANDB_MODE": "offline",
        "WANDB_API_KEY": DUMMY_KEY,
        "HF_TOKEN": DUMMY_TOKEN,
        "RAY_TMPDIR": str(ray),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("literal")
    ray = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # a socket's path must stay under 107 characters
    root = base / "project"
    for name in ("search", "train_fn", "configs"):
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    serve(base / "hub")
    with Hub(base / "hub") as hub:
        told = environment(hub, base, ray)
        place = Place(root, base / "hub", ray, run(TUNE, root, told), run(PROMOTE, root, told))
    yield place
    shutil.rmtree(ray, ignore_errors=True)


def test_the_search_runs_its_trials_and_names_the_next_command(place: Place) -> None:
    rows = read_lines(place.study / "trials.jsonl")
    assert [row["number"] for row in rows] == list(range(20))
    assert rows[0]["params"] == {"learning_rate": 1e-4, "lora_rank": 16, "lora_alpha": 32.0}
    assert {row["status"] for row in rows} <= {"COMPLETE", "PRUNED"}
    best = read_json(place.study / "best.json")
    lowest = sorted(row["value"] for row in rows if row["status"] == "COMPLETE")[:3]
    assert best["number"] == best["confirmed"]["winner"]
    assert best["number"] == 0 or best["value"] in lowest
    assert "python search/promote.py --best --dataset 2M" in place.tune
    assert "winner" in place.tune
    assert "default" in place.tune
    assert f"report   {place.study / 'report.html'}" in place.tune
    assert f"report   {place.study / 'report.html'}" in place.promote


def test_the_best_trials_and_the_default_are_confirmed_on_two_fresh_seeds(place: Place) -> None:
    runs, best = read_lines(place.study / "confirm.jsonl"), read_json(place.study / "best.json")
    judged = best["confirmed"]["candidates"]
    assert sorted((run["number"], run["seed"]) for run in runs) == [(n, s) for n in judged for s in (43, 44)]
    assert 0 in judged
    for run in runs:
        folder = place.study / "confirm" / f"{run['number']:04d}-{run['seed']}"
        losses, group = (np.load(folder / name) for name in (LOSSES, RELATED))
        assert losses.mean(dtype=np.float64) == pytest.approx(run["value"], rel=1e-6)
        assert len(losses) == len(group) == ROWS["validation"] - best["metrics"]["rows"]  # no trial's rows
    assert f"verdict  {best['sentence']}" in place.tune
    assert best["sentence"] in place.promote


def test_every_trial_leaves_its_parameters_and_a_complete_one_its_files(place: Place) -> None:
    for row in read_lines(place.study / "trials.jsonl"):
        folder = place.study / "trials" / f"{row['number']:04d}"
        assert read_json(folder / "params.json")["params"] == row["params"]
        assert not (folder / "checkpoints").exists()
        if row["status"] == "COMPLETE":
            assert {"adapter", "metrics.json", "curve.jsonl"} <= {path.name for path in folder.iterdir()}


def test_the_optuna_view_agrees_with_the_record(place: Place) -> None:
    storage = f"sqlite:///{place.study / 'optuna.db'}"
    study = optuna.load_study(study_name=None, storage=storage)
    told = {trial.number: trial.state.name for trial in study.trials}
    assert told == {row["number"]: row["status"] for row in read_lines(place.study / "trials.jsonl")}


def test_the_promotion_takes_the_winner_to_all_rows_and_keeps_its_lineage(place: Place) -> None:
    best, lineage = read_json(place.study / "best.json"), read_json(place.run / "lineage.json")
    assert lineage["trial_id"] == best["trial_id"]
    assert lineage["params"] == best["params"]
    served = place.hub / "datasets" / "codefactory4791" / "raid_aligned_2000k"
    assert lineage["dataset"]["revision"] == commit(served)
    assert lineage["model_revision"] == commit(place.hub / "models" / "Qwen" / "Qwen3-0.6B")
    assert lineage["rows"] == ROWS
    assert best["trial_id"] in place.promote


def test_the_promotion_leaves_what_it_promises(place: Place) -> None:
    metrics = read_json(place.run / "metrics.json")
    assert {"before", "after", "test_before", "test", "tfidf_balanced_accuracy"} <= metrics.keys()
    assert metrics["test"]["rows"] == ROWS["test"]
    names = {path.name for path in place.run.iterdir()}
    assert {"adapter", "config.yaml", "confusion_matrix.json", "confusion_matrix.png"} <= names
    assert {"evaluation.json", "thresholds.json"} <= names
    assert "achieved FPR" in place.promote or "human validation texts" in place.promote
    predictions = pq.read_table(place.run / "predictions.parquet").to_pandas()
    assert len(predictions) == ROWS["validation"] + ROWS["test"]
    assert predictions["probability_ai"].between(0, 1).all()
    config = read_json(place.run / "adapter" / "adapter_config.json")
    assert config["base_model_name_or_path"] == "Qwen/Qwen3-0.6B"
    assert (place.root / "logs" / "qwen3-0.6b-2m" / "run.log").exists()


def test_wandb_holds_a_run_for_every_trial_and_one_for_the_promotion(place: Place) -> None:
    files = (place.study / "trials.jsonl", place.study / "confirm.jsonl")
    rows = {row["trial_id"]: row for file in files for row in read_lines(file)}
    runs = {found.id: found for found in read_runs(place.root / "logs" / place.study.name)}
    study = runs.pop(f"{place.study.name}-study")
    assert (study.job_type, runs.keys()) == ("study", rows.keys())
    for name, found in runs.items():
        assert found.job_type == "trial"
        assert found.group == place.study.name
        assert "100k" in found.tags
        assert ("confirm" in found.tags) == ("seed" in rows[name])
        assert found.config["learning_rate"] == pytest.approx(rows[name]["params"]["learning_rate"])
        # Two steps after the rung these trials are through: some end by themselves before they can be stopped.
        ended = {rows[name]["status"], *(["COMPLETE"] if rows[name]["status"] == "PRUNED" else [])}
        assert found.summary["status"] in ended
        assert any("validation/log_loss" in line for line in found.history)
    kinds = {found.job_type: found for found in read_runs(place.root / "logs" / "qwen3-0.6b-2m")}
    assert kinds.keys() == {"promotion", "delivery"}
    promotion = kinds["promotion"]
    assert promotion.config["trial_id"] == read_json(place.study / "best.json")["trial_id"]


def test_no_secret_is_left_anywhere(place: Place) -> None:
    searched = 0
    for base in (place.root, place.hub.parent / "home", place.ray):
        for path in base.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                searched += 1
                assert DUMMY_KEY.encode() not in data, path
                assert DUMMY_TOKEN.encode() not in data, path
                assert not REAL_KEYS.search(data), path
    assert searched > 100
    assert list(place.ray.rglob("*.log")), "Ray's session folder was not searched"
    assert DUMMY_KEY not in place.tune + place.promote


@pytest.mark.slow
def test_both_commands_run_again_offline_and_from_any_directory(place: Place, tmp_path: Path) -> None:
    offline = environment("http://127.0.0.1:9", place.root.parent, place.ray) | {"HF_HUB_OFFLINE": "1"}
    before = (place.study / "trials.jsonl").read_bytes()
    here = f"python {place.root}/search/"
    told = run(f"{here}tune.py --dataset 100k --trials 21", tmp_path, offline)
    after = (place.study / "trials.jsonl").read_bytes()
    assert after.startswith(before)
    rows = [json.loads(line) for line in after.splitlines()]
    assert [row["number"] for row in rows] == list(range(21)), told
    params = [json.dumps(row["params"], sort_keys=True) for row in rows]
    assert len(set(params)) == 21
    run(f"{here}promote.py --best --dataset 2M --replace", tmp_path, offline)
    assert read_json(place.run / "metrics.json")["test"]["rows"] == ROWS["test"]
    assert not list(tmp_path.iterdir())


def test_what_a_bad_command_says(place: Place) -> None:
    told = environment("http://127.0.0.1:9", place.root.parent, place.ray) | {"HF_HUB_OFFLINE": "1"}
    cases = {
        "search/tune.py --dataset 100": "did you mean 100k",
        "search/tune.py --dataset 100k --set lora_rnk=8": "did you mean lora_rank",
        "search/tune.py --dataset 100k --set lora_rank": "key=value",
        "search/tune.py --dataset 100k --set lora_rank=0": "lora_rank",
        "search/tune.py --dataset 10k": "cache",
        f"search/tune.py --dataset 100k --set epochs=2 --study {place.study.name}": "epochs",
        "search/promote.py --dataset 2M": "--best",
        "search/promote.py --best --dataset 2M --model other/model": "no study to promote",
        "search/promote.py --best --dataset 2M --set epochs=1": "--replace",
        "search/promote.py --best --dataset 2M --study nothing": "there is no study",
        "train_fn/train.py --dataset 100k --set class_weights=published": "published",
    }
    before = sorted((path, path.stat().st_size) for path in (place.root / "output").rglob("*"))

    def refused(command: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, *command.split()]
        return subprocess.run(words, cwd=place.root, env=told, capture_output=True, text=True, timeout=120)

    with ThreadPoolExecutor(2) as pool:
        ended = pool.map(refused, cases)
    for (command, want), done in zip(cases.items(), ended, strict=True):
        assert done.returncode == 2, (command, done.stdout, done.stderr)
        assert want in done.stderr, (command, done.stderr)
        assert "Traceback" not in done.stderr, command
    after = sorted((path, path.stat().st_size) for path in (place.root / "output").rglob("*"))
    assert after == before
