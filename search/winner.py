"""Which trial a study hands over, and what may be said of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.confirm import DEFAULT, Confirmation, Confirmed
from search.record import ConfirmRecord, StudyConfig, TrialRecord, best_of


@dataclass(frozen=True)
class Winner:
    """The `trial` to promote, a `sentence` on it, and the confirmation that chose it, if there was one."""

    trial: TrialRecord
    sentence: str
    confirmed: Confirmed | None

    def told(self, study: str, config: StudyConfig, records: Iterable[TrialRecord]) -> dict[str, Any]:
        """best.json: the winner beside the default."""
        known = list(records)
        default = next((record for record in known if record.number == DEFAULT), None)
        about = {"trial_id", "number", "params", "value", "metrics"}
        return {
            "study": study,
            **self.trial.model_dump(mode="json", include=about),
            "sentence": self.sentence,
            "confirmed": self.confirmed and self.confirmed.model_dump(mode="json"),
            "default": default and default.model_dump(mode="json", include={"params", "status", "value"}),
            "dataset": config.dataset.model_dump(mode="json"),
            "model": config.train.model,
            "trials": len(known),
        }


def find_winner(
    config: StudyConfig,
    records: Sequence[TrialRecord],
    reruns: Iterable[ConfirmRecord],
    folder_of: Callable[[ConfirmRecord], Path],
) -> Winner | None:
    """The confirmed winner; until there is one, the lowest complete trial. None where no trial is complete."""
    confirmation = Confirmation.of(config, records, reruns)
    confirmed = confirmation.judged(folder_of)
    number = confirmed.winner if confirmed else None
    trial = next((item for item in records if item.number == number), None) or best_of(records)
    if trial is None:
        return None
    return Winner(trial, confirmed.sentence if confirmed else confirmation.unconfirmed(trial), confirmed)
