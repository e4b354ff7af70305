"""The 4-bit weights of the base: how they are made, kept trainable on CPUs, and expanded once where that pays."""

from typing import Any

import torch
from torch import nn

EXPANDED_SHARE = 0.25  # of the free device memory; the rest belongs to activations


def quantization(dtype: torch.dtype) -> Any:
    """NF4 with double quantisation (Dettmers et al., QLoRA, arXiv 2305.14314)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def quantized_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """The Linear4bit modules by name."""
    import bitsandbytes as bnb

    return [(name, m) for name, m in model.named_modules() if isinstance(m, bnb.nn.Linear4bit)]


def keep_autograd_path(model: nn.Module) -> None:
    """Keep bitsandbytes from its kernel for inference. To be called right after loading.

    On CPUs with avx512_bf16 bitsandbytes repacks a weight in place at the first evaluation and then multiplies
    by a kernel without autograd: most LoRA matrices would silently get no gradient.
    """
    for _, layer in quantized_layers(model):
        layer.support_avx512bf16_for_cpu = False


def fits_expanded(model: nn.Module, device: torch.device) -> bool:
    """Whether the base in 16 bits leaves enough memory for the rest; always so on a CPU."""
    if device.type != "cuda":
        return True
    needed = 2 * sum(layer.in_features * layer.out_features for _, layer in quantized_layers(model))
    free, _ = torch.cuda.mem_get_info(device)
    return bool(needed < EXPANDED_SHARE * free)


def expand(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace every Linear4bit by one that multiplies by its dequantised weight: the same values, sooner."""
    from train_fn.expanded import ExpandedLinear4bit

    for name, layer in quantized_layers(model):
        model.set_submodule(name, ExpandedLinear4bit(layer, dtype))
