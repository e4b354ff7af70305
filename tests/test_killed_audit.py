"""An audit killed with -9 at any of its stages: the same command then gives the undisturbed result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from folders import write

from train_fn.sample import COLUMNS, sample_rows
from train_fn.storage import PROJECT, read_json

STAGES = ("tokens   tokenising", "groups   looking for copies", "groups   comparing", "AUROC    reading")


def start(rows: Path, output: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-u", str(PROJECT / "train_fn" / "audit.py"), "--dataset", str(rows)]
    return subprocess.Popen(
        [*words, "--model", "tiny", "--output", str(output)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def audited(rows: Path, output: Path) -> dict[str, object]:
    process = start(rows, output)
    told, _ = process.communicate(timeout=200)
    assert process.returncode == 0, told
    (file,) = (output.parent / "tokenized_cache" / rows.name).glob("audit-*.json")
    found: dict[str, object] = read_json(file)
    return found


@pytest.mark.slow
def test_an_audit_killed_at_each_stage_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    for name, found in sample_rows().items():
        columns = zip(*found, strict=True)
        write(rows / f"{name}.parquet", dict(zip(COLUMNS, map(list, columns), strict=True)))
    killed = tmp_path / "killed" / "output"
    for stage in STAGES:
        process = start(rows, killed)
        assert process.stdout is not None
        assert any(line.startswith(stage) for line in process.stdout), f"it never said {stage!r}"
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -9
        assert not list((killed.parent / "tokenized_cache" / "rows").glob("audit-*.json"))
    assert audited(rows, killed) == audited(rows, tmp_path / "alone" / "output")
    assert not list((killed.parent / "tokenized_cache" / "rows").glob(".*.tmp"))
