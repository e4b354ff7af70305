"""The base from its files, in 4 bits. What Transformers reports of it at each load is said where it matters."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from train_fn.config import LABELS, SDPA
from train_fn.errors import InputError
from train_fn.quantized import quantization

HEAD = "score.weight"  # each run draws its own, so a base lacks it or has another
OTHER_HEADS = {"lm_head.weight"}  # of a causal language model

_log = logging.getLogger(__name__)


def load_classifier(source: str, dtype: torch.dtype, device: torch.device) -> Any:
    """The model of a folder as a classifier with a fresh head. Logs a warning of weights that it has no use for.

    Raises InputError when it cannot be had, or when a weight is missing: Transformers would draw it at random.
    """
    from transformers import AutoModelForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    # It looks for optional kernels from the Hub and says each time that they are not there.
    logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
    try:
        with _unreported():
            model, found = AutoModelForSequenceClassification.from_pretrained(
                source,
                num_labels=len(LABELS),
                id2label=dict(enumerate(LABELS)),
                label2id={label: number for number, label in enumerate(LABELS)},
                quantization_config=quantization(dtype),
                dtype=dtype,
                device_map={"": device},
                attn_implementation=SDPA,
                ignore_mismatched_sizes=True,  # of the head; of others it is an error below
                output_loading_info=True,
                use_safetensors=True,  # a pickled file of weights could run code, and so could a model of its own
                trust_remote_code=False,
            )
    except (OSError, ValueError) as error:
        raise InputError(
            f"model {source} must be a Transformers folder or a name on the Hub (or in its cache), "
            f"but loading it failed: {str(error).splitlines()[0]}; check --model and the network"
        ) from error
    lacking = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])} - {HEAD})
    if lacking:
        raise InputError(
            f"model {source} must hold every weight that its config.json asks for, but {len(lacking)} are missing "
            f"or of another shape, such as {lacking[0]}; fetch its files again"
        )
    if unused := sorted({*found["unexpected_keys"]} - {HEAD, *OTHER_HEADS}):
        _log.warning("%s holds %d weights without a use, such as %s", source, len(unused), unused[0])
    return model


@contextmanager
def _unreported() -> Iterator[None]:
    """Without Transformers' report of missing and unexpected weights, which always names the new head."""
    log = logging.getLogger("transformers.modeling_utils")

    def wanted(record: logging.LogRecord) -> bool:
        told = record.getMessage()
        return "LOAD REPORT" not in told or "CONVERSION" in told  # an error points to the latter

    log.addFilter(wanted)
    try:
        yield
    finally:
        log.removeFilter(wanted)
