"""The benchmark of the work on the data measures what it says."""

import sys
from pathlib import Path

import pytest

from train_fn.storage import PROJECT


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def test_memory_is_that_of_the_biggest_process_and_mapped_files_are_told_apart(tmp_path: Path) -> None:
    from processes import watched

    file = tmp_path / "mapped"
    file.write_bytes(bytes(80 << 20))
    child = "import sys, time; held = bytearray(b'x') * (120 << 20); time.sleep(0.5)"
    code = f"""
import mmap, subprocess, sys, time
subprocess.run([sys.executable, "-c", {child!r}], check=True)
file = open({str(file)!r}, "rb")
mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
total = sum(mapped[i] for i in range(0, len(mapped), 4096))
time.sleep(0.5)
print("a line\\n3.5")
"""
    told, memory = watched([sys.executable, "-c", code])
    assert told == 3.5
    assert 120 << 20 < memory["RssAnon"] < 160 << 20
    assert 120 << 20 < memory["VmHWM"] < 180 << 20


def test_the_exponent_is_the_slope_in_logarithms() -> None:
    from data_scale import STAGES, exponents

    runs = [
        {"rows": rows, "stage": stage, "seconds": 3.0 * rows**power}
        for rows in (10, 100, 1000)
        for power, stage in enumerate(STAGES)
    ]
    assert exponents(runs, "seconds") == pytest.approx(dict(zip(STAGES, range(len(STAGES)), strict=True)))
    assert exponents(runs[: len(STAGES)], "seconds") == {}


def test_every_stage_is_there() -> None:
    from data_scale import STAGES, Bench

    assert all(callable(getattr(Bench, stage)) for stage in STAGES)
