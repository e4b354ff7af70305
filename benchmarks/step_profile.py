"""What one optimiser step spends a device's time on."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

SHOWN = 12  # of the largest costs


class StepProfile:
    """A profile of what happens between `start` and `end`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._found = profile(activities=[ProfilerActivity.CUDA if self._cuda else ProfilerActivity.CPU])

    @property
    def _cuda(self) -> bool:
        return self._device.type == "cuda"

    def start(self) -> None:
        """From here on."""
        self._found.start()

    def end(self) -> list[dict[str, Any]]:
        """The largest costs by kernel (GPU) or operator (CPU): seconds of their own, calls, and the share of
        all such seconds."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
        self._found.stop()
        rows = [
            {"name": event.key, "calls": event.count, "seconds": self._own(event) / 1e6}
            for event in self._found.key_averages()
        ]
        whole = sum(row["seconds"] for row in rows)
        rows.sort(key=lambda row: -row["seconds"])
        return [{**row, "share": row["seconds"] / whole} for row in rows[:SHOWN]]

    def _own(self, event: Any) -> float:
        """Microseconds."""
        return float(event.self_device_time_total if self._cuda else event.self_cpu_time_total)


def costs(step: Callable[[], Any], device: torch.device) -> list[dict[str, Any]]:
    """The largest costs of one call."""
    found = StepProfile(device)
    found.start()
    step()
    return found.end()
