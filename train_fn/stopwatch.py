"""How long things take on a device."""

import time
from collections.abc import Callable

import torch

SECONDS, REPEATS = 0.5, 8  # of one measurement, whichever comes first
LONG = 3.0  # seconds of a first call that make a second one too dear


class Stopwatch:
    """Takes times on a device; `warm_up` is what first times took beyond the later ones, added up."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.warm_up = 0.0

    def once(self, action: Callable[[], object]) -> float:
        """The seconds of one call, the work it leaves on a GPU included."""
        started = time.monotonic()
        action()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.monotonic() - started

    def mean(self, action: Callable[[], object]) -> float:
        """The mean seconds of a call after a first one; those of the first alone where it took LONG."""
        first = self.once(action)
        if first > LONG:
            return first
        times: list[float] = []
        while sum(times) < SECONDS and len(times) < REPEATS:
            times.append(self.once(action))
        found = sum(times) / len(times)
        self.warm_up += max(0.0, first - found)
        return found
