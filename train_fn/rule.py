"""What a score means: the rule that makes it a probability and a verdict, from validation (thresholds.json).

A score is a text's margin, the AI logit less the human logit. Its probability is the sigmoid of margin over
temperature; at a false positive rate of 5 or 1 % its verdict is AI_Generated from the threshold on.
"""

from dataclasses import dataclass
from pathlib import Path

from scipy.special import expit

from train_fn.config import LABELS
from train_fn.errors import InputError
from train_fn.storage import read_json
from train_fn.thresholds import TARGETS, THRESHOLDS, Thresholds
from train_fn.values import build

UNCHOSEN = "no verdict and no calibration: the run has no thresholds.json"


@dataclass(frozen=True)
class Verdict:
    """AI_Generated or Human_Written, the threshold (a margin) and whose it is; None without one, and a note."""

    verdict: str | None = None
    threshold: float | None = None
    threshold_of: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """The thresholds of a run at one false positive rate, in percent; without any it gives no verdict."""

    thresholds: Thresholds | None
    fpr: int

    @classmethod
    def open(cls, run: Path, fpr: int) -> "Rule":
        """Raises InputError for another rate, or a file that is not of this form."""
        if fpr not in TARGETS.values():
            raise InputError(f"--fpr must be 5 or 1 (percent of human texts), but got {fpr}")
        file = run / THRESHOLDS
        if not file.exists():
            return cls(None, fpr)
        try:
            values = dict(read_json(file))
        except (ValueError, TypeError) as error:
            raise InputError(f"{file} must hold a JSON object, but: {error}; copy it again") from error
        return cls(build(Thresholds, values, str(file)), fpr)

    @property
    def _key(self) -> str:
        return f"fpr_{self.fpr}"

    def probability(self, margin: float) -> float:
        """P(AI_Generated), 0 to 1."""
        return float(expit(margin / (self.thresholds.temperature if self.thresholds else 1.0)))

    def verdict(self, margin: float, domain: str | None) -> Verdict:
        """By the domain's own threshold where it has one, else by the global one."""
        if self.thresholds is None:
            return Verdict(note=UNCHOSEN)
        note = ""
        if domain:
            own = self.thresholds.domains.get(domain, {}).get(self._key)
            if own and own.margin is not None:
                return Verdict(_called(margin, own.margin), own.margin, domain)
            why = own.why if own else "it is none of the run's domains"
            note = f"no threshold of domain {domain!a}: {why}"
        least = self.thresholds.everywhere[self._key]
        if least.margin is None:
            return Verdict(note=f"no verdict at FPR {self.fpr} %: {least.why}")
        return Verdict(_called(margin, least.margin), least.margin, "global", note)


def _called(margin: float, least: float) -> str:
    return LABELS[0] if margin >= least else LABELS[1]
