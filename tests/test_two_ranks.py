"""The benchmark of two ranks measures both on the same work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from train_fn.storage import PROJECT, read_json


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two cores are needed, one for each rank")
def test_one_and_two_ranks_take_the_same_tokens_with_a_thread_each(tmp_path: Path, small_model: Path) -> None:
    sizes = ["--steps", "1", "--repeats", "2", "--max-length", "24", "--results", str(tmp_path)]
    script = str(PROJECT / "benchmarks" / "two_ranks.py")
    words = [sys.executable, script, "--model", str(small_model), *sizes]
    run = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr  # 1: less efficient than the target
    (file,) = tmp_path.glob("two-ranks-qwen3-small-*.json")
    found = read_json(file)
    assert [list(each) for each in found["rounds"]] == [["one rank", "two ranks"], ["two ranks", "one rank"]]
    sides = [side for each in found["rounds"] for side in each.values()]
    assert {side["threads"] for side in sides} == {1}
    assert len({side["tokens"] for side in sides}) == 1
    assert found["efficiency"]["ratio"] == pytest.approx(found["times_faster"]["ratio"] / 2)
    assert found["gradient_bytes"] == 4 * sides[0]["trained_parameters"]
