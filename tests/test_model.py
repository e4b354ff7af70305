"""The detector: real NF4 through bitsandbytes, real LoRA through PEFT."""

from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
from training import (
    CPU,
    batch,
    bent,
    distance,
    equal,
    gradient,
    load,
    logits,
    settings,
    training_of,
)

from train_fn.errors import InputError
from train_fn.model import Base, attach, compute_dtype, fingerprint, load_base, resolve_model
from train_fn.quantized import quantized_layers
from train_fn.state import TrainingData
from train_fn.storage import Paths

SEVEN = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
STILL: dict[str, Any] = {"lora_dropout": 0.0, "micro_batch_tokens": 2048}
BOTH = pytest.mark.parametrize("expand_base", ["always", "never"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


@pytest.fixture(scope="module")
def data(small_model: Path, tokens: Path) -> TrainingData:
    return training_of(tokens, settings(small_model))


@pytest.fixture(scope="module")
def bases(small_model: Path) -> dict[tuple[str, str], Base]:
    """Loaded when asked for, once."""

    class Bases(dict[tuple[str, str], Base]):
        def __missing__(self, key: tuple[str, str]) -> Base:
            self[key] = load(small_model, compute_dtype=key[0], expand_base=key[1])
            return self[key]

    return Bases()


@BOTH
def test_the_projections_are_nf4_double_quantised_and_the_head_is_not(
    bases: dict[tuple[str, str], Base], expand_base: str
) -> None:
    model = bases["float32", expand_base].model
    layers = dict(quantized_layers(model))
    assert {name.rsplit(".", 1)[1] for name in layers} == SEVEN
    assert len(layers) == 14
    for layer in layers.values():
        state = layer.weight.quant_state
        assert (layer.weight.dtype, state.quant_type, state.nested) == (torch.uint8, "nf4", True)
    assert not isinstance(model.score, bnb.nn.Linear4bit)


def test_what_trains_is_lora_on_the_seven_projections_and_the_head_in_fp32(
    small_model: Path, bases: dict[tuple[str, str], Base]
) -> None:
    parameters = attach(bases["bfloat16", "always"], settings(small_model)).trainable()
    assert {parameter.dtype for parameter in parameters.values()} == {torch.float32}
    lora = [name for name in parameters if "lora_" in name]
    assert len(lora) == 28
    assert {name.split(".")[-4] for name in lora} == SEVEN
    assert [name for name in parameters if "lora_" not in name] == [
        "base_model.model.score.modules_to_save.default.weight"
    ]


@BOTH
@DTYPES
def test_gradients_after_an_evaluation_equal_those_before_and_none_is_missing(
    small_model: Path, data: TrainingData, bases: dict[tuple[str, str], Base], dtype: str, expand_base: str
) -> None:
    """bitsandbytes repacks a weight at the first evaluation on some CPUs, and gradients go missing."""
    config = settings(small_model, **STILL)
    detector = attach(bases[dtype, expand_base], config)
    before = gradient(detector, data, range(64), config)
    logits(detector, data)
    after = gradient(detector, data, range(64), config)
    assert before.keys() == detector.trainable().keys()
    assert all(tensor.abs().max() > 0 for name, tensor in before.items() if "lora_B" in name)
    assert equal(before, after)


@DTYPES
def test_the_expanded_base_gives_the_bits_of_the_quantised(
    small_model: Path, data: TrainingData, bases: dict[tuple[str, str], Base], dtype: str
) -> None:
    config = settings(small_model, **STILL)
    one, other = (bent(bases[dtype, expand_base], config) for expand_base in ("always", "never"))
    assert torch.equal(one(*batch(data)), other(*batch(data)))
    assert equal(gradient(one, data, range(64), config), gradient(other, data, range(64), config))
    assert torch.equal(logits(one, data), logits(other, data))


def test_nf4_is_not_the_full_weight(bases: dict[tuple[str, str], Base], small_model: Path) -> None:
    from transformers import Qwen3ForCausalLM

    full = Qwen3ForCausalLM.from_pretrained(small_model).model.layers[0].mlp.up_proj.weight
    dense = bases["float32", "always"].model.model.layers[0].mlp.up_proj.dense
    assert 0.01 < (full - dense).norm() / full.norm() < 0.2
    assert len(dense.unique()) < dense.numel() / 2


def test_a_fresh_adapter_depends_on_the_seed_alone(
    small_model: Path, bases: dict[tuple[str, str], Base]
) -> None:
    base = bases["float32", "always"]
    first = {k: p.detach().clone() for k, p in attach(base, settings(small_model)).trainable().items()}
    torch.manual_seed(99)
    torch.rand(3)
    again = {k: p.detach() for k, p in attach(base, settings(small_model)).trainable().items()}
    other = {k: p.detach() for k, p in attach(base, settings(small_model, seed=7)).trainable().items()}
    assert equal(first, again)
    assert not equal(first, other)
    assert not torch.equal(
        *(d["base_model.model.score.modules_to_save.default.weight"] for d in (first, other))
    )


@BOTH
def test_a_run_shares_the_memory_of_the_base(
    small_model: Path, bases: dict[tuple[str, str], Base], expand_base: str
) -> None:
    base = bases["bfloat16", expand_base]
    held = {id(tensor) for tensor in (*base.model.parameters(), *base.model.buffers())}
    held |= {id(layer.weight.quant_state) for _, layer in quantized_layers(base.model)}
    detector = attach(base, settings(small_model))
    frozen = [parameter for parameter in detector.parameters() if not parameter.requires_grad]
    head = detector.peft.base_model.model.score.original_module.weight
    used = {id(tensor) for tensor in (*frozen, *detector.buffers()) if tensor is not head}
    assert used | {id(layer.weight.quant_state) for _, layer in quantized_layers(detector)} <= held


@BOTH
def test_training_an_adapter_leaves_the_base_as_it_was(
    small_model: Path, data: TrainingData, bases: dict[tuple[str, str], Base], expand_base: str
) -> None:
    base, config = bases["bfloat16", expand_base], settings(small_model)
    names = [name for name, _ in base.model.named_modules()]
    before = fingerprint(base)
    detector = attach(base, config)
    gradient(detector, data, range(32), config)
    torch.optim.AdamW(detector.trainable().values(), lr=0.1).step()
    logits(detector, data)
    assert fingerprint(base) == before
    assert [name for name, _ in base.model.named_modules()] == names
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_the_fingerprint_sees_a_changed_weight(small_model: Path) -> None:
    base = load(small_model)
    before = fingerprint(base)
    with torch.no_grad():
        base.model.model.layers[1].mlp.up_proj.dense[0, 0].neg_()
    assert fingerprint(base) != before


def test_a_text_is_pooled_at_its_last_token_whatever_the_padding(
    small_model: Path, data: TrainingData, bases: dict[tuple[str, str], Base]
) -> None:
    """By length, not by token id: a text may end in the padding's token."""
    detector = bent(bases["float32", "always"], settings(small_model)).eval()
    ids = torch.tensor([[5, 6, 7, 0, 0, 0, 0, 0], [5, 6, 7, 0, 9, 9, 9, 9]])
    with torch.no_grad():
        at_2, at_3 = (detector(ids, torch.tensor([last, 8 + last])) for last in (2, 3))
        alone = detector(torch.tensor([[5, 6, 7]]), torch.tensor([2]))
    torch.testing.assert_close(at_2, alone.expand(2, 2), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(at_3[0], at_3[1], rtol=1e-5, atol=1e-5)
    assert (at_3 - at_2).abs().max() > 0.01


def test_gradient_checkpointing_changes_no_gradient(
    small_model: Path, data: TrainingData, bases: dict[tuple[str, str], Base]
) -> None:
    plain = settings(small_model, **STILL)
    saving = settings(small_model, gradient_checkpointing=True, **STILL)
    of = partial(gradient, data=data, rows=range(32))
    one = of(bent(bases["float32", "always"], plain), config=plain)
    other = of(bent(bases["float32", "always"], saving), config=saving)
    assert distance(one, other) < 1e-6


def test_other_architectures_are_adapted_in_all_linear_layers(
    small_model: Path, bases: dict[tuple[str, str], Base]
) -> None:
    detector = attach(bases["float32", "always"], settings(small_model, target_modules="all-linear"))
    assert len([name for name in detector.trainable() if "lora_B" in name]) == 14


def test_the_compute_dtype_can_be_chosen() -> None:
    assert compute_dtype("float32", CPU) == torch.float32
    assert compute_dtype("bfloat16", CPU) == torch.bfloat16
    assert compute_dtype("auto", CPU) in (torch.float32, torch.bfloat16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_flash_attention_without_a_gpu_is_refused(small_model: Path) -> None:
    with pytest.raises(InputError, match="needs a CUDA device"):
        load(small_model, attention="flash_attention_2")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, small_model: Path) -> None:
    with pytest.raises(InputError, match="must be a Transformers folder"):
        load_base(str(tmp_path), settings(small_model), CPU)


def test_the_tiny_model_is_written_once(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "output")
    folder = Path(resolve_model("tiny", paths))
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_model("tiny", paths) == str(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
