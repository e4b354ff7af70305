"""The delivered adapter, opened as a user of PEFT opens it who knows nothing of this project."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from training import adapter, batch, bent, load, logits, make_job, settings, training_of

from train_fn.model import Base, Detector
from train_fn.quantized import quantization, quantized_layers
from train_fn.results import save_adapter
from train_fn.state import TrainingData


@pytest.fixture(scope="module")
def data(small_model: Path, tokens: Path) -> TrainingData:
    return training_of(tokens, settings(small_model))


@pytest.fixture(scope="module")
def bases(small_model: Path) -> dict[str, Base]:
    return {dtype: load(small_model, compute_dtype=dtype) for dtype in ("float32", "bfloat16")}


def reloaded(folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """The adapter as a user of PEFT opens it, knowing nothing of this project."""
    from peft import AutoPeftModelForSequenceClassification

    model = AutoPeftModelForSequenceClassification.from_pretrained(folder, dtype=dtype, **options).eval()
    for _, layer in quantized_layers(model):
        # Else bitsandbytes evaluates through a bf16 kernel on CPUs that have one, whatever the dtype.
        layer.support_avx512bf16_for_cpu = False
    return model


def delivered(tmp_path: Path, small_model: Path, tokens: Path, base: Base) -> tuple[Detector, Path]:
    job = make_job(tmp_path / "run", small_model, tokens)
    detector = bent(base, job.train)
    save_adapter(detector, job, job.folder / "adapter", tokenizer=True)
    return detector, job.folder / "adapter"


def judge(model: Any, data: TrainingData) -> torch.Tensor:
    ids, last = batch(data)
    mask = (torch.arange(ids.shape[1])[None] <= last[:, None]).long()
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask).logits


def test_peft_alone_gives_equal_logits_on_the_same_quantised_base(
    tmp_path: Path, small_model: Path, tokens: Path, data: TrainingData, bases: dict[str, Base]
) -> None:
    detector, folder = delivered(tmp_path, small_model, tokens, bases["float32"])
    model = reloaded(folder, torch.float32, quantization_config=quantization(torch.float32))
    head = model.base_model.model.score.modules_to_save["default"].weight
    assert head.dtype == torch.float32
    assert torch.equal(head, detector.peft.base_model.model.score.weight)
    torch.testing.assert_close(judge(model, data), logits(detector, data), rtol=1e-6, atol=1e-6)


def test_peft_alone_in_bf16_differs_by_the_rounding_of_the_head(
    tmp_path: Path, small_model: Path, tokens: Path, data: TrainingData, bases: dict[str, Base]
) -> None:
    """A head of transformers is in the base's dtype; ours is in fp32. With ours put back the bits are equal."""
    detector, folder = delivered(tmp_path, small_model, tokens, bases["bfloat16"])
    model = reloaded(folder, torch.bfloat16, quantization_config=quantization(torch.bfloat16))
    ours = logits(detector, data)
    assert (judge(model, data).float() - ours).abs().max() < 2**-7 * ours.abs().max()
    with torch.no_grad():
        ids, last = batch(data)
        hidden = model.base_model.model.model(input_ids=ids).last_hidden_state
        pooled = hidden.flatten(0, 1)[last].float()
    assert torch.equal(detector.peft.base_model.model.score(pooled), ours)


def test_on_the_base_that_is_not_quantised_the_logits_differ_by_the_quantisation_error(
    tmp_path: Path, small_model: Path, tokens: Path, data: TrainingData, bases: dict[str, Base]
) -> None:
    detector, folder = delivered(tmp_path, small_model, tokens, bases["float32"])
    found, ours = judge(reloaded(folder, torch.float32), data), logits(detector, data)
    difference = float((found - ours).norm() / ours.norm())
    print(f"relative difference of the logits on the full base: {difference:.3f}")
    assert 0.01 < difference < 1


def test_a_base_without_a_padding_token_needs_the_tokenizers_to_judge_a_batch(
    tmp_path: Path, small_model: Path, tokens: Path, data: TrainingData
) -> None:
    """Qwen3-0.6B is such a base; the tokenizer beside the adapter knows the token."""
    from transformers import AutoConfig, AutoTokenizer

    base = shutil.copytree(small_model, tmp_path / "base")
    config = AutoConfig.from_pretrained(base)
    config.pad_token_id = None
    config.save_pretrained(base)
    detector, folder = delivered(tmp_path, base, tokens, load(base, compute_dtype="float32"))
    model = reloaded(folder, torch.float32, quantization_config=quantization(torch.float32))
    with pytest.raises(ValueError, match="no padding token"):
        judge(model, data)
    model.config.pad_token_id = AutoTokenizer.from_pretrained(folder).pad_token_id
    torch.testing.assert_close(judge(model, data), logits(detector, data), rtol=1e-6, atol=1e-6)


def test_the_adapter_holds_lora_and_head_in_fp32_and_names_its_base(
    tmp_path: Path, small_model: Path, tokens: Path, bases: dict[str, Base]
) -> None:
    from peft import PeftConfig

    _, folder = delivered(tmp_path, small_model, tokens, bases["bfloat16"])
    saved = adapter(folder.parent)
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert (len(saved), "base_model.model.score.weight" in saved) == (29, True)
    found = PeftConfig.from_pretrained(folder)
    assert (found.base_model_name_or_path, found.task_type, found.r) == (str(small_model), "SEQ_CLS", 4)
