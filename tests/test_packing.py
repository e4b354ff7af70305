"""Texts packed one after the other give what padded ones give."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from training import CPU, Caller, Tensors, bent, distance, gradient, load, make_job, settings, training_of

from train_fn.attention import _reference, attention_kind, packing
from train_fn.evaluation import Scorer
from train_fn.storage import read_json

ROWS = range(96)  # of 3 to 40 tokens


def found(model: Path, tokens: Path, attention: str, budget: int) -> tuple[Tensors, np.ndarray]:
    """The gradient of a step and the logits of validation, in fp32."""
    base = load(model, attention=attention, compute_dtype="float32", expand_base="always")
    config = base.resolve(settings(model, lora_dropout=0, micro_batch_tokens=budget))
    assert config.packed == (attention == "varlen")
    detector, data = bent(base, config), training_of(tokens, config)
    logits = Scorer(detector, data.pad_id, config)(data.validation, np.arange(96)).logits
    return gradient(detector, data, ROWS, config), logits


@pytest.fixture(scope="module")
def padded(small_model: Path, tokens: Path) -> tuple[Tensors, np.ndarray]:
    return cache(found)(small_model, tokens, "sdpa", 10**6)


@pytest.mark.parametrize("budget", [10**6, 500, 41])
def test_packed_texts_give_the_padded_ones_gradient_and_logits(
    small_model: Path, tokens: Path, padded: tuple[Tensors, np.ndarray], budget: int
) -> None:
    packed = found(small_model, tokens, "varlen", budget)
    assert distance(padded[0], packed[0]) < 1e-5
    assert np.abs(padded[1] - packed[1]).max() < 1e-5 * np.abs(padded[1]).max()


def test_positions_start_anew_with_each_text() -> None:
    told = packing(torch.tensor([2, 3, 7]), 8, 40)
    assert told["position_ids"].tolist() == [[0, 1, 2, 0, 0, 1, 2, 3]]
    assert told["cu_seq_lens_q"].tolist() == told["cu_seq_lens_k"].tolist() == [0, 3, 4, 8]
    assert (told["cu_seq_lens_q"].dtype, told["max_length_q"]) == (torch.int32, 40)


@pytest.mark.parametrize("window", [None, 3, 100])
def test_a_text_sees_itself_alone_and_of_it_what_the_window_shows(window: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(12, heads, 8, generator=generator) for heads in (4, 2, 2))
    offsets = torch.tensor([0, 5, 12], dtype=torch.int32)
    text, place = torch.tensor([0] * 5 + [1] * 7), torch.arange(12)
    back = place[:, None] - place
    seen = (text[:, None] == text) & (back >= 0) & (back < (window or 12))
    parts = (part.transpose(0, 1)[None] for part in (query, key, value))
    expected = scaled_dot_product_attention(*parts, seen, scale=0.3, enable_gqa=True)[0].transpose(0, 1)
    torch.testing.assert_close(_reference(query, key, value, offsets, 7, 0.3, window), expected)


def test_a_run_names_its_attention_and_packs(tmp_path: Path, small_model: Path, tokens: Path) -> None:
    job, caller = make_job(tmp_path / "run", small_model, tokens, attention="varlen"), Caller()
    assert caller.run(job) == "COMPLETE", caller.rows[-1]["cause"]
    assert read_json(job.folder / "facts.json")["attention"] == "varlen"


def test_on_a_cpu_rows_are_padded_unless_packing_is_asked_for() -> None:
    assert attention_kind("auto", CPU, torch.bfloat16) == "sdpa"
    assert attention_kind("varlen", CPU, torch.bfloat16) == "varlen"
