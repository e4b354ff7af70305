"""What a study's record says, as numbers: the trials, the rungs, the verdict."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from search.config import SearchConfig
from search.confirm import Confirmed
from search.record import StudyConfig, TrialRecord
from search.study import Study
from train_fn.errors import InputError


@dataclass(frozen=True)
class Facts:
    """One study's record: `records` are the ended trials by number, `under_way` those asked for and not ended.

    `best` is the trial to promote, if any. `confirmed` is there once the winner is, `missing` are the runs of the
    confirmation that are still to be made.
    """

    name: str
    config: StudyConfig
    records: tuple[TrialRecord, ...]
    under_way: tuple[int, ...]
    best: TrialRecord | None = None
    confirmed: Confirmed | None = None
    missing: int = 0

    @classmethod
    def of(cls, study: Study) -> "Facts":
        """Read the record; safe beside a running search. Raises InputError for one this version cannot read."""
        config = study.config()
        try:
            records = sorted(study.records(), key=lambda record: record.number)
            ended = {record.number for record in records}
            under_way = tuple(number for number in study.asked() if number not in ended)
            winner, missing = study.winner(), len(study.confirmation().missing)
        except ValueError as error:
            raise InputError(
                f"the trials of study {study.name} must be a record of this version, but: {error}; "
                "search anew, or report with the version that searched"
            ) from error
        best, confirmed = (winner.trial, winner.confirmed) if winner else (None, None)
        return cls(study.name, config, tuple(records), under_way, best, confirmed, missing)

    @cached_property
    def default(self) -> TrialRecord | None:
        """Trial 0, the default configuration, once it has ended."""
        return next((record for record in self.records if record.number == 0), None)

    @property
    def seconds(self) -> float:
        """Of all ended trials together."""
        return sum(record.seconds for record in self.records)

    def ended_as(self, status: str) -> list[TrialRecord]:
        """The trials that ended as COMPLETE, PRUNED or FAILED."""
        return [record for record in self.records if record.status == status]

    def valued(self, *statuses: str) -> list[tuple[TrialRecord, float]]:
        """The trials that ended so and have a value, each with it."""
        found = [record for record in self.records if record.status in statuses]
        return [(record, record.value) for record in found if record.value is not None]

    def marked(self) -> list[tuple[TrialRecord, float, Literal["winner", "default"]]]:
        """The trials that pictures point out: the winner, then the default where it has a value."""
        both: list[tuple[TrialRecord | None, Literal["winner", "default"]]]
        both = [(self.best, "winner"), (self.default, "default")]
        return [(item, item.value, which) for item, which in both if item and item.value is not None]


def reached(record: TrialRecord) -> int:
    """The percent of its run at which a trial was evaluated last; 0 when it never was."""
    return record.curve[-1][0] if record.curve else 0


def rungs(search: SearchConfig) -> list[float]:
    """The percents of a run at which ASHA judges: grace * factor**k below 100 (Li et al. 2020, section 3.1)."""
    found, percent = [], float(search.grace_percent)
    while percent < 100:
        found.append(percent)
        percent *= search.reduction_factor
    return found


def judged(facts: Facts, mark: float) -> list[tuple[TrialRecord, float]]:
    """The trials that came to `mark` percent, with their log loss at the first evaluation from there on."""
    found = []
    for record in facts.records:
        values = [value for percent, value in record.curve if percent >= mark]
        found += [(record, values[0])] if values else []
    return found


def saved_seconds(facts: Facts) -> float:
    """What the pruned trials would have taken beyond what they took, each at its own pace."""
    pruned = [(record.seconds, reached(record)) for record in facts.ended_as("PRUNED")]
    return sum(seconds * (100 / percent - 1) for seconds, percent in pruned if percent)


def verdict(facts: Facts) -> str:
    """The winner against the default in a sentence, without a claim that one run each cannot carry."""
    if facts.confirmed:
        return facts.confirmed.sentence
    left = f" {facts.missing} runs of its confirmation are missing." if facts.missing else ""
    return f"{_unconfirmed(facts)}{left}"


def _unconfirmed(facts: Facts) -> str:
    best, default = facts.best, facts.default
    if facts.records and len(facts.ended_as("FAILED")) == len(facts.records):
        return f"All {len(facts.records)} ended trials failed, so there is no winner; the causes stand below."
    if best is None or best.value is None:
        return "No trial is complete, so there is no winner."
    if default is None or default.value is None or default.status != "COMPLETE":
        state = default.status if default else "not there yet"
        return f"Trial {best.number} has the lowest log loss; the default, {state}, cannot be set beside it."
    if best.number == default.number:
        return "The default configuration has the lowest log loss of all trials."
    gap = default.value - best.value
    share = f" ({100 * gap / default.value:.0f} %)" if default.value else ""
    return (
        f"Trial {best.number} has a log loss {gap:.4f} nats{share} below the default's, with one run of each."
    )


def counts(facts: Facts) -> str:
    """How many trials ended in which state, in words."""
    told = Counter(record.status for record in facts.records)
    words = [f"{count} {state}" for state, count in sorted(told.items())]
    words += [f"{len(facts.under_way)} under way"] if facts.under_way else []
    return ", ".join(words) or "none ended"


def wall_seconds(records: Sequence[TrialRecord]) -> float:
    """From the first trial's start to the last one's end, pauses included."""
    starts = [datetime.fromisoformat(record.started) for record in records]
    ends = [datetime.fromisoformat(record.ended) for record in records]
    return (max(ends) - min(starts)).total_seconds() if records else 0.0
