"""The 4-bit layer with its weight expanded once."""

from typing import Any

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import dequantize_4bit
from torch import Tensor
from torch.nn import functional


class ExpandedLinear4bit(bnb.nn.Linear4bit):  # type: ignore[misc]
    """A Linear4bit that multiplies by its weight as dequantised once, instead of at every product.

    It stays a Linear4bit, 4-bit weight included, so that PEFT puts the same LoRA layer around it: that one adds
    the update in the compute dtype, the one around a plain Linear in fp32, and in bf16 the bits would differ.
    """

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        super().__init__(
            layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=dtype, device="meta"
        )
        self.weight, self.bias, self.quant_state = layer.weight, layer.bias, layer.quant_state
        self.register_buffer("dense", dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in_features] to [..., out_features] in x's dtype, the product in the compute dtype."""
        bias = None if self.bias is None else self.bias.to(self.dense.dtype)
        return functional.linear(x.to(self.dense.dtype), self.dense, bias).to(x.dtype)
