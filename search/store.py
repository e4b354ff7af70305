"""A copy of a record in a store, with which another machine goes on when this one is taken away.

    python search/tune.py --dataset 100k --storage s3://bucket/detector

The folder of a study or a run, and its logs, are copied every SECONDS and at the end of the command; a command
that has no such folder begins with the store's. One machine at a time: each leaves its mark, here and there, and
copies nothing any more when the store has another's.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from search.bucket import Bucket, Tree
from train_fn.errors import InputError
from train_fn.storage import Paths, read_json, write_json

SECONDS = 60.0
MARK = ".storage.json"
LAST = "config.yaml"  # where it stands, all that was fetched does
Say = Callable[[str], None]


class Store:
    """The place that --storage names, and what of it this command keeps up to date."""

    def __init__(self, place: str, paths: Paths) -> None:
        self.place, self._paths, self._bucket = place, paths, Bucket(place)
        folder = self._bucket.folder
        if folder and (folder.is_relative_to(paths.output) or paths.output.is_relative_to(folder)):
            raise InputError(
                f"--storage must lie apart from {paths.output}, but is {folder}; name another place"
            )
        self._trees: list[Tree] = []
        self._holder, self._trouble = uuid4().hex[:16], ""
        self._ended, self._thread = threading.Event(), threading.Thread(target=self._go_on, daemon=True)

    def fetch(self, folder: Path) -> None:
        """Take the store's copy of a study or a run of which nothing is here.

        Raises InputError when another machine went on with the copy of what is here.
        """
        with self._explained():
            theirs = self._mark(folder)
            if theirs is None or ((folder / LAST).exists() and theirs in _marks(folder)):
                return
            if (folder / LAST).exists():
                raise InputError(
                    f"{self.place} must have this machine's copy of {folder}, but another machine went on with "
                    "it; move that folder away to go on from the store's, or name another --storage"
                )
            for tree in reversed(self._both(folder)):
                tree.fetch(LAST)
            write_json(folder / MARK, [theirs])

    def fetch_studies(self) -> None:
        """`fetch` each study that the store has and this machine has not."""
        with self._explained():
            found = self._bucket.names(self._name(self._paths.studies), deep=False)
        for name in (name for name, stamp in found.items() if stamp is None):
            if not (self._paths.studies / name / LAST).exists():
                self.fetch(self._paths.inside(self._paths.studies / name))

    def keep(self, folder: Path) -> None:
        """Copy that folder and its logs from now on. The caller holds the folder's lock, and fetched it."""
        with self._explained():
            trees = self._both(folder)
            for tree in trees:
                tree.begin()
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / MARK, [*_marks(folder)[-1:], self._holder])  # a kill leaves either there
            self._bucket.write(f"{self._name(folder)}/{MARK}", [json.dumps(self._holder).encode()])
        self._trees = trees
        self._thread.start()

    def close(self) -> str:
        """Copy what is left; returns a line that says whether all is there, "" where nothing is kept."""
        self._ended.set()
        if not self._trees:
            return ""
        self._thread.join()
        self._copy()
        if self._trouble:
            return f"warning  not all is in {self.place}: {self._trouble}"
        return f"storage  all of it is in {self.place}"

    def _go_on(self) -> None:
        while not self._ended.wait(SECONDS):
            self._copy()

    def _copy(self) -> None:
        try:
            if self._mark(self._trees[0].here) != self._holder:
                self._trouble = "another machine goes on with it"
                return
            for tree in reversed(self._trees):
                tree.copy()
            self._trouble = ""
        except OSError as error:
            self._trouble = f"{' '.join(str(error).split())[:300]}; the same command copies the rest"

    def _both(self, folder: Path) -> list[Tree]:
        logs = self._paths.logs / folder.name
        return [
            Tree(folder, self._name(folder), self._bucket),
            Tree(logs, f"logs/{folder.name}", self._bucket),
        ]

    def _name(self, folder: Path) -> str:
        return folder.relative_to(self._paths.output).as_posix()

    def _mark(self, folder: Path) -> str | None:
        """Of the machine that went on last."""
        data = self._bucket.read(f"{self._name(folder)}/{MARK}")
        return None if data is None else str(json.loads(data))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            found = " ".join(str(error).split())[:300]
            raise InputError(f"--storage {self.place} must be readable and writable, but: {found}") from error


@contextmanager
def stored(place: str | None, paths: Paths, say: Say) -> Iterator[Store | None]:
    """Yield the store of that place, None where there is none; what is kept is whole there after the block."""
    store = Store(place, paths) if place else None
    try:
        yield store
    finally:
        if store and (line := store.close()):
            say(line)


def _marks(folder: Path) -> list[str]:
    file = folder / MARK
    return list(read_json(file)) if file.exists() else []
