"""The benchmark of packed trials measures what it says."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from train_fn.storage import PROJECT, read_json


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


class Slept:
    """A slot that notes what it is told, and needs so many seconds for an order."""

    def __init__(self, told: list[Any], seconds: float = 0) -> None:
        self._told, self._seconds, self._begun = told, seconds, False

    def tell(self, order: Any) -> None:
        self._begun = order == "begin"
        if not self._begun:
            self._told.append(order)

    def wait(self) -> Any:
        if not self._begun:
            return {"mean_tokens": 51}
        time.sleep(self._seconds)
        return 3.0


def test_the_ways_alternate_and_each_round_but_the_first_counts() -> None:
    from packed_trials import alternate

    told: list[Any] = []
    quick, slow = Slept(told), Slept(told, 0.1)
    orders = {"a": {quick: "a"}, "b": {slow: "b"}, "c": {quick: "c", slow: "d"}}
    costs, about = alternate(orders, repeats=2)
    assert "".join(told) == "abcdbcdacdab"
    assert about == {"mean_tokens": 51}
    assert {name: [processor for _, processor in costs[name]] for name in "abc"} == {
        "a": [3, 3],
        "b": [3, 3],
        "c": [6, 6],
    }
    assert max(costs["a"])[0] < 0.1 <= min(costs["b"] + costs["c"])[0]


def test_the_gain_is_over_the_better_of_the_unpacked_ways() -> None:
    from packed_trials import AT_ONCE, IN_TURN, PACKED, WIDE, compare

    rates = {IN_TURN: [1.0, 2.0], AT_ONCE: [1.5, 3.0], PACKED: [3.3, 6 / 1.1], WIDE: [1.5, 12.0]}
    found = compare(rates)
    assert found["better"] == AT_ONCE
    packed, wide = found["gain"][PACKED], found["gain"][WIDE]
    assert packed["ratio"] == pytest.approx(2)
    assert wide["ratio"] == pytest.approx(2)
    assert wide["low"] < packed["low"] < 2 < packed["high"] < wide["high"]
    assert wide["low"] < 1 < 4 < wide["high"]
    assert wide["low"] * wide["high"] == pytest.approx(4)  # even on the scale of ratios


@pytest.mark.slow
def test_the_command_measures_every_way(tmp_path: Path, small_model: Path) -> None:
    words = "benchmarks/packed_trials.py --trials 3 --steps 2 --repeats 2".split()
    words += ["--set", "batch_size=8", "--set", "max_length=64", "--model", str(small_model), "--results"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words, str(tmp_path)]
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (file,) = tmp_path.glob("packed-trials-qwen3-small-*.json")
    assert run.stdout.splitlines()[-1] == str(file)
    found = read_json(file)
    assert [len(rates) for rates in found["samples_per_second"].values()] == [2, 2, 2, 2]
    assert len(found["gain"]) == 2
    assert [trial["lora_rank"] for trial in found["trials"]] == [64, 16, 4]
    assert found["steps"] * found["config"]["batch_size"] == 16
