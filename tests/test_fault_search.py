"""Signals, a dead raylet and a full disk in the middle of a real search; then the same command."""

import re
import shutil
import signal
from pathlib import Path

import pytest
from faults import fault
from folders import write_sample
from killed import TRIALS, below, ended, failed, rows, search, signalled, step_of, wait_until
from small_disk import SmallDisk, small_disk
from wandb_files import read_runs

__all__ = ["small_disk"]
SECONDS = 10.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("rows"))


@fault("signals to a search")
@fault("two commands on one study")
@fault("raylet of a search")
def test_a_search_stopped_by_signals_and_without_its_raylet_ends_as_it_should(
    data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    study, took = output / "studies" / "faults", {}
    first = study / "trials" / "0000"
    for number, times in ((signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGTERM, 1), (signal.SIGINT, 2)):
        before = step_of(first)
        process = search(data, output)
        wait_until(process, lambda before=before: step_of(first) > before)  # a trial trains, and goes on
        told, took[number.name, times] = signalled(process, number, times)
        assert f"stopped  {number.name} came; nothing is lost" in told
        assert re.search(r"next     python \S*tune.py --dataset", told)
        assert "Traceback" not in told
        assert not (study / ".stop").exists()
        assert rows(study) == []
        assert [run.exit_code for run in read_runs(tmp_path / "logs")] == [255] * len(took)
    before = step_of(first)
    process = search(data, output)
    wait_until(process, lambda: step_of(first) > before)
    refused = ended(search(data, output), 2)
    assert (
        f"error: study faults is being searched by process {process.pid}; wait for it, end it, or" in refused
    )
    assert refused.count("error: ") == 1
    wait_until(process, lambda: rows(study))
    kept = rows(study)
    below(process, "raylet").kill()
    assert failed(process).startswith("Ray itself died; the same command goes on")

    told = ended(search(data, output))
    assert rows(study)[: len(kept)] == kept
    assert [row["number"] for row in rows(study)] == list(range(TRIALS))
    assert {row["status"] for row in rows(study)} <= {"COMPLETE", "PRUNED"}
    assert not list(study.glob("trials/*/checkpoints"))
    print(took)
    assert max(took.values()) < SECONDS, took


@fault("a machine that is taken away")
def test_another_machine_goes_on_from_the_store(data: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    words = ("--storage", str(tmp_path / "bucket"))
    process = search(data, one / "output", *words)
    study = one / "output" / "studies" / "faults"
    wait_until(process, lambda: rows(study))
    told, _ = signalled(process, signal.SIGTERM, 1)
    assert "storage  all of it is in" in told
    kept, ran = rows(study), read_runs(one / "logs")
    shutil.rmtree(one)

    ended(search(data, other / "output", *words))
    study = other / "output" / "studies" / "faults"
    assert rows(study)[: len(kept)] == kept
    assert [row["number"] for row in rows(study)] == list(range(TRIALS))
    assert {run.folder.name for run in ran} <= {run.folder.name for run in read_runs(other / "logs")}


@fault("disk full in a search")
def test_a_disk_that_fills_up_ends_a_search_with_one_message(
    data: Path, small_disk: SmallDisk, tmp_path: Path
) -> None:
    small_disk.resize(128 * 1024)
    output = small_disk.folder / "output"
    study = output / "studies" / "faults"
    process = search(data, output, wandb="disabled")
    wait_until(process, lambda: step_of(study / "trials" / "0000"))
    filler = small_disk.fill()
    assert re.match(r"no space left for .*; free some, then the same command goes on", failed(process))
    assert rows(study) == []
    filler.unlink()
    ended(search(data, output, wandb="disabled"))
    assert [row["number"] for row in rows(study)] == list(range(TRIALS))
