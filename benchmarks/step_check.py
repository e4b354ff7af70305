"""Loss and gradients of one optimiser step on a device, against the CPU's in fp32 on the very same weights."""

from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from qwen3 import Workload, random_data, random_lengths, train_config

from train_fn.batching import padded
from train_fn.config import TrainConfig
from train_fn.expanded import ExpandedLinear4bit
from train_fn.loop import Quiet, step_gradient
from train_fn.model import Base, attach, load_base
from train_fn.quantized import quantized_layers
from train_fn.state import TrainingData

SEED = 1
ROWS = 8
# Relative norms. In fp32 only the order of sums differs. bf16 rounds every activation of 28 layers to 8 bits: the
# gradient was 1.8e-2 off on a CPU.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


def check(
    folder: str, workload: Workload, device: torch.device, dtype: str, expand: str, attention: str
) -> dict[str, Any]:
    """Compare one step of a few short texts with the CPU's in fp32 on the very same base weights."""
    torch.backends.cuda.matmul.allow_tf32 = False
    lengths = random_lengths(ROWS, workload.mean_length / 6, workload.max_length, SEED)
    data = random_data(lengths, workload.shape["vocab_size"], SEED)
    cut = ROWS // 3 * padded(int(lengths.max()))  # tokens, so that the device takes several micro-batches
    config = train_config(
        compute_dtype=dtype,
        expand_base=expand,
        attention=attention,
        micro_batch_tokens=cut,
        max_length=workload.max_length,
        lora_dropout=0,
    )
    base = load_base(folder, config, device)
    layers = len(quantized_layers(base.model))
    loss, gradients = _gradients(base, config, data)

    plain = train_config(
        compute_dtype="float32",
        expand_base="always",
        attention="sdpa",
        micro_batch_tokens=8 * cut,
        lora_dropout=0,
    )
    reference = load_base(folder, plain, torch.device("cpu"))
    base_difference = _copy_weights(base, reference)
    expected_loss, expected = _gradients(reference, plain, data)

    norms = {name: float((gradients[name] - want).norm() / want.norm()) for name, want in expected.items()}
    overall = float(_flat(gradients).sub(_flat(expected)).norm() / _flat(expected).norm())
    loss_error = abs(loss - expected_loss) / expected_loss
    limit = TOLERANCE[base.dtype]
    return {
        "compute_dtype": dtype,
        "expand_base": expand,
        "attention": base.attention,
        "expanded": base.expanded,
        "quantized_layers": layers,
        "loss": loss,
        "loss_error": loss_error,
        "gradient_error": overall,
        "worst_gradient_error": max(norms.values()),
        "base_weights_error": base_difference,
        "tolerance": limit,
        "right": bool(loss_error < limit and overall < limit),  # a NaN is not below anything
    }


def _gradients(base: Base, config: TrainConfig, data: TrainingData) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step; the adapter is drawn at random, for a fresh one has no effect."""
    detector = attach(base, config)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for _, parameter in sorted(detector.trainable().items()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
    detector.train()
    loss = float(step_gradient(detector, data, data.train_rows, config, Quiet()))
    found = {}
    for name, parameter in detector.trainable().items():
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        found[name] = gradient.double().cpu()
    return loss, found


def _copy_weights(base: Base, reference: Base) -> float:
    """Give the reference the base weights of the device; returns by what relative norm they differed."""
    wrong, size = 0.0, 0.0
    device_layers = dict(quantized_layers(base.model))
    for name, layer in quantized_layers(reference.model):
        weight = _dense(device_layers[name]).to(base.dtype).float().cpu()
        wrong += float((weight - layer.dense).double().square().sum())
        size += float(layer.dense.double().square().sum())
        layer.dense.copy_(weight)
    return (wrong / size) ** 0.5


def _dense(layer: Any) -> torch.Tensor:
    """The weight that a 4-bit layer multiplies by."""
    if isinstance(layer, ExpandedLinear4bit):
        return layer.dense
    return dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def _flat(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient.flatten() for _, gradient in sorted(gradients.items())])
