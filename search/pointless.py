"""When going on with a search is pointless: what is wrong, and what to do."""

from search.record import TrialRecord
from search.study import Study
from train_fn.errors import OWN_CAUSES, InputError

ALIKE = 3


def hopeless(study: Study, records: list[TrialRecord]) -> InputError | None:
    """The last trials failed alike, by no fault of their parameters, or the first ones did, by whatever: that is
    the machine or the settings, and the others would do so too."""
    last = records[-ALIKE:]
    causes = {record.cause.split(" (")[0] for record in last}
    if len(last) < ALIKE or len(causes) > 1 or any(record.status != "FAILED" for record in last):
        return None
    if len(records) == ALIKE:
        return InputError(
            f"the first {ALIKE} trials all failed: {last[0].cause}\n"
            f"mend that, remove {study.folder} and start again (out of memory: --set micro_batch_tokens=...)"
        )
    if causes <= set(OWN_CAUSES):
        return None
    return InputError(
        f"the last {ALIKE} trials all failed: {last[0].cause}\n"
        f"mend that; the same command goes on, with --trials {len(records) + ALIKE} also for what these have cost"
    )
