"""The tiny Qwen3: the real architecture from a config and a seed, with its own small tokenizer, no download.

Its base is random and, like the real one, frozen in NF4. A random network is a fixed set of features that LoRA
can bend: the initial scales below are chosen so that these features carry what the text said.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from train_fn.sample import sample_rows
from train_fn.storage import atomic_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

VOCABULARY = (
    2048  # rows of the embedding; the tokenizer learns at most as many tokens, from little text fewer
)
PAD, END = "<|pad|>", "<|end|>"
# Wide rather than deep: random embeddings of some 300 leaning words overlap less in 256 dimensions than in 128.
SHAPE = {  # every width a multiple of 64, NF4's block
    "hidden_size": 256,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
# Standard deviations: of the embedding, and of a projection times the root of its fan-in. A gain of 1 or 2 lets
# the random layers bury the words under noise that LoRA must first undo (validation log loss 0.48 and 0.61
# after the same short run, against 0.46).
EMBEDDING_STD = 1.0
PROJECTION_GAIN = 0.5


def write_tiny_model(folder: Path, texts: Iterable[str] | None = None, seed: int = 0) -> None:
    """Write a Transformers folder (config, weights, tokenizer); the same bytes for the same texts and seed.

    `texts` trains the tokenizer; without it, the built-in sample's train texts do.
    """
    from safetensors.torch import save_file

    tokenizer = _tokenizer(texts if texts is not None else (row[2] for row in sample_rows()["train"]))
    model = _model(tokenizer, seed)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}  # tied: the embedding once
    with atomic_folder(folder) as temporary:
        model.config.save_pretrained(temporary)
        save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save_pretrained(temporary)


def _tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    """Byte-level BPE as Qwen's own; pad and end are different tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[PAD, END], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token=PAD, eos_token=END, model_max_length=32768)


def _model(tokenizer: "PreTrainedTokenizerFast", seed: int) -> "Qwen3ForCausalLM":
    """Qwen3 with random fp32 weights; leaves torch's global random state alone."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=VOCABULARY,
        **SHAPE,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        model = Qwen3ForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                std = EMBEDDING_STD if "embed" in name else PROJECTION_GAIN * weight.shape[1] ** -0.5
                weight.normal_(0.0, std, generator=generator)
    return model
