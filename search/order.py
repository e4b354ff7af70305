"""What the command line of a promotion asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from search.choice import Choice
    from search.foresee import Request
    from train_fn.delivery import Delivery


Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override the study's settings or configs/promote.yaml"),
]


class LearningRate(StrEnum):
    """What becomes of the winner's learning rate."""

    COPY = "copy"
    TRANSFER = "transfer"


Rate = Annotated[LearningRate, typer.Option(help="keep the trial's, or move it to the longer run")]
Top = Annotated[int, typer.Option(min=1, help="run so many and the default on fractions, promote the best")]
Decontaminate = Annotated[
    bool, typer.Option("--decontaminate", help="score without rows that the search trained on")
]


@dataclass(frozen=True)
class Order:
    """What is to be promoted and how it is found; the configuration comes beside it."""

    study: str | None
    trial: int | None
    top: int
    learning_rate: LearningRate
    replace: bool
    decontaminate: bool
    request: "Request"
    delivery: "Delivery"
    storage: str | None

    def told(self, choice: "Choice") -> str:
        """Lines that say what is promoted, and why."""
        if self.top > 1:
            found = f"the best of {self.top} trials of {choice.study.name} and the default"
            return f"promotes {found}: {choice.reason}"
        return (
            f"promotes {choice.trial.trial_id}: {choice.reason}\n"
            f"         {choice.trial.params.model_dump_json()}, everything else as in that study"
        )

    def check(self, best: bool, given: Mapping[str, Any]) -> None:
        """Raises InputError when the parts contradict each other or `given`, the overrides of the settings."""
        from search.space import Point
        from train_fn.errors import InputError

        fixed = [key for key in Point.model_fields if key in given]
        if not (best or self.study):
            raise InputError("say which trial: --best, or --study NAME with or without --trial NUMBER")
        if self.top > 1 and self.trial is not None:
            raise InputError(
                f"--top {self.top} chooses the trial, so --trial {self.trial} must not; give one of them"
            )
        if self.top > 1 and fixed:
            raise InputError(
                f"--top {self.top} chooses {fixed[0]} among the trials, so --set must not; give one of them"
            )
        if self.learning_rate is LearningRate.TRANSFER and "learning_rate" in fixed:
            raise InputError(
                "--learning-rate transfer chooses learning_rate, so --set must not; give one of them"
            )
