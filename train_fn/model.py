"""The detector: an NF4 base that every run shares, and the adapter and head that one run trains.

The base is loaded once a process and never changed. A run gets a copy of the module tree that shares the
base's tensors, and PEFT puts its LoRA layers into that copy; so nothing has to be undone afterwards, and a
run in a warm process gives the bits that it gives in a cold one.
"""

import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train_fn.attention import attention_kind, packing, use_attention
from train_fn.base_weights import load_classifier
from train_fn.config import TrainConfig
from train_fn.quantized import expand, fits_expanded, keep_autograd_path, quantized_layers
from train_fn.storage import Paths

TINY = "tiny"


@dataclass(frozen=True)
class Base:
    """A frozen 4-bit classifier and what decided its numbers."""

    model: Any
    dtype: torch.dtype
    attention: str
    expanded: bool
    device: torch.device
    revision: str | None

    def resolve(self, config: TrainConfig) -> TrainConfig:
        """The configuration with what `auto` means on the base's device."""
        return config.on_device(self.device.type).model_copy(update={"attention": self.attention})


def resolve_model(name: str, paths: Paths, revision: str | None = None) -> str:
    """The folder to load from: a folder as it is, `tiny` written at first use, a Hub model from its cache.

    Raises InputError when it cannot be had.
    """
    if name != TINY:
        from train_fn.hub import model_folder

        return str(model_folder(name, revision))
    from filelock import FileLock

    from train_fn.storage import atomic_folder
    from train_fn.tiny import write_tiny_model

    folder = paths.tokenized_cache / "models" / TINY
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            with atomic_folder(folder) as temporary:
                write_tiny_model(temporary)
    return str(folder)


def compute_dtype(choice: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it natively, else float32."""
    if choice != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[choice]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = bool(torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if native else torch.float32


def load_base(source: str, config: TrainConfig, device: torch.device) -> Base:
    """Load and quantise the base. Raises InputError when it cannot be had."""
    dtype = compute_dtype(config.compute_dtype, device)
    attention = attention_kind(config.attention, device, dtype)
    model = load_classifier(source, dtype, device)
    use_attention(model, attention)
    model.requires_grad_(False)
    model.config.use_cache = False
    keep_autograd_path(model)
    wanted = config.expand_base
    expanded = wanted == "always" or (wanted == "auto" and fits_expanded(model, device))
    if expanded:
        expand(model, dtype)
    return Base(model, dtype, attention, expanded, device, commit_of(source))


def commit_of(source: str) -> str | None:
    """The Hub's commit of a model folder in its cache, which is the folder's name; None for other folders."""
    name = Path(source).name
    return name if re.fullmatch(r"[0-9a-f]{40}", name) else None


def fingerprint(base: Base) -> str:
    """A hash over every tensor of the base, to prove that a run left it as it was."""
    digest = hashlib.sha256()
    for name, tensor in sorted(base.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


class Detector(nn.Module):
    """The module that trains, and that DDP wraps: base with LoRA, pooling, and an fp32 head.

    With `longest`, the most tokens of a text, its inputs are packed, else padded.
    """

    def __init__(self, peft: Any, longest: int | None = None) -> None:
        super().__init__()
        self.peft, self.longest = peft, longest

    def forward(self, input_ids: Tensor, last: Tensor) -> Tensor:
        """Logits [texts, 2] in the head's dtype.

        input_ids are [texts, length], padded on the right, or [1, tokens] of all texts one after the other; last
        [texts] is each text's last position, counted through all rows. Attention is causal, so a real token never
        sees the padding behind it and no mask is needed.
        """
        model = self.peft.base_model.model
        packed = packing(last, input_ids.numel(), self.longest) if self.longest else {}
        hidden = getattr(model, model.base_model_prefix)(input_ids=input_ids, **packed).last_hidden_state
        head = model.score
        pooled = hidden.flatten(0, 1)[last]
        return head(pooled.to(next(head.parameters()).dtype))  # type: ignore[no-any-return]

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that train, by name: LoRA matrices and the head, all fp32."""
        return {name: p for name, p in self.peft.named_parameters() if p.requires_grad}


def attach(base: Base, config: TrainConfig) -> Detector:
    """A fresh adapter and head over the shared base, drawn from `config.seed` alone."""
    from peft import LoraConfig, TaskType, get_peft_model

    model = _share(base.model)
    torch.manual_seed(config.seed)
    nn.init.normal_(model.score.weight, std=getattr(model.config, "initializer_range", 0.02))
    targets = config.target_modules
    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS,  # PEFT then trains and saves the head too
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        bias="none",
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    peft = get_peft_model(model, lora)  # its LoRA matrices are in fp32 whatever the base
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return Detector(peft, config.max_length if base.resolve(config).packed else None)


def _share(model: Any) -> Any:
    """A copy of the module tree whose parameters, buffers and quantisation states are the originals."""
    shared: list[Any] = [*model.parameters(), *model.buffers()]
    shared += [layer.weight.quant_state for _, layer in quantized_layers(model)]
    twin = copy.deepcopy(model, {id(item): item for item in shared})
    score = nn.Linear(model.score.in_features, model.score.out_features, bias=False, device=model.device)
    twin.score = score  # the head is trained: its own tensor, in fp32
    return twin
