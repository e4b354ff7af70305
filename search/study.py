"""The record of a search on disk. It is the truth: Optuna's storage and the scheduler are rebuilt from it.

studies/NAME/  config.yaml    resolved settings, and what the data was
               trials/0003/   params.json from the moment a trial is asked for; the worker writes the rest
               trials.jsonl   one row an ended trial, in the order in which they ended
               best.json      the best complete trial beside the default, rewritten whenever a trial ends
               audit.json     what was found of the data before the search
               train_texts.npy  hashes of the texts that the trials train on
               optuna.db      a view for optuna-dashboard, rebuilt at every start
Only the one search that holds the study's lock writes these, save for what is in a trial's own folder.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from search.record import Asked, StudyConfig, TrialRecord, best_of, now, record_of
from search.space import Point
from train_fn.config import read_yaml
from train_fn.errors import InputError
from train_fn.storage import Paths, append_line, read_json, read_lines, write_json, write_text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ORPHAN_SECONDS = 120  # a killed search's workers die within seconds of it; a stuck disk may hold one longer


@dataclass(frozen=True)
class Study:
    """One study's folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def stop_file(self) -> Path:
        """Present while a search is being interrupted: running trials end at their next micro-batch."""
        return self.folder / ".stop"

    @property
    def texts_file(self) -> Path:
        """Hashes of the texts that the trials train on, uint64 [rows, 2]: what a promotion compares with."""
        return self.folder / "train_texts.npy"

    def trial_id(self, number: int) -> str:
        """The id of a trial everywhere: here, in W&B, in a promotion's lineage."""
        return f"{self.name}-{number:04d}"

    def trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def trial_lock(self, number: int) -> Path:
        """Held by the process that writes into the trial's folder, and freed by its death; stays as a file."""
        return self.trial_folder(number) / ".lock"

    def config(self) -> StudyConfig:
        """The settings the study was made for. Raises InputError."""
        file = self.folder / "config.yaml"
        try:
            return StudyConfig.model_validate(read_yaml(file))
        except ValueError as error:
            raise InputError(f"{file} is no configuration of a study: {error}") from error

    def adopt_config(self, config: StudyConfig) -> None:
        """Write config.yaml; one that is there must be for the same settings. Raises InputError."""
        if (self.folder / "config.yaml").exists():
            there, given = self.config().identity, config.identity
            lines = [
                f"{key}: {there.get(key)} in the study, {given.get(key)} now"
                for key in sorted({*there, *given})
                if there.get(key) != given.get(key)
            ]
            if lines:
                raise InputError(
                    f"study {self.name} was made for other settings:\n  " + "\n  ".join(lines) + "\n"
                    "give the same settings, another --study, or none (then the settings make the name)"
                )
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=False)
        write_text(self.folder / "config.yaml", "# config.yaml: resolved, as the search used it\n" + text)

    def ask(self, number: int, params: Point) -> Asked:
        """Record that a trial is asked for: from now on it is continued until it has ended."""
        asked = Asked(trial_id=self.trial_id(number), number=number, params=params, asked=now())
        write_json(self.trial_folder(number) / "params.json", asked.model_dump(mode="json"))
        return asked

    def asked(self) -> dict[int, Asked]:
        """Every trial that was asked for, by number, in the order of the numbers."""
        files = sorted((self.folder / "trials").glob("[0-9]*/params.json"))
        trials = [Asked.model_validate(read_json(file)) for file in files]
        return {trial.number: trial for trial in sorted(trials, key=lambda trial: trial.number)}

    def records(self) -> list[TrialRecord]:
        """The ended trials, in the order in which they ended. Safe beside a running search."""
        file = self.folder / "trials.jsonl"
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []  # the last may be half written
        return [TrialRecord.model_validate_json(line) for line in lines]

    def unfinished(self) -> list[Asked]:
        """Trials asked for and not ended, in the order of their numbers."""
        ended = {record.number for record in self.records()}
        return [trial for number, trial in self.asked().items() if number not in ended]

    def end(self, record: TrialRecord) -> None:
        """Record an ended trial."""
        append_line(self.folder / "trials.jsonl", record.model_dump(mode="json"))
        self.write_best()

    def repair(self) -> None:
        """Take in what a killed search left: half a row, a trial that ended without one, an old best.json."""
        self.stop_file.unlink(missing_ok=True)
        read_lines(self.folder / "trials.jsonl")
        for trial in self.unfinished():
            folder = self.trial_folder(trial.number)
            self._wait_for_orphan(trial.number)
            if (folder / "result.json").exists():
                curve = [row for row in read_lines(folder / "curve.jsonl") if row["progress"] < 100]
                self.end(record_of(trial, [*curve, read_json(folder / "result.json")]))  # it holds 100 %
        self.write_best()

    def _wait_for_orphan(self, number: int) -> None:
        """A worker of a killed search may outlive it by moments, and may still be writing.

        The lock is removed then: from here on it says that the trial has begun in the search at hand.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.trial_lock(number), timeout=ORPHAN_SECONDS):
                self.trial_lock(number).unlink()
        except Timeout as error:
            raise InputError(
                f"trial {number} of study {self.name} is still written by a process of an earlier search; "
                f"end it (`fuser {self.trial_lock(number)}` names it) and try again"
            ) from error

    def write_best(self) -> None:
        """best.json: the winner beside the default; absent until a trial is complete."""
        records = self.records()
        best = best_of(records)
        if best is None:
            return
        config = self.config()
        default = next((record for record in records if record.number == 0), None)
        write_json(
            self.folder / "best.json",
            {
                "study": self.name,
                **best.model_dump(mode="json", include={"trial_id", "number", "params", "value", "metrics"}),
                "default": default and default.model_dump(mode="json", include={"params", "status", "value"}),
                "dataset": config.dataset.model_dump(mode="json"),
                "model": config.train.model,
                "trials": len(records),
            },
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only search of this study. Raises InputError that names the one at work."""
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        lock, holder = FileLock(self.folder / ".lock"), self.folder / ".holder"
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            pid = holder.read_text() if holder.exists() else "unknown"
            raise InputError(
                f"study {self.name} is being searched by process {pid}; wait for it, end it, or use --study"
            ) from error
        with lock:
            write_text(holder, str(os.getpid()))
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
                lock.release()


def open_study(paths: Paths, name: str) -> Study:
    """The study of that name, which need not exist yet. Raises InputError for what is no folder name."""
    if not NAME.fullmatch(name):
        raise InputError(
            "--study takes at most 64 letters, digits, '.', '_' and '-', the first a letter or digit, "
            f"but got {name!r}"
        )
    return Study(paths.studies / name)
