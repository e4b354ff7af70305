"""K adapters and heads on one frozen base, which multiplies once for all of them.

The K trials' activations lie one after the other on the batch dimension. Attention, norms, MLP and the frozen
linear layers work on all K * batch rows at once; each adapter adds its update to its own rows alone.
"""

from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

from search.space import Point
from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.loop import Learner, make_learner
from train_fn.model import Base, attach

OWN = set(Point.model_fields)  # what a search varies; the rest is the same in a pack


@dataclass(frozen=True)
class Trial:
    """One member of a pack: its configuration, and the very module and optimiser of a plain run."""

    config: TrainConfig
    learner: Learner


def new_trial(base: Base, config: TrainConfig) -> Trial:
    """A trial before its first step."""
    detector = attach(base, config)
    return Trial(config, make_learner(detector, detector.trainable(), config))


class PackedLora(nn.Module):
    """One frozen linear layer and the LoRA updates of K trials, in the arithmetic of PEFT's layer.

    The updates are multiplied one after the other, for ranks differ: padded to the largest and multiplied as one
    batch they took 9 % longer in the median of twelve shapes on a CPU (0.95 to 1.37 times).
    """

    def __init__(self, layers: list[Any], dropout: float) -> None:
        super().__init__()
        self.base_layer = layers[0].base_layer
        self._dropout = dropout
        (name,) = layers[0].active_adapters
        self._updates = [(layer.lora_A[name], layer.lora_B[name], layer.scaling[name]) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        """x [K * batch, length, in_features] to [K * batch, length, out_features], trial after trial."""
        result = self.base_layer(x)
        parts = x.to(self._updates[0][0].weight.dtype).unflatten(0, (len(self._updates), -1))
        if self.training and self._dropout:
            # A plain run's masks follow from (seed, step, rank), which the trials share: one serves them all.
            parts = parts * functional.dropout(torch.ones_like(parts[0]), self._dropout)
        updates = [
            (up(down(part)) * scaling).to(result.dtype)
            for part, (down, up, scaling) in zip(parts.unbind(), self._updates, strict=True)
        ]
        return result + torch.cat(updates)


class Pack(nn.Module):
    """The trials that train together; whatever is trained is theirs, so a pack of some of them goes on."""

    def __init__(self, base: Base, trials: list[Trial]) -> None:
        """Raises InputError where the trials differ in more than what is OWN to each."""
        super().__init__()
        shared = [trial.config.model_dump(exclude=OWN) for trial in trials]
        if any(config != shared[0] for config in shared):
            own = ", ".join(sorted(OWN))
            raise InputError(f"packed trials must be the same but for {own}; train the others apart")
        self.trials = trials
        self._base = base
        config = trials[0].config
        models = [trial.learner.model.peft.base_model.model for trial in trials]
        self._heads = [model.score for model in models]
        host = attach(base, config).peft.base_model.model  # its own adapter gives way to the trials'
        for name, layer in list(host.named_modules()):
            if isinstance(layer, LoraLayer):
                layers = [model.get_submodule(name) for model in models]
                host.set_submodule(name, PackedLora(layers, config.lora_dropout))
        self.body = getattr(host, host.base_model_prefix)
        self.train()

    def of(self, trials: list[Trial]) -> "Pack":
        """A pack of some of these trials, the others dropped."""
        return Pack(self._base, trials)

    def forward(self, input_ids: Tensor, last: Tensor) -> list[Tensor]:
        """Each trial's logits [texts, 2]; input_ids [texts, length] and last [texts] as Detector takes them."""
        count = len(self.trials)
        hidden = self.body(input_ids=input_ids.repeat(count, 1)).last_hidden_state
        return [
            head(part.flatten(0, 1)[last].to(next(head.parameters()).dtype))
            for head, part in zip(self._heads, hidden.chunk(count), strict=True)
        ]
