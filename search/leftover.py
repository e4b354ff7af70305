"""What a run's folder says of its state: to its worker, that it may stop; to a search, what a killed one left."""

from pathlib import Path

from search.record import LOCK, Asked, TrialRecord, record_of
from train_fn.errors import InputError
from train_fn.storage import read_json, read_lines

PRUNED_FILE = ".pruned"
ORPHAN_SECONDS = 120  # a killed search's workers die within seconds of it; a stuck disk may hold one longer


def left_record(folder: Path, run: Asked) -> TrialRecord | None:
    """The record of a run that had ended without one; None for a run that has to go on.

    Waits for a worker that outlives its search by moments. Raises InputError when one outlives it by minutes.
    """
    _wait_for_orphan(folder, run)
    if not (folder / "result.json").exists():
        return None
    curve = [row for row in read_lines(folder / "curve.jsonl") if row["progress"] < 100]
    return record_of(run, [*curve, read_json(folder / "result.json")])  # it holds 100 %


def passed(folder: Path) -> float:
    """Percent of its run up to which an unfinished trial was let go on by the search that it was left by: that of
    the last evaluation but one, for the last may not have been judged."""
    curve = read_lines(folder / "curve.jsonl")
    return float(curve[-2]["progress"]) if len(curve) > 1 else 0.0


def _wait_for_orphan(folder: Path, run: Asked) -> None:
    """The lock is removed then: from here on it says that the run has begun in the search at hand."""
    from filelock import FileLock, Timeout

    lock = folder / LOCK
    try:
        with FileLock(lock, timeout=ORPHAN_SECONDS):
            lock.unlink()
    except Timeout as error:
        raise InputError(
            f"{run.trial_id} is still written by a process of an earlier search; "
            f"end it (`fuser {lock}` names it) and try again"
        ) from error


def tell(record: TrialRecord, folder: Path) -> None:
    """Let the worker of a pruned trial know at once that it may stop; Tune tells it with the next trial only."""
    if record.status == "PRUNED" and folder.exists():
        (folder / PRUNED_FILE).touch()
