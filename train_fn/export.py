"""The detector as one plain model: LoRA merged into the base that it was trained on, checked, and written.

`merged/` in a run's folder needs Transformers alone: bf16 safetensors, labels, tokenizer. PEFT adds s * B @ A to
the dequantised NF4 weights in fp32, and the sum is rounded once. `agreement.json` in it says what that changed.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from train_fn.agreement import Agreement, Comparison
from train_fn.config import SDPA, TrainConfig
from train_fn.delivered import DeliveredRun
from train_fn.model import load_base
from train_fn.room import roomy_folder
from train_fn.run_folder import RunFolder, Say
from train_fn.storage import read_json, write_json
from train_fn.tokenized import Meta, open_set
from train_fn.worker import default_device

MERGED, AGREEMENT = "merged", "agreement.json"
OTHER_FILES = 2**26  # bytes for tokenizer and configuration; Qwen's take 16 MB


def write_merged(run: RunFolder, data: Path, say: Say) -> None:
    """Write `merged/` of a finished run on the tokenised `data`, unless it is there.

    Raises InputError, and leaves no `merged/`, when it does not judge as the adapter does.
    """
    folder, tokens, device = run.folder / MERGED, open_set(data), default_device()
    if folder.exists():
        return
    say("merged   merging the adapter into its base, and comparing the two")
    found = DeliveredRun.open(run.folder)
    compared = Comparison(run, tokens, _padded(found.train, device))
    # PEFT still asks Transformers for what it is about to rename.
    with _full_precision(), warnings.catch_warnings(action="ignore", category=FutureWarning):
        model = _adapted(found, tokens.meta, device)
        adapter = compared.logits(model)
        model = model.merge_and_unload()
        merged = compared.logits(model)
        weights = list(model.parameters())
        needed = 2 * sum(weight.numel() for weight in weights) + OTHER_FILES
        with roomy_folder(folder, needed, "merged weights") as temporary:
            _save(model, run, tokens.meta, temporary)
            written = compared.logits(_opened(temporary, device))
            matrices = sum(weight.ndim == 2 for weight in weights)
            agreement = compared.compare(adapter, merged, written, matrices)
            write_json(temporary / AGREEMENT, agreement.model_dump(mode="json"))


def merged_lines(run: RunFolder) -> list[str]:
    """What a person reads of `merged/`; nothing where it was left out."""
    file = run.folder / MERGED / AGREEMENT
    if not file.exists():
        return []
    found = Agreement(**read_json(file))
    return [
        f"merged   {file.parent}",
        f"merged   on {found.rows} validation rows a logit differs from the adapter's by at most "
        f"{found.rounded.largest:.2g} (tolerance {found.rounded.tolerance:.2g}), by {found.merged.largest:.1g} "
        "before the weights are rounded to bf16",
    ]


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of fp32 in fp32: a process that trained on a GPU takes TF32, which rounds nearly as bf16 does."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _padded(config: TrainConfig, device: torch.device) -> TrainConfig:
    """As a user of Transformers calls a model: rows padded to one length."""
    return config.on_device(device.type).model_copy(update={"attention": SDPA})


def _adapted(run: DeliveredRun, meta: Meta, device: torch.device) -> Any:
    """The run's adapter on plain fp32 layers with the values of the NF4 base that it was trained on."""
    dtype = read_json(run.folder / "facts.json")["dtype"]
    as_trained = {"compute_dtype": dtype, "expand_base": "never", "attention": SDPA}
    base = load_base(run.base_folder(), run.train.model_copy(update=as_trained), device)
    # Not before the base is loaded: bitsandbytes, which comes with it, is told there to be quiet.
    from peft import PeftModel

    plain = base.model.dequantize(torch.float32).float()
    plain.config.pad_token_id = meta.pad_token_id
    plain.config.problem_type = "single_label_classification"
    return PeftModel.from_pretrained(plain, run.folder / "adapter")


def _save(model: Any, run: RunFolder, meta: Meta, folder: Path) -> None:
    """Round `model` to bf16 and write it, with a tokenizer that cuts, where asked to, at the training's length."""
    from transformers import AutoTokenizer

    model.bfloat16().save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(run.folder / "adapter", trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(meta.pad_token_id)
    tokenizer.model_max_length = meta.max_length
    tokenizer.save_pretrained(folder)


def _opened(folder: Path, device: torch.device) -> Any:
    """What was written, for arithmetic in fp32."""
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False
    ).to(device)
