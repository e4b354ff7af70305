"""When going on with a search is pointless: what is wrong, and what to do."""

from search.record import TrialRecord
from search.study import Study
from train_fn.errors import InputError

ALIKE = 3


def unwritable(study: Study, error: Exception) -> InputError:
    """Optuna's storage took no more."""
    return InputError(
        f"{study.folder / 'optuna.db'} cannot be written: {error}\n"
        "free some space or end what locks it; the same command goes on, and nothing finished is lost"
    )


def hopeless(study: Study, records: list[TrialRecord]) -> InputError | None:
    """The first trials failed alike: that is the machine or the settings, and the others would do so too."""
    kinds = {record.cause.split(" (")[0] for record in records}
    if len(records) < ALIKE or len(kinds) > 1 or any(record.status != "FAILED" for record in records):
        return None
    return InputError(
        f"the first {len(records)} trials all failed: {records[0].cause}\n"
        f"mend that, remove {study.folder} and start again (out of memory: --set micro_batch_tokens=...)"
    )
