"""What a run's folder says of its state: to its worker, that it may stop; to a search, what a killed one left."""

import shutil
from pathlib import Path

from search.record import LOCK, Asked, TrialRecord
from train_fn.errors import InputError
from train_fn.storage import write_text

PRUNED_FILE = ".pruned"
PASSED_FILE = ".passed"
ORPHAN_SECONDS = 120  # a killed search's workers die within seconds of it; a stuck disk may hold one longer


def note_passed(folder: Path, progress: float) -> None:
    """Keep that the scheduler let a trial go on at that percent of its run; it may hear of it again."""
    if progress > passed(folder):
        write_text(folder / PASSED_FILE, str(progress))


def passed(folder: Path) -> float:
    """Percent of its run up to which an unfinished trial was let go on by the searches that it was left by.

    Its own curve may be longer: a worker outlives its search by seconds, and what it did in them was not judged.
    """
    file = folder / PASSED_FILE
    return float(file.read_text(encoding="utf-8")) if file.exists() else 0.0


def wait_for_orphan(folder: Path, run: Asked) -> None:
    """Wait for a worker that outlives its search by moments. Raises InputError when one outlives it by minutes.

    The lock is removed then: from here on it says that the run has begun in the search at hand.
    """
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
    """Let the worker of a pruned trial know at once that it may stop; Tune tells it with the next trial only. One
    that ended otherwise, without its worker's doing perhaps, leaves nothing to continue."""
    if record.status != "PRUNED":
        drop_checkpoints(folder)
    elif folder.exists():
        (folder / PRUNED_FILE).touch()


def drop_checkpoints(folder: Path) -> None:
    """The run will never go on."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
