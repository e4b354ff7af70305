"""The fault matrix: what is injected, how many times, and what survives.

    python tests/faults.py        prints it as the table of the README

Each case has one test or more, marked `@fault("its name")`; test_fault_table.py holds the two together.
"""

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Case:
    """One line of the table. `times` counts the injections of one `make test-fault`."""

    injected: str
    times: int
    survives: str


CASES = {
    "a trial's own end": Case(
        "in one search of 9 trials, with a Tune callback that sleeps and a clock that runs backwards: an "
        "exception, kill -9 of the trial's process, a loss of NaN, one of Inf, a trial that hangs, Ray's memory "
        "monitor, the kernel's OOM killer (cgroup)",
        9,
        "each recorded as what it was, all others complete, no checkpoint left",
    ),
    "signals to a search": Case(
        "Ctrl-C and SIGTERM to the process group of a search, once and twice",
        4,
        "ends within 10 s with exit code 130 and the next command; the step it was at and its W&B run are "
        "kept; the same command ends the study, each trial once",
    ),
    "raylet of a search": Case(
        "kill -9 of a search's raylet",
        1,
        "one message, exit code 1; the same command goes on, nothing is lost or repeated",
    ),
    "two commands on one study": Case(
        "the same search a second time beside the first",
        1,
        "the second is refused, and names the first's process",
    ),
    "locked optuna.db": Case(
        "somebody who holds a lock on optuna.db",
        1,
        "one warning; the search goes on, the next start makes it anew",
    ),
    "memory of the device": Case(
        "an allocation that no device has, and a device that holds few tokens (bounded allocator)",
        3,
        "the micro-batch is halved and the run ends as one that began so; or it is recorded as out of memory",
    ),
    "loss that is not finite": Case(
        "a NaN in the weights of the base, met in training and before it",
        2,
        "recorded as such; other runs unchanged",
    ),
    "driver of a promotion": Case(
        "kill -9 of a promotion's driver", 1, "the same bits; meanwhile a second command is refused"
    ),
    "driver of a search": Case(
        "kill -9 of a search's driver: before a result, between two, in a checkpoint's write",
        3,
        "every row; no trial twice, none left out",
    ),
    "signals to a promotion": Case(
        "Ctrl-C and SIGTERM to the process group of a promotion, once and twice",
        2,
        "ends within 10 s with exit code 130 and the next command; ends with the undisturbed run's bits",
    ),
    "worker of a promotion": Case(
        "kill -9 of a promotion's worker", 1, "Ray starts it again from its checkpoint; the same bits"
    ),
    "raylet of a promotion": Case(
        "kill -9 of a promotion's raylet", 1, "one message, exit code 1; then the same bits"
    ),
    "a machine that is taken away": Case(
        "SIGTERM to a search with `--storage`; then its machine's folders are gone",
        1,
        "the same command on another machine goes on from the store: every row, each trial once",
    ),
    "disk full in a search": Case(
        "a disk that is filled while a search runs",
        1,
        "one message, exit code 1; with room again the same command goes on, each trial once",
    ),
    "disk full in a promotion": Case(
        "a disk that is filled while a promotion runs", 1, "one message, exit code 1; then the same bits"
    ),
    "damaged checkpoints": Case(
        "checkpoints cut in half, and of zero bytes: the newest, then all",
        4,
        "the run goes on from the one before, or begins anew; the same bits",
    ),
    "another model's checkpoint": Case("a checkpoint of another model", 1, "refused by name"),
    "W&B slow or gone": Case(
        "a W&B server that takes 2 s an answer, and one that never answers",
        2,
        "the run waits for neither; the slow one has all rows; without one all are on disk, and a line says how "
        "to upload them",
    ),
    "Hub gone in the middle": Case(
        "a Hub whose connection breaks off in the second file", 1, "one message; the next load is whole"
    ),
    "disk full in a run": Case(
        "a disk (tmpfs) that fills up in each kind of write of a run, growing by 32 KB between",
        1,
        "every file whole or absent; the run halts, goes on when there is room, and ends with the same bits",
    ),
    "disk full in a study's record": Case(
        "the same in each kind of write of a study's record",
        1,
        "every row, each once, none half",
    ),
    "read-only output": Case(
        "a read-only disk for the output", 1, "one message that names the folder and `--output`, exit code 2"
    ),
}


def fault(name: str) -> pytest.MarkDecorator:
    """The mark of a test of that case."""
    assert name in CASES, f"say in CASES what {name!r} injects"
    return pytest.mark.fault(name)


def table() -> str:
    """Markdown."""
    rows = [f"| {case.injected} | {case.times} | {case.survives} |" for case in CASES.values()]
    return "\n".join(["| injected | times | what survives |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    print(table())
