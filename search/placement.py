"""Where runs will go on this machine, known before Ray is started."""

from dataclasses import dataclass

from search.config import SearchConfig
from search.machine import expected_machines, slots_of
from search.probing import Place
from search.promotion import PromoteConfig, worker_resources


@dataclass(frozen=True)
class Placed:
    """`slots` runs at a time, on `accelerators` GPUs together, each in its `place` on a device of that kind (cuda,
    cpu)."""

    place: Place
    kind: str
    slots: int
    accelerators: float

    @classmethod
    def trials(cls, search: SearchConfig) -> "Placed":
        """As search.runner will place them."""
        slots = slots_of(search, expected_machines())
        gpu = slots.resources.get("GPU", 0.0)
        copies = min(slots.count, int(1 / gpu + 1e-9)) if gpu else slots.count
        place = Place(int(slots.resources["CPU"]), copies, gpu or 1.0)
        return cls(place, "cuda" if gpu else "cpu", slots.count, slots.count * gpu)

    @classmethod
    def ranks(cls, promotion: PromoteConfig) -> "Placed":
        """As search.promotion will place them. Raises InputError where they do not fit."""
        resources, gpus = worker_resources(promotion, expected_machines())
        ranks = promotion.workers
        place = Place(int(resources["CPU"]), 1 if gpus else ranks, 1.0, ranks)
        return cls(place, "cuda" if gpus else "cpu", 1, float(ranks if gpus else 0))
