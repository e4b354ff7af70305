"""The table of real small runs: which runs it has, and that a killed one goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.config import resolve_search
from search.space import RANK, RATIO, exponents
from train_fn.errors import InputError
from train_fn.storage import PROJECT, append_line, read_lines

# The script with a tenth of its runs, which do not train: one takes a moment and notes on disk that it was made.
WITHOUT_TRAINING = """
import sys, stand_in, tiny_run, tiny_table
tiny_run.CONFIGURATIONS = 12
tiny_table.prepare_run = stand_in.prepare_run
tiny_table.train = stand_in.train
if __name__ == "__main__":
    sys.exit(tiny_table.main())
"""
STAND_IN = """
import os, time
from pathlib import Path
FOLDER = Path(__file__).parent
def prepare_run(folder):
    return "tiny", folder
def train(run, model, data, folder):
    time.sleep(0.2)
    with (FOLDER / "made").open("a") as file:
        file.write(f"{run[0]} {run[1]} {os.getpid()}\\n")
    return {"config": run[0], "seed": run[1], "status": "COMPLETE", "value": 0.5, "curve": [], "seconds": 0.2}
"""


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def script(folder: Path, table: Path) -> "subprocess.Popen[str]":
    """tiny_table.py without its training, at work in processes of its own."""
    (folder / "stand_in.py").write_text(STAND_IN)
    (folder / "script.py").write_text(WITHOUT_TRAINING)
    path = os.pathsep.join(map(str, (folder, PROJECT / "benchmarks", PROJECT)))
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), "--table", str(table)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rsplit(")")[-1].split()[0] != "Z"


@pytest.mark.slow
def test_a_killed_table_goes_on_and_holds_every_run_once(tmp_path: Path) -> None:
    file, made = tmp_path / "table.jsonl", tmp_path / "made"
    first = script(tmp_path, file)
    while not (file.exists() and file.read_bytes().count(b"\n") > 6):
        time.sleep(0.01)
        assert first.poll() is None
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    workers = {int(line.split()[2]) for line in made.read_text().splitlines()}
    with file.open("a") as half:
        half.write('{"config": 5, "se')
    kept = file.read_bytes().rsplit(b"\n", 1)[0]
    deadline = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)

    again = script(tmp_path, file)
    told, _ = again.communicate()
    assert again.returncode == 0, told
    assert file.read_bytes().startswith(kept)
    rows = read_lines(file)[1:]
    every = [(configuration, seed) for configuration in range(12) for seed in (1, 2, 3)]
    assert sorted((row["config"], row["seed"]) for row in rows) == every
    # Only what a worker was at when it was killed is made again.
    assert len(made.read_text().splitlines()) <= len(rows) + len(workers)


def test_a_table_of_other_settings_and_one_at_work_are_refused(tmp_path: Path) -> None:
    from tiny_table import opened

    file = tmp_path / "table.jsonl"
    with opened(file) as done:
        assert done == set()
        with pytest.raises(InputError, match="another process is adding"), opened(file):
            pass
        append_line(file, {"config": 3, "seed": 2})
    with opened(file) as done:
        assert done == {(3, 2)}
    lines = read_lines(file)
    lines[0]["about"]["train"]["epochs"] = 9
    file.unlink()
    for line in lines:
        append_line(file, line)
    before = file.read_bytes()
    with pytest.raises(InputError, match="must be of these settings"), opened(file):
        pass
    assert file.read_bytes() == before


def test_the_design_fills_every_cell_of_the_space_and_begins_with_the_default() -> None:
    from tiny_run import CONFIGURATIONS, SEEDS, config, planned

    runs = planned()
    assert len({run[:2] for run in runs}) == len(runs) == CONFIGURATIONS * len(SEEDS) >= 120 * 3
    default = config()
    assert runs[0][2].learning_rate == default.learning_rate == 1e-4
    space = resolve_search({}).space
    points = [point for _, _, point in runs[len(SEEDS) :: len(SEEDS)]]
    cells = {(point.drawn()[RANK], point.drawn()[RATIO]) for point in points}
    ranks, ratios = exponents(space.lora_rank), exponents(space.lora_alpha_ratio)
    assert len(cells) == (ranks[1] - ranks[0] + 1) * (ratios[1] - ratios[0] + 1)
    rates = sorted(point.learning_rate for point in points)
    assert space.learning_rate.low <= rates[0] < 1.2 * space.learning_rate.low
    assert space.learning_rate.high >= rates[-1] > space.learning_rate.high / 1.2
