"""What one optimiser step spends a device's time on."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

SHOWN = 12  # of the largest costs


def costs(step: Callable[[], Any], device: torch.device) -> list[dict[str, Any]]:
    """The largest costs of a step by kernel (GPU) or operator (CPU): seconds of their own, calls, and the share of
    all such seconds."""
    cuda = device.type == "cuda"
    activities = [ProfilerActivity.CUDA] if cuda else [ProfilerActivity.CPU]
    with profile(activities=activities) as found:
        step()
        if cuda:
            torch.cuda.synchronize(device)
    rows = [
        {"name": event.key, "calls": event.count, "seconds": (_gpu(event) if cuda else _cpu(event)) / 1e6}
        for event in found.key_averages()
    ]
    whole = sum(row["seconds"] for row in rows)
    rows.sort(key=lambda row: -row["seconds"])
    return [{**row, "share": row["seconds"] / whole} for row in rows[:SHOWN]]


def _gpu(event: Any) -> float:
    return float(event.self_device_time_total)


def _cpu(event: Any) -> float:
    return float(event.self_cpu_time_total)
