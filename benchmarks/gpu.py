"""Is the training step right on this device, and how fast is it?  benchmarks/gpu.sh  or

    python benchmarks/gpu.py --device cpu --small

The step is the product's own (load_base, attach, step_gradient, AdamW) on Qwen3-0.6B's exact shapes with random
weights. First its loss and gradients are compared with those of the CPU in fp32, then real (not padding) tokens
a second and peak memory are measured at several micro-batches, rows padded or packed, the base expanded once or
at every matmul, and the slowest and the fastest step are profiled.
Needs PyTorch, transformers, PEFT, accelerate, bitsandbytes, pydantic and PyYAML; no Ray, W&B, datasets, Optuna.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from qwen3 import FULL, SMALL, linear_weights, write_model
from record import options_of, slug, write_result
from step_check import check
from step_speed import measure
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from train_fn.attention import attention_kind
from train_fn.config import SDPA, VARLEN
from train_fn.errors import InputError

# fp32 shows that the arithmetic is the reference's, bf16 what training's own precision makes of it.
CASES = (
    ("float32", "always", "sdpa"),
    ("float32", "never", "sdpa"),
    ("bfloat16", "always", "sdpa"),
    ("bfloat16", "never", "sdpa"),
    ("bfloat16", "always", "varlen"),
)


def main() -> int:
    """Check, measure, print a table, write the JSON; 1 when the step is wrong on this device."""
    options = _options()
    disable_progress_bar()
    set_verbosity_error()  # the head is not in the checkpoint, and is not meant to be
    device = torch.device(options.device)
    workload = SMALL if options.small else FULL
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    figures: dict[str, Any] = {"device": name, "shape": workload.shape}
    if device.type == "cuda":
        figures["memory_bytes"] = torch.cuda.get_device_properties(device).total_memory
    with tempfile.TemporaryDirectory() as folder:
        print(f"{name}: random weights, {linear_weights(workload.shape):,} in the projections", flush=True)
        write_model(Path(folder), workload.shape)
        kinds = _attention(device, figures)
        figures["checks"] = []
        for case in CASES:
            if case[-1] in kinds:
                figures["checks"].append(found := check(folder, workload, device, *case))
                print(_check_line(found), flush=True)
        right = all(found["right"] for found in figures["checks"])
        if right:
            figures |= measure(folder, workload, device, kinds)
            for row in figures["speed"]:
                print(_speed_line(row))
            for line in _profile_lines(figures["profiles"]):
                print(line)
        else:
            print("wrong: loss or gradients are not the reference's, so nothing was timed")
    print(write_result(options.results, f"gpu-{slug(name)}{'-small' * options.small}", figures))
    return 0 if right else 1


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="small shapes: seconds on a CPU")
    return parser.parse_args()


def _attention(device: torch.device, figures: dict[str, Any]) -> tuple[str, ...]:
    """The kinds that work here; why varlen does not, should it be so, is a result too."""
    try:
        return SDPA, attention_kind(VARLEN, device, torch.bfloat16)
    except InputError as error:
        print(error)
        figures["varlen"] = str(error)
        return (SDPA,)


def _check_line(found: dict[str, Any]) -> str:
    return (
        f"check {found['compute_dtype']:<8} expand {found['expand_base']:<6} {found['attention']:<6} "
        f"loss {found['loss']:.4f}, "
        f"relative error {found['loss_error']:.1e}, of the gradient {found['gradient_error']:.1e} "
        f"(at most {found['tolerance']:.0e}): {'right' if found['right'] else 'WRONG'}"
    )


def _profile_lines(profiles: list[dict[str, Any]]) -> list[str]:
    return [
        f"profile  expand {found['expand_base']}, {found['attention']}, {found['micro_batch_tokens']} tokens: "
        + ", ".join(f"{row['name'][:40]} {100 * row['share']:.0f} %" for row in found["costs"][:3])
        for found in profiles
    ]


def _speed_line(row: dict[str, Any]) -> str:
    start = (
        f"speed {row['compute_dtype']:<8} expand {row['expand_base']:<6} {row['attention']:<6} "
        f"{row['micro_batch_tokens']:>6} tokens"
    )
    if "error" in row:
        return f"{start}: {row['error']}"
    memory = row["peak_memory_bytes"]
    return (
        f"{start}: {row['tokens_per_second']:>9,.0f} real tokens/s, {row['real_share']:.1%} not padding, "
        f"{row['product_share']:.1%} of a product's rate"
        + (f", peak {memory / 2**30:.1f} GiB" if memory else "")
    )


if __name__ == "__main__":
    sys.exit(main())
