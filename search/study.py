"""The record of a search on disk. It is the truth: Optuna's storage and the scheduler are rebuilt from it.

studies/NAME/  config.yaml    resolved settings, and what the data was
               trials/0003/   params.json from the moment a trial is asked for; the worker writes the rest
               trials.jsonl   one row an ended trial, in the order in which they ended
               confirm/0003-43/  trial 3 again with seed 43, its loss on each row that judges, the rows' groups
               confirm.jsonl  one row an ended run of the confirmation
               best.json      the winner beside the default, rewritten whenever a run ends
               prior.json     what was taken from an earlier study when this one began
               fidelity.json  whether that study's set predicts this one; rewritten with the report
               forecast.json, sittings.json  how long it was to take, and how long it took
               audit.json     what was found of the data before the search
               train_texts.npy  hashes of the texts that the trials train on
               optuna.db      a view for optuna-dashboard, rebuilt at every start
Only the one search that holds the study's lock writes these, save for what is in a trial's own folder.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from search.confirm import Confirmation
from search.leftover import drop_checkpoints, tell, wait_for_orphan
from search.record import Asked, ConfirmRecord, Item, Rerun, StudyConfig, TrialRecord, item_of, now, read_item
from search.space import Point
from search.winner import Winner, find_winner
from train_fn.errors import InputError
from train_fn.locks import only_one
from train_fn.storage import Paths, append_line, read_json, read_lines, write_json, write_text
from train_fn.values import read_yaml, summed_up

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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

    def trial_id(self, number: int, seed: int | None = None) -> str:
        """The id of a trial, or of its run with another seed, everywhere: here, in W&B, in a lineage."""
        return f"{self.name}-{number:04d}" + ("" if seed is None else f"-s{seed}")

    def trial_folder(self, number: int, seed: int | None = None) -> Path:
        if seed is not None:
            return self.folder / "confirm" / f"{number:04d}-{seed}"
        return self.folder / "trials" / f"{number:04d}"

    def folder_of(self, run: Asked | TrialRecord) -> Path:
        """The folder of a trial, or of a run of the confirmation."""
        return self.trial_folder(run.number, run.seed if isinstance(run, Rerun | ConfirmRecord) else None)

    def config(self) -> StudyConfig:
        """The settings the study was made for. Raises InputError."""
        file = self.folder / "config.yaml"
        try:
            return StudyConfig.model_validate(read_yaml(file))
        except ValueError as error:
            raise InputError(
                f"{file} is no configuration of a study: {summed_up(error)}; put it back, or search anew (--study)"
            ) from error

    def check_config(self, config: StudyConfig) -> None:
        """A config.yaml that is there must be for the same settings. Raises InputError."""
        if (self.folder / "config.yaml").exists() and (lines := self.config().unlike(config)):
            raise InputError(
                f"study {self.name} was made for other settings:\n  " + "\n  ".join(lines) + "\n"
                "give the same settings, another --study, or none (then the settings make the name)"
            )

    def adopt_config(self, config: StudyConfig) -> None:
        """Write config.yaml. Raises InputError when the study is there for other settings."""
        self.check_config(config)
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
        trials = [read_item(Asked, file) for file in files]
        return {trial.number: trial for trial in sorted(trials, key=lambda trial: trial.number)}

    def records(self) -> list[TrialRecord]:
        """The ended trials, in the order in which they ended. Safe beside a running search. Raises InputError."""
        return self._lines("trials.jsonl", TrialRecord)

    def unfinished(self) -> list[Asked]:
        """Trials asked for and not ended, in the order of their numbers."""
        ended = {record.number for record in self.records()}
        return [trial for number, trial in self.asked().items() if number not in ended]

    def ask_again(self, number: int, seed: int) -> Rerun:
        """Record that a trial is run again with another seed; as it was asked for, where it was already."""
        file = self.trial_folder(number, seed) / "params.json"
        if not file.exists():
            trial = read_json(self.trial_folder(number) / "params.json")
            again = {"trial_id": self.trial_id(number, seed), "asked": now(), "seed": seed}
            write_json(file, {**trial, **again})
        return read_item(Rerun, file)

    def reruns(self) -> list[ConfirmRecord]:
        """The ended runs of the confirmation, in the order in which they ended. Raises InputError."""
        return self._lines("confirm.jsonl", ConfirmRecord)

    def confirmation(self) -> Confirmation:
        """What the study as it is asks to be run again, and what has been."""
        return Confirmation.of(self.config(), self.records(), self.reruns())

    def winner(self) -> Winner | None:
        """The trial to promote, as the record stands."""
        return find_winner(self.config(), self.records(), self.reruns(), self.folder_of)

    def end(self, record: TrialRecord) -> None:
        """Record an ended trial, or an ended run of the confirmation."""
        file = "confirm.jsonl" if isinstance(record, ConfirmRecord) else "trials.jsonl"
        append_line(self.folder / file, record.model_dump(mode="json"))
        tell(record, self.folder_of(record))
        self.write_best()

    def _lines(self, name: str, kind: type[Item]) -> list[Item]:
        file = self.folder / name
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []  # the last may be half written
        return [item_of(kind, line, file) for line in lines]

    def repair(self) -> None:
        """Take in what a killed search left: half a row, files that nobody will finish, an old best.json.

        A trial that ended without a row is unfinished: its worker will find its result, and send what it sent, for
        the scheduler to judge.
        """
        self.stop_file.unlink(missing_ok=True)
        for name in ("trials.jsonl", "confirm.jsonl"):
            read_lines(self.folder / name)
        for run in (*self.unfinished(), *self._unfinished_reruns()):
            wait_for_orphan(self.folder_of(run), run)
        for record in (*self.records(), *self.reruns()):
            drop_checkpoints(self.folder_of(record))
        for runs in ("trials", "confirm"):
            for left in (self.folder / runs).rglob(".*.tmp"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.write_best()

    def _unfinished_reruns(self) -> list[Rerun]:
        files = sorted((self.folder / "confirm").glob("*/params.json"))
        ended = {record.trial_id for record in self.reruns()}
        runs = [read_item(Rerun, file) for file in files]
        return [run for run in runs if run.trial_id not in ended]

    def write_best(self) -> None:
        """best.json: the winner beside the default; absent until a trial is complete."""
        if winner := self.winner():
            write_json(self.folder / "best.json", winner.told(self.name, self.config(), self.records()))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only search of this study. Raises InputError that names the one at work."""
        busy = f"study {self.name} is being searched by {{}}; wait for it, end it, or use --study"
        with only_one(self.folder / ".lock", busy):
            yield


def open_study(paths: Paths, name: str) -> Study:
    """The study of that name, which need not exist yet.

    Raises InputError for what is no name of a folder, and for a link out of the output folder.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            "--study takes at most 64 letters, digits, '.', '_' and '-', the first a letter or digit, "
            f"but got {name!r}"
        )
    return Study(paths.inside(paths.studies / name))
