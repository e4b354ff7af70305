"""What a score means: probability and verdict, by the thresholds that were chosen on validation (thresholds.json).

A score is a text's margin, the AI logit less the human logit. Its probability is the sigmoid of margin over
temperature; at a false positive rate of 5 or 1 % its verdict is AI_Generated from the threshold on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field
from scipy.special import expit

from train_fn.config import LABELS
from train_fn.errors import InputError
from train_fn.storage import read_json
from train_fn.values import Frozen, build

FPRS = (5, 1)  # percent of human texts
UNCHOSEN = "no verdict and no calibration: the run has no thresholds.json"


class _Read(Frozen):
    model_config = ConfigDict(extra="ignore")  # the counts behind a threshold are for its reader


class Threshold(_Read):
    """The lowest margin that is called AI_Generated; None where the validation texts carry none, and why."""

    margin: float | None
    why: str = ""


class Pair(_Read):
    """The thresholds of both rates."""

    fpr_5: Threshold
    fpr_1: Threshold

    def at(self, fpr: int) -> Threshold:
        return self.fpr_5 if fpr == 5 else self.fpr_1


class Thresholds(_Read):
    """thresholds.json, as far as a score needs it."""

    version: Literal[1]
    temperature: float = Field(gt=0)
    everywhere: Pair = Field(alias="global")
    domains: dict[str, Pair]


@dataclass(frozen=True)
class Verdict:
    """AI_Generated or Human_Written, the threshold (a margin) and whose it is; None without one, and a note."""

    verdict: str | None = None
    threshold: float | None = None
    threshold_of: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Judge:
    """The thresholds of a run at one false positive rate, in percent; without any it gives no verdict."""

    thresholds: Thresholds | None
    fpr: int

    @classmethod
    def open(cls, run: Path, fpr: int) -> "Judge":
        """Raises InputError for another rate, or a file that is not of this form."""
        if fpr not in FPRS:
            raise InputError(f"--fpr must be 5 or 1 (percent of human texts), but got {fpr}")
        file = run / "thresholds.json"
        if not file.exists():
            return cls(None, fpr)
        try:
            values = dict(read_json(file))
        except (ValueError, TypeError) as error:
            raise InputError(f"{file} must hold a JSON object, but: {error}; copy it again") from error
        return cls(build(Thresholds, values, str(file)), fpr)

    def probability(self, margin: float) -> float:
        """P(AI_Generated), 0 to 1."""
        return float(expit(margin / (self.thresholds.temperature if self.thresholds else 1.0)))

    def verdict(self, margin: float, domain: str | None) -> Verdict:
        """By the domain's own threshold where it has one, else by the global one."""
        if self.thresholds is None:
            return Verdict(note=UNCHOSEN)
        note = ""
        if domain:
            pair = self.thresholds.domains.get(domain)
            own = pair.at(self.fpr) if pair else Threshold(margin=None, why="it is none of the run's domains")
            if own.margin is not None:
                return Verdict(_called(margin, own.margin), own.margin, domain)
            note = f"no threshold of domain {domain!a}: {own.why}"
        least = self.thresholds.everywhere.at(self.fpr)
        if least.margin is None:
            return Verdict(note=f"no verdict at FPR {self.fpr} %: {least.why}")
        return Verdict(_called(margin, least.margin), least.margin, "global", note)


def _called(margin: float, least: float) -> str:
    return LABELS[0] if margin >= least else LABELS[1]
