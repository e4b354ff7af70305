"""A disk that fills up, for real, at each kind of write; and one that cannot be written at all."""

import json
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_trial import config_of
from faults import fault
from safetensors.torch import load_file
from small_disk import SmallDisk, small_disk
from training import Caller, adapter, equal, make_job

from search.record import record_of
from search.study import Study
from search.tune import main
from train_fn import worker
from train_fn.checkpoint import load
from train_fn.errors import disk_full
from train_fn.storage import PROJECT, read_json
from train_fn.worker import Job

__all__ = ["small_disk"]
Maker = Callable[..., Job]
STEP = 32  # kilobytes that the disk grows by; a checkpoint takes 130
OURS = str(PROJECT / "train_fn")


def whole(folder: Path) -> None:
    """No file that bears its name is half written."""
    for file in folder.rglob("[!.]*"):
        if any(part.startswith(".") for part in file.relative_to(folder).parts) or not file.is_file():
            continue
        if file.suffix == ".json":
            read_json(file)
        elif file.suffix == ".jsonl":
            for line in file.read_text().splitlines():
                json.loads(line)
        elif file.suffix == ".safetensors":
            load_file(file)


@pytest.fixture
def failed_in(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The functions of ours in which a write failed."""
    found: set[str] = set()

    def look(error: BaseException) -> bool:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(OURS)
        ]
        found.update(f"{Path(frame.filename).stem}.{frame.name}" for frame in frames)
        return looked(error)

    looked = worker.disk_full
    monkeypatch.setattr(worker, "disk_full", look)
    return found


@fault("disk full in a run")
def test_a_disk_that_fills_up_at_any_write_of_a_run_halts_it_and_costs_no_bit(
    small_model: Path, tokens: Path, tmp_path: Path, small_disk: SmallDisk, failed_in: set[str]
) -> None:
    """The disk grows from nothing by small steps, so that every kind of write is the first to find no room."""
    calm = make_job(tmp_path / "calm", small_model, tokens)
    assert Caller().run(calm) == "COMPLETE"
    job = replace(calm, folder=small_disk.folder / "run")
    size, halts = STEP, 0
    small_disk.resize(size)
    job.folder.mkdir()
    while (caller := Caller()).run(job) != "COMPLETE":
        (last,) = caller.rows[-1:]
        assert (last["status"], last["done"]) == ("INTERRUPTED", True)
        assert last["cause"].startswith(f"no space left for {job.folder}")
        assert not (job.folder / "result.json").exists()
        whole(job.folder)
        halts, size = halts + 1, size + STEP
        small_disk.resize(size)
    assert halts > 5
    on_the_way, at_the_end = "checkpoint.save", "monitor.complete"
    assert {on_the_way, at_the_end} <= failed_in, sorted(failed_in)
    assert equal(adapter(job.folder), adapter(calm.folder))
    assert read_json(job.folder / "metrics.json") == read_json(calm.folder / "metrics.json")
    assert load(job.folder / "checkpoints") is None


@fault("disk full in a study's record")
def test_a_disk_that_fills_up_at_any_write_of_a_study_tears_no_record(small_disk: SmallDisk) -> None:
    from search.space import Point

    study, trials, errors = Study(small_disk.folder / "study"), 8, 0
    small_disk.resize(4)
    number = 0
    point = Point(learning_rate=3e-4, lora_rank=8, lora_alpha=16)
    while number < trials:
        try:
            study.folder.mkdir(exist_ok=True)
            study.adopt_config(config_of(trials))
            study.repair()
            for number in range(len(study.records()), trials):
                asked = study.asked().get(number) or study.ask(number, point)
                study.end(record_of(asked, [{"progress": 100, "objective": 0.5 - number / 100}], "COMPLETE"))
            number = trials
        except OSError as error:
            if not disk_full(error):
                raise
            errors += 1
            whole(study.folder)
            small_disk.resize(4 + 4 * errors)
    assert errors > 5
    assert [record.number for record in study.records()] == list(range(trials))
    assert read_json(study.folder / "best.json")["number"] == trials - 1
    assert not list(study.folder.rglob(".*.tmp"))


@fault("read-only output")
def test_an_output_that_cannot_be_written_is_one_message(
    small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    small_disk.make_read_only()
    words = ["--dataset", "sample", "--model", "tiny", "--output", str(small_disk.folder / "output")]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(small_disk.folder) in told
    assert "--output" in told
