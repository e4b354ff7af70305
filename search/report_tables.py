"""The tables of the report, and its short form: what a study's record says, as text."""

from dataclasses import dataclass

from search.record import TrialRecord
from search.report_facts import Facts, counts, judged, reached, rungs, verdict
from search.wording import ascii_line, clock, describe, loss

FACTS = ("fact", "value")  # the head of a table of single facts
METRICS = {  # of validation, as a trial records them: what a reader calls each
    "log_loss": "log loss (nats)",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "tpr_at_fpr_5": "TPR at FPR 5 %",
    "tpr_at_fpr_1": "TPR at FPR 1 %",
    "ece": "calibration error",
}


@dataclass(frozen=True)
class Table:
    """Cells as text, row by row; every row is as long as `head`."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def rung_table(facts: Facts) -> Table:
    """Of each rung: how many trials came so far, how many were stopped before the next, the lowest log loss."""
    marks = [*rungs(facts.config.search), 100.0]
    rows = []
    for mark, following in zip(marks, [*marks[1:], float("inf")], strict=True):
        came = [record for record in facts.records if reached(record) >= mark]
        ended = [record for record in came if reached(record) < following]
        values = [value for _, value in judged(facts, mark)]
        stopped = ", ".join(str(record.number) for record in ended if record.status == "PRUNED")
        rows.append((f"{mark:g} %", str(len(came)), stopped or "-", loss(min(values, default=None))))
    return Table(
        ("of the run", "trials that came so far", "trials stopped there", "lowest log loss there"),
        tuple(rows),
    )


def cause_kind(cause: str) -> str:
    """The part of a cause that failures share: what stands before its details."""
    return _line(cause).split(" (")[0].split(":")[0] or "no cause recorded"


def failure_table(facts: Facts) -> Table:
    """The failed trials by kind of cause, the commonest first, each with one full message."""
    kinds: dict[str, list[TrialRecord]] = {}
    for record in facts.ended_as("FAILED"):
        kinds.setdefault(cause_kind(record.cause), []).append(record)
    rows = [
        (kind, str(len(found)), ", ".join(str(record.number) for record in found), _line(found[0].cause))
        for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1]))
    ]
    return Table(("cause", "trials", "which", "the first in full"), tuple(rows))


def trial_table(facts: Facts) -> Table:
    """Every ended trial: its parameters, how it ended, and what it cost in time and in share of the total."""
    total = facts.seconds
    rows = tuple(
        (
            str(record.number),
            record.status,
            f"{record.params.learning_rate:.2e}",
            str(record.params.lora_rank),
            f"{record.params.lora_alpha:g}",
            loss(record.value),
            f"{reached(record)} %",
            f"{record.seconds:,.1f}",
            f"{100 * record.seconds / total:.1f} %" if total else "-",
        )
        for record in facts.records
    )
    head = ("trial", "state", "learning rate", "rank", "alpha", "log loss", "reached", "seconds", "share")
    return Table(head, rows)


def versus_table(best: TrialRecord, default: TrialRecord) -> Table:
    """The winner beside the default: parameters, then the validation metrics that either has."""
    ours, theirs = best.params, default.params
    rows = [
        ("learning rate", f"{ours.learning_rate:.2e}", f"{theirs.learning_rate:.2e}", ""),
        ("rank", f"{ours.lora_rank}", f"{theirs.lora_rank}", ""),
        ("alpha", f"{ours.lora_alpha:g}", f"{theirs.lora_alpha:g}", ""),
        (
            "alpha / rank",
            f"{ours.lora_alpha / ours.lora_rank:g}",
            f"{theirs.lora_alpha / theirs.lora_rank:g}",
            "",
        ),
    ]
    for key, name in METRICS.items():
        one, other = best.metrics.get(key), default.metrics.get(key)
        gap = "-" if one is None or other is None else f"{one - other:+.4f}"
        if one is not None or other is not None:
            rows.append((name, loss(one), loss(other), gap))
    rows.append(("seconds", f"{best.seconds:,.1f}", f"{default.seconds:,.1f}", ""))
    head = ("", f"winner (trial {best.number})", "default (trial 0)", "winner - default")
    return Table(head, tuple(rows))


def short_form(facts: Facts) -> list[str]:
    """The lines for the terminal: what ended, the winner beside the default, failures, cost."""
    best, default = facts.best, facts.default
    lines = [f"trials   {counts(facts)}"]
    if best is None:
        lines.append("winner   none, for no trial is complete")
    else:
        lines.append(f"winner   trial {best.number}: log loss {loss(best.value)}, {describe(best.params)}")
    if default:
        told = f"log loss {loss(default.value)}" if default.status == "COMPLETE" else default.status
        same = " (the winner)" if best and best.number == 0 else ""
        lines.append(f"default  trial 0: {told}, {describe(default.params)}{same}")
    if facts.confirmed or facts.missing:
        lines.append(f"verdict  {verdict(facts)}")
    for kind, number, which, _ in failure_table(facts).rows:
        lines.append(f"failed   {number} by {kind}: trial {which}")
    if facts.records:
        dear = max(facts.records, key=lambda record: record.seconds)
        lines.append(
            f"cost     {clock(facts.seconds)} of training, {clock(dear.seconds)} of it in trial {dear.number}"
        )
    return [ascii_line(line) for line in lines]


def _line(text: str) -> str:
    return " ".join(text.split())
