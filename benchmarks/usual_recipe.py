"""The usual recipe's training: transformers' Trainer, a weighted loss, bitsandbytes, PEFT, padded batches.

Each part is set up as its own documentation shows. What is the same on both sides comes from the product's
configuration: model, 4-bit format, compute dtype, attention, LoRA, dropout, optimiser, schedule.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Trainer, TrainerCallback

from train_fn.attention import attention_kind
from train_fn.batching import PAD_MULTIPLE, Rows
from train_fn.config import FLASH, LABELS, SDPA, TrainConfig, Weights
from train_fn.model import compute_dtype
from train_fn.quantized import quantization
from train_fn.tokenized import Split

BATCH, ACCUMULATION = 32, 8


class WeightedTrainer(Trainer):
    """A Trainer with class weights, which the models' own loss does not take."""

    loss_is_scaled_for_ga = False  # each batch's loss is its own mean

    def __init__(self, weights: Weights, **about: Any) -> None:
        super().__init__(**about)
        self.weights = torch.tensor(weights, dtype=torch.float32, device=self.args.device)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: Any, **about: Any) -> Tensor:
        """The weighted mean cross-entropy of one batch."""
        labels = inputs.pop("labels")
        return functional.cross_entropy(model(**inputs).logits.float(), labels, weight=self.weights)


class Stepped(TrainerCallback):
    """Calls back after every optimiser step."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def on_step_end(self, *_: Any, **about: Any) -> None:
        """A step was taken."""
        self._call()


def quantized_lora(
    folder: str, config: TrainConfig, device: torch.device, pad_id: int, checkpointing: bool
) -> Any:
    """The model as the guides of transformers and PEFT make it.

    `checkpointing` is the default of prepare_model_for_kbit_training: activations are computed twice.
    """
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForSequenceClassification

    dtype = compute_dtype(config.compute_dtype, device)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=len(LABELS),
        quantization_config=quantization(dtype),
        dtype=dtype,
        device_map={"": device},
        attn_implementation=usual_attention(device, dtype),
    )
    model.config.pad_token_id = pad_id
    model.config.use_cache = False
    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        bias="none",
        target_modules=list(config.target_modules),
    )
    return get_peft_model(
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing), lora
    )


def usual_attention(device: torch.device, dtype: torch.dtype) -> str:
    """flash-attn where it is installed, over padded rows; else SDPA."""
    return FLASH if attention_kind("auto", device, dtype) == FLASH else SDPA


def train_usual(
    model: Any, split: Split, rows: Rows, weights: Weights, config: TrainConfig, stepped: Callable[[], None]
) -> None:
    """Train once over `rows`, in batches of BATCH in their order, which is random already."""
    device, dtype = model.device, compute_dtype(config.compute_dtype, model.device)
    with tempfile.TemporaryDirectory() as output:
        arguments = training_arguments(config, device, dtype, output)
        trainer = WeightedTrainer(
            weights,
            model=model,
            args=arguments,
            train_dataset=[example(split, int(row)) for row in rows],
            data_collator=collator(model.config.pad_token_id),
            callbacks=[Stepped(stepped)],
        )
        trainer.train()


def training_arguments(config: TrainConfig, device: torch.device, dtype: torch.dtype, output: str) -> Any:
    """The Trainer's defaults, but for what the recipe and the configuration say."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=output,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION,
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        optim="adamw_torch_fused",
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_ratio,  # below 1, a share of the run
        bf16=dtype is torch.bfloat16,
        tf32=True if device.type == "cuda" else None,
        use_cpu=device.type == "cpu",
        seed=config.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def example(split: Split, row: int) -> dict[str, Any]:
    """One tokenised text as a tokenizer returns it, with its label."""
    ids = split.row(row).tolist()
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": int(split.labels[row])}


def collator(pad_id: int) -> Any:
    """DataCollatorWithPadding, which asks a tokenizer for its padding only."""
    from tokenizers import Tokenizer, models
    from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": pad_id}, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")
    return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=PAD_MULTIPLE)
