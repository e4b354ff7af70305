"""Which GPUs there are, without the CUDA context that asking torch for a name would make in this process."""

import shutil
import subprocess


def gpu_names() -> list[str]:
    """The name of every GPU that this process may use, as far as nvidia-smi tells; one element a GPU."""
    import torch

    count = torch.cuda.device_count()
    names: list[str] = []
    if count and (tool := shutil.which("nvidia-smi")):
        words = [tool, "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    return [*names, *(["GPU"] * count)][:count]
