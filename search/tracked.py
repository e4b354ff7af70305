"""The study itself in W&B: one run beside those of its trials, with what compares them.

Written from the record when a search ends, whatever ended it, and again when it goes on: the later one replaces
the one before. W&B draws parallel coordinates of its own too, for each trial is a run of the study's group.
"""

from pathlib import Path
from typing import Any

from search.record import ConfirmRecord, TrialRecord
from search.report_facts import Facts, reached, verdict
from search.report_page import FILE, shares_of
from search.report_sections import Shares
from search.study import Study
from train_fn.config import PROJECT_NAME
from train_fn.storage import Paths
from train_fn.tracking import RunInfo, close_all, guarded, open_tracker, tracked
from train_fn.tracking_charts import BARS, Chart, Page, Shown
from train_fn.tracking_delivery import study_files

METRICS = ("accuracy", "balanced_accuracy", "auroc", "tpr_at_fpr_5", "tpr_at_fpr_1", "ece")
COLUMNS = (
    *("trial", "seed", "state", "learning_rate", "lora_rank", "lora_alpha", "log_loss"),
    *METRICS,
    *("reached_percent", "seconds", "cause"),
)


def track_study(study: Study, paths: Paths, *, interrupted: bool) -> None:
    """Show a study whose report has been written. Waits until that is done; an error is a warning."""
    if tracked():
        guarded(lambda: _track(study, paths, interrupted))
        close_all()


def _track(study: Study, paths: Paths, interrupted: bool) -> None:
    facts, reruns = Facts.of(study), study.reruns()
    shares = shares_of(facts)
    shown = _shown(facts, reruns, shares, study.folder)
    tracker = open_tracker(
        RunInfo(
            id=f"{study.name}-study",
            name=f"{study.name}, the study",
            group=study.name,
            job_type="study",
            project=PROJECT_NAME,
            config=facts.config.model_dump(mode="json"),
            tags=(facts.config.dataset.name, "study"),
            folder=paths.logs / study.name,
        )
    )
    # A step that rises with the record: the server keeps one row a step.
    tracker.log(shown, len(facts.records) + len(reruns))
    tracker.made(study_files(study.folder))
    tracker.finish("INTERRUPTED" if interrupted else "COMPLETE", _summary(facts, shares))


def _shown(
    facts: Facts, reruns: list[ConfirmRecord], shares: Shares, folder: Path
) -> dict[str, float | Shown]:
    """The table of trials, the confirmation's, parallel coordinates, importance, and the whole report."""
    from search.report_space_plots import parallel

    shown: dict[str, float | Shown] = {"trials": Chart(COLUMNS, [_row(record) for record in facts.records])}
    if reruns:
        shown["confirmation"] = Chart(COLUMNS, [_row(record) for record in reruns])
    if facts.valued("COMPLETE", "PRUNED"):
        shown["parallel_coordinates"] = Page(parallel(facts).svg)
    for title, found in shares.items():
        if not isinstance(found, str):
            bars = [(share.name, share.share) for share in found]
            name = "importance_" + ("end" if "end" in title else "rung")
            columns, texts = ("parameter", "importance"), {"title": f"Parameter importance. {title}"}
            shown[name] = Chart(columns, bars, BARS, {"label": "parameter", "value": "importance"}, texts)
    shown["report"] = Page((folder / FILE).read_text(encoding="utf-8"))
    return shown


def _row(record: TrialRecord) -> list[Any]:
    seed = record.seed if isinstance(record, ConfirmRecord) else None
    params = record.params
    return [
        record.number,
        seed,
        record.status,
        params.learning_rate,
        params.lora_rank,
        params.lora_alpha,
        record.value,
        *(record.metrics.get(name) for name in METRICS),
        reached(record),
        record.seconds,
        record.cause,
    ]


def _summary(facts: Facts, shares: Shares) -> dict[str, Any]:
    """The verdict, winner and default, how trials ended, and importance, in words where there is none."""
    states = ("COMPLETE", "PRUNED", "FAILED")
    return {
        "verdict": verdict(facts),
        "best": _told(facts.best),
        "default": _told(facts.default),
        "confirmed": facts.confirmed.model_dump(mode="json") if facts.confirmed else None,
        "trials": {state.lower(): len(facts.ended_as(state)) for state in states},
        "seconds": facts.seconds,
        "importance": {
            title: found if isinstance(found, str) else {share.name: share.share for share in found}
            for title, found in shares.items()
        },
    }


def _told(record: TrialRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {"trial_id": record.trial_id, "log_loss": record.value, **record.params.model_dump()}
