"""What `make clean-runs` shows and deletes, and what it leaves alone."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from recorded import ended, make_study

from search.clean import main
from search.removable import RECENT_SECONDS
from search.study import Study
from train_fn.storage import PROJECT, Paths, write_json, write_text


def write(path: Path, size: int = 2**20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A study with two ended trials and an unfinished one, two runs of which one is finished, tokenised sets."""
    paths = Paths.of(tmp_path / "output")
    study = make_study(paths.studies / "study", [ended(0, 0.5), ended(1, 0.6)])
    study.ask(2, ended(2, 0.5).params)
    for number in range(3):
        write(study.trial_folder(number) / "checkpoints" / "step-000000001" / "weights.safetensors")
        write(study.trial_folder(number) / "adapter" / "adapter_model.safetensors")
    write(study.folder / ".ray" / "tune" / ".x.tmp")
    write(study.trial_folder(2) / ".curve.jsonl.abc.tmp")
    write(paths.logs / "study" / "wandb" / "run.wandb")
    for name in ("finished", "begun"):
        run = paths.output / name
        write_text(run / "run_id", name)
        write_text(run / "config.yaml", yaml.safe_dump(record("2")))
        write(run / "checkpoints" / "step-000000001" / "weights.safetensors")
    write_json(paths.output / "finished" / "result.json", {})
    write_text(paths.output.with_name("other") / "run" / "run_id", "run")
    write_text(paths.output.with_name("other") / "run" / "config.yaml", yaml.safe_dump(record("5")))
    for key, fingerprint in (("used", "2"), ("unused", "3"), ("new", "4"), ("elsewhere", "5")):
        meta = paths.tokenized_cache / "set" / key / "meta.json"
        write(meta.with_name("train.tokens.npy"))
        write_json(meta, {"fingerprint": fingerprint, "max_length": 64, "splits_kind": "published"})
        then = time.time() - (0 if key == "new" else 2 * RECENT_SECONDS)
        os.utime(meta, (then, then))
    write(paths.tokenized_cache / "set" / ".half.abc12345.tmp" / "train.tokens.npy")
    write(paths.tokenized_cache / "set" / ".probe.abc12345.tmp" / "0" / "log")
    return paths


def record(fingerprint: str) -> dict[str, object]:
    return {"dataset": {"fingerprint": fingerprint}, "train": {"max_length": 64, "splits": "published"}}


def files(paths: Paths) -> set[str]:
    root = paths.output.parent
    return {
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock"
    }


def run(paths: Paths, *words: str, code: int = 0) -> None:
    assert main([*words, "--output", str(paths.output)]) == code


MAY_GO = {
    "output/studies/study/.ray/tune/.x.tmp",
    "output/studies/study/trials/0002/.curve.jsonl.abc.tmp",
    "output/studies/study/trials/0000/checkpoints/step-000000001/weights.safetensors",
    "output/studies/study/trials/0001/checkpoints/step-000000001/weights.safetensors",
    "output/finished/checkpoints/step-000000001/weights.safetensors",
    "tokenized_cache/set/unused/train.tokens.npy",
    "tokenized_cache/set/unused/meta.json",
    "tokenized_cache/set/.half.abc12345.tmp/train.tokens.npy",
    "tokenized_cache/set/.probe.abc12345.tmp/0/log",
}


def test_without_yes_it_shows_what_may_go_with_its_size_and_deletes_nothing(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(paths)
    run(paths)
    told = capsys.readouterr().out
    assert files(paths) == before
    assert "nothing was deleted" in told
    shown = re.findall(r"^ +([\d.]+) MB  (\S+)  \(", told, re.MULTILINE)
    assert sum(float(size) for size, _ in shown) == pytest.approx(8.0, abs=0.1)
    assert {path for _, path in shown} == {
        str(paths.output.parent / name)
        for name in (
            "output/studies/study/.ray",
            "output/studies/study/trials/0002/.curve.jsonl.abc.tmp",
            "output/studies/study/trials/0000/checkpoints",
            "output/studies/study/trials/0001/checkpoints",
            "output/finished/checkpoints",
            "tokenized_cache/set/unused",
            "tokenized_cache/set/.half.abc12345.tmp",
            "tokenized_cache/set/.probe.abc12345.tmp",
        )
    }


def test_with_yes_exactly_that_goes(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(paths)
    run(paths, "--yes")
    assert before - files(paths) == MAY_GO
    assert [trial.number for trial in Study(paths.studies / "study").unfinished()] == [2]
    capsys.readouterr()
    run(paths, "--yes")
    assert capsys.readouterr().out.split() == ["0.0", "MB", "deleted"]


def test_what_a_command_is_at_work_on_is_left_alone(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(paths)
    locks = (
        paths.studies / "study" / ".lock",
        paths.output / ".finished.lock",
        paths.tokenized_cache / "set" / ".half.lock",
        paths.tokenized_cache / "set" / ".probe.lock",
    )
    held = [FileLock(lock) for lock in locks]
    for lock in held:
        lock.acquire()
    run(paths, "study", "--yes")
    told = capsys.readouterr().out
    assert {name for name in before - files(paths) if "unused" not in name} == set()
    assert len(re.findall("^in use", told, re.MULTILINE)) == 4
    for lock in held:
        lock.release()


@pytest.mark.parametrize("name", ["study", "finished", "begun"])
def test_a_study_or_run_that_is_named_goes_with_its_results_and_logs(paths: Paths, name: str) -> None:
    write(paths.logs / name / "run.log")
    run(paths, name, "--yes")
    left = files(paths)
    assert [path for path in left if f"/{name}/" in path] == []
    others = {"study", "finished", "begun"} - {name}
    assert all(any(f"/{other}/" in path for path in left) for other in others)


@pytest.mark.parametrize("name", ["nothing", "../output", "studies", ".."])
def test_a_name_that_is_no_study_and_no_run_is_refused_and_nothing_goes(
    paths: Paths, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(paths)
    run(paths, name, "--yes", code=2)
    assert files(paths) == before
    assert "Traceback" not in capsys.readouterr().err


def test_make_passes_on_what_is_to_go() -> None:
    """`make -n` with the environment taken as installed: shows by default, YES=1 and only that deletes."""

    def told(*words: str) -> str:
        command = ["make", "-n", "-o", ".venv/.installed", "clean-runs", *words]
        own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
        return subprocess.run(
            command, cwd=PROJECT, env=own, capture_output=True, text=True, check=True
        ).stdout  # as typed, also where `make test` runs this, under which make tells the folders it enters

    assert re.search(r"search/clean\.py\s*$", told())
    assert "--yes" not in told("YES=0")
    words = told("YES=1", "RUNS=one two", "OUTPUT=/a b").split("search/clean.py")[1].split("\n")[0]
    assert words.split() == ["one", "two", "--output", '"/a', 'b"', "--yes"]
