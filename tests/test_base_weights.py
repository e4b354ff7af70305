"""A base is loaded whole or not at all, and without a word that says nothing."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from training import CPU, Tensors

from train_fn.base_weights import load_classifier
from train_fn.errors import InputError
from train_fn.quantized import quantized_layers

WEIGHT = "model.norm.weight"
Change = Callable[[Tensors], object]


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """With what Transformers logs, as in a program that asked it for nothing."""
    log = logging.getLogger("transformers")
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.WARNING)
    return caplog


def changed(model: Path, place: Path, change: Change) -> str:
    folder = shutil.copytree(model, place / "model")
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


def test_a_whole_base_is_loaded_without_a_word(small_model: Path, logs: pytest.LogCaptureFixture) -> None:
    assert len(quantized_layers(load_classifier(str(small_model), torch.float32, CPU))) == 14
    assert logs.text == ""


@pytest.mark.parametrize("name", ["lm_head.weight", "score.weight"])
def test_a_head_of_another_task_is_left_out_without_a_word(
    name: str, small_model: Path, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    source = changed(small_model, tmp_path, lambda tensors: tensors.update({name: torch.ones(3, 64)}))
    assert load_classifier(source, torch.float32, CPU).score.weight.shape == (2, 64)
    assert logs.text == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop(WEIGHT),
        lambda tensors: tensors.update({WEIGHT: torch.ones(32)}),
    ],
)
def test_a_base_that_lacks_a_weight_is_refused(change: Change, small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"1 are missing or of another shape, such as {WEIGHT}"):
        load_classifier(changed(small_model, tmp_path, change), torch.float32, CPU)


def test_a_weight_without_a_use_is_told(
    small_model: Path, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    odd = "model.layers.2.mlp.up_proj.weight"
    source = changed(small_model, tmp_path, lambda tensors: tensors.update({odd: torch.ones(2)}))
    load_classifier(source, torch.float32, CPU)
    assert [record.getMessage() for record in logs.records] == [
        f"{source} holds 1 weights without a use, such as {odd}"
    ]
