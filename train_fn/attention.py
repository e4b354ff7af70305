"""How attention is computed: over rows padded to one length, or over texts packed one after the other.

A packed micro-batch is one row of all its texts, so no position is spent on padding. Every kernel here computes
causal attention inside each text; torch's SDPA, text by text, is the reference of the others.
"""

import inspect
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from train_fn.config import FLASH, SDPA, VARLEN
from train_fn.errors import InputError

TOLERANCE = 2e-2  # relative norm; bf16 has 8 bits
_log = logging.getLogger(__name__)


def attention_kind(choice: str, device: torch.device, dtype: torch.dtype) -> str:
    """The kernel that `choice` means here. Raises InputError when it was asked for by name and cannot be had.

    `auto` is flash-attn where it is installed, else torch's own kernel for packed texts where it agrees with the
    reference, else padded SDPA; on a CPU, whose packed texts go one by one, SDPA.
    """
    flash = _flash_here(device, dtype)
    if choice == FLASH and not flash:
        raise InputError(
            "attention: flash_attention_2 needs a CUDA device of capability 8.0 or more, 16-bit compute and the "
            "flash-attn package, and one is missing; "
            "pip install --no-build-isolation flash-attn on a CUDA machine, or use attention: auto"
        )
    if choice in (FLASH, SDPA):
        return choice
    if choice == VARLEN:
        if error := _disagreement(device, dtype):
            raise InputError(
                f"attention: varlen must agree with SDPA on this device, but {error}; use attention: auto"
            )
        return VARLEN
    if flash or device.type != "cuda":
        return FLASH if flash else SDPA
    if error := _disagreement(device, dtype):
        _log.warning(
            "attention: sdpa over padded rows, for torch's kernel of packed texts fails here: %s", error
        )
        return SDPA
    return VARLEN


def use_attention(model: Any, kind: str) -> None:
    """Let a Transformers model compute attention so. Raises InputError where its code has no such seam."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    if kind == VARLEN:
        AttentionInterface.register(VARLEN, _varlen)
        AttentionMaskInterface.register(VARLEN, lambda *_, **__: None)  # causal inside a text by itself
    try:
        model.set_attn_implementation(kind)
    except ValueError as error:
        raise InputError(
            f"attention: {kind} must be known to the model's code, but: {error}; use attention: sdpa"
        ) from error


def packing(last: Tensor, tokens: int, longest: int) -> dict[str, Any]:
    """What a model must be told of `tokens` tokens packed into one row: `last` [texts] are the positions of the
    texts' last tokens, and none has more than `longest`. Nothing here waits for the device."""
    ends = torch.cat([last.new_zeros(1), last + 1])
    place = torch.arange(tokens, device=last.device)
    positions = place - ends[torch.searchsorted(last, place)]
    offsets = ends.to(torch.int32)
    return {
        "position_ids": positions[None],
        "cu_seq_lens_q": offsets,
        "cu_seq_lens_k": offsets,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _flash_here(device: torch.device, dtype: torch.dtype) -> bool:
    from transformers.utils import is_flash_attn_2_available

    return bool(
        device.type == "cuda"
        and is_flash_attn_2_available()
        and dtype in (torch.float16, torch.bfloat16)
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def _varlen(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Transformers' seam: query [1, heads, tokens, width], key and value of as many heads or fewer; returns
    [1, tokens, heads, width]."""
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    kernel = _kernel if query.device.type == "cuda" else _reference
    return kernel(q, k, v, cu_seq_lens_q, max_length_q, scaling, sliding_window)[None], None


def _kernel(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    """Torch's own kernel: [tokens, heads, width] each, the texts between `offsets` [texts + 1]."""
    from torch.nn.attention.varlen import varlen_attn

    known = _parameters(varlen_attn)
    options: dict[str, Any] = {"is_causal": True}
    if "window_size" in known:
        options = {"window_size": (-1 if window is None else window - 1, 0)}
    if "enable_gqa" in known:
        options["enable_gqa"] = True
    else:
        groups = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    found: Any = varlen_attn(query, key, value, offsets, offsets, longest, longest, scale=scale, **options)
    return found  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """The names of a function's parameters; those of the kernel differ from torch 2.10 to 2.13. Asked for at every
    layer, so once."""
    return frozenset(inspect.signature(function).parameters)


def _reference(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    """The same by SDPA, one text after the other."""
    sizes = offsets.diff().tolist()
    parts = zip(*(torch.split(part.transpose(0, 1), sizes, 1) for part in (query, key, value)), strict=True)
    texts = []
    for q, k, v in parts:
        mask = None if window is None or q.shape[1] <= window else _band(q.shape[1], window, q.device)
        texts.append(
            scaled_dot_product_attention(
                q[None], k[None], v[None], mask, is_causal=mask is None, scale=scale, enable_gqa=True
            )[0]
        )
    return torch.cat(texts, dim=1).transpose(0, 1)


def _band(tokens: int, window: int, device: torch.device) -> Tensor:
    """True [tokens, tokens] where a position sees another: itself and the `window` - 1 before it."""
    seen = torch.ones(tokens, tokens, dtype=torch.bool, device=device)
    return seen.tril() & seen.triu(1 - window)


@lru_cache(maxsize=2)
def _disagreement(device: torch.device, dtype: torch.dtype) -> str:
    """How the kernel's output or gradient differs from the reference's; "" where both agree."""
    if device.type != "cuda":
        return ""
    generator = torch.Generator().manual_seed(0)
    offsets = torch.tensor([0, 5, 22, 86], dtype=torch.int32, device=device)
    parts = [torch.randn(86, heads, 64, generator=generator) for heads in (4, 2, 2)]
    found = []
    try:
        for kernel in (_kernel, _reference):
            q, k, v = (part.to(device, dtype).requires_grad_() for part in parts)
            out = kernel(q, k, v, offsets, 64, 0.125, None)
            gradients = torch.autograd.grad(out.square().sum(), (q, k, v))
            found.append(torch.cat([each.flatten().float() for each in (out, *gradients)]))
    except (ImportError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    difference = float((found[0] - found[1]).norm() / found[1].norm())
    return "" if difference < TOLERANCE else f"they differ by {difference:.1e} (relative norm)"
