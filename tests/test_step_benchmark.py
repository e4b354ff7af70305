"""The benchmark against the usual recipe gives both sides the same work."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from train_fn.storage import PROJECT, read_json

MAX_LENGTH = 24


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


@pytest.fixture
def task(small_model: Path) -> Iterator[Any]:
    from recipe_step import Task

    return Task.of(str(small_model), MAX_LENGTH, "cpu", steps=1)


@pytest.mark.slow
def test_every_side_takes_the_same_tokens_in_steps_and_trains_the_same_parameters(task: Any) -> None:
    from recipe_step import SIDES

    found = {name: side(task) for name, side in SIDES.items()}
    for key in ("tokens", "trained_parameters", "threads"):
        assert len({run[key] for run in found.values()}) == 1, key
    assert all(len(run["step_seconds"]) == 1 for run in found.values())
    assert found["recipe"]["micro_batches"] == 8
    assert found["recipe"]["real_share"] < found["ours"]["real_share"]
    assert found["ours-unsorted"]["real_share"] < found["ours"]["real_share"]


@pytest.mark.slow
def test_the_recipe_takes_the_rows_of_each_of_our_steps(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import recipe_step
    import usual_recipe

    ours, theirs = [], []
    cut, seen = recipe_step.micro_batches, usual_recipe.example
    monkeypatch.setattr(
        recipe_step,
        "micro_batches",
        lambda rows, *about, **more: ours.append(rows) or cut(rows, *about, **more),
    )
    monkeypatch.setattr(usual_recipe, "example", lambda split, row: theirs.append(row) or seen(split, row))
    recipe_step.product(task)
    recipe_step.usual(task)
    taken = ours[: task.steps]
    steps = np.split(np.array(theirs), task.steps)
    assert [sorted(step) for step in taken] == [sorted(step) for step in steps]
    assert theirs != sorted(theirs)


def test_the_recipe_has_nf4_weights_in_two_quantisations_and_a_weighted_loss(task: Any) -> None:
    from usual_recipe import WeightedTrainer, quantized_lora

    from train_fn.quantized import quantized_layers

    model = quantized_lora(task.folder, task.config(), task.device, 0, checkpointing=True)
    layers = quantized_layers(model)
    assert len(layers) == 7 * model.config.num_hidden_layers
    assert all(layer.weight.quant_state.quant_type == "nf4" for _, layer in layers)
    assert all(layer.weight.quant_state.nested for _, layer in layers)
    assert model.is_gradient_checkpointing

    trainer = WeightedTrainer.__new__(WeightedTrainer)
    trainer.weights = torch.tensor([3.0, 1.0])
    labels, logits = torch.tensor([0, 1]), torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    loss = trainer.compute_loss(lambda **_: type("Output", (), {"logits": logits}), {"labels": labels})
    each = -torch.log_softmax(logits, 1)[[0, 1], labels]
    assert loss == pytest.approx(float(3 * each[0] + each[1]) / 4)


def test_a_ratio_is_taken_within_each_round() -> None:
    from rounds import ratio

    # A machine that is twice as slow in one round changes nothing.
    assert ratio([200, 100, 210], [100, 50, 105]) == pytest.approx({"ratio": 2, "low": 2, "high": 2})
    found = ratio([2.0, 2.2], [1.0, 1.0])
    assert 1 < found["low"] < found["ratio"] < found["high"]
    assert found["ratio"] == pytest.approx(4.4**0.5)


@pytest.mark.slow
def test_the_command_measures_both_sides_in_every_round(tmp_path: Path, small_model: Path) -> None:
    sizes = ["--pair", "--steps", "1", "--repeats", "2", "--max-length", str(MAX_LENGTH)]
    words = ["--model", str(small_model), *sizes, "--results", str(tmp_path)]
    script = str(PROJECT / "benchmarks" / "train_step.py")
    run = subprocess.run([sys.executable, script, *words], cwd=PROJECT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr  # 1: not faster by the target
    (file,) = tmp_path.glob("train-step-qwen3-small-cpu-*.json")
    assert run.stdout.splitlines()[-1] == str(file)
    found = read_json(file)
    assert [list(each) for each in found["rounds"]] == [["ours", "recipe"], ["recipe", "ours"]]
    assert found["ours_against"].keys() == {"recipe"}
    assert run.returncode == (found["ours_against"]["recipe"]["ratio"] < 1.5)
    assert str(small_model.parent) not in json.dumps(found)
