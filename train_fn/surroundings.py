"""The environment variables that decide how a command runs, checked before it does anything."""

import os
import re

from train_fn.errors import InputError

GPU = r"(-1|\d{1,3}|(GPU|MIG)-[\w/-]+)"
RULES = {  # what must hold for a variable that is set, and in words
    "WANDB_MODE": (r"(online|offline|disabled|dryrun|run|shared)?", "online, offline or disabled"),
    "OMP_NUM_THREADS": (r"([1-9]\d{0,3}(,[1-9]\d{0,3})*)?", "a number of threads such as 4"),
    "CUDA_VISIBLE_DEVICES": (
        rf"({GPU}(,{GPU})*|NoDevFiles)?",  # the last is Slurm's word for none
        "GPUs such as 0,1 or their UUIDs, or -1 for none",
    ),
}


def check_environment() -> None:
    """Raises InputError for a variable that its reader would take for something else, without a word."""
    for name, (pattern, wanted) in RULES.items():
        value = os.environ.get(name, "")
        if not re.fullmatch(pattern, value.strip()):
            raise InputError(f"{name} must be {wanted}, but is {value!a}; set it so, or unset it")
