"""Folders copied to and from a store: s3://, gs:// or a folder, all by Arrow's file systems."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from search.leftover import PASSED_FILE, PRUNED_FILE
from train_fn.errors import InputError
from train_fn.run_folder import REPLACING
from train_fn.storage import URI, atomic_file, located

AT_ONCE = 8  # files; a store answers slowly, but to many
CHUNK = 1 << 22  # bytes
GOOGLE_SECONDS = 20  # Arrow would ask for 15 minutes
KEPT = (PASSED_FILE, PRUNED_FILE, REPLACING)  # what begins with a dot is of the moment, but for these
REBUILT = "optuna.db"
RECORDS = (".json", ".jsonl", ".yaml")

Stamp = tuple[int, int]  # bytes, and the time of the last change in ns


class Bucket:
    """Files of a store below one folder of it. Everything raises OSError as the store does."""

    def __init__(self, place: str) -> None:
        """Raises InputError for what is no place, or names a key: records hold the command line."""
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem, LocalFileSystem

        if "@" in urlsplit(place).netloc:
            raise InputError(
                "--storage must hold no key; give keys by the store's own variables, such as AWS_ACCESS_KEY_ID"
            )
        try:
            if place.startswith("gs:") and "retry_limit_seconds" not in place:
                place += f"{'&' if '?' in place else '?'}retry_limit_seconds={GOOGLE_SECONDS}"
            if URI.match(place):
                self._system, self._root = FileSystem.from_uri(place)
            else:
                self._system, self._root = LocalFileSystem(), str(located(place))
        except (ArrowException, ValueError, OSError) as error:
            raise InputError(f"--storage must be s3://, gs:// or a folder, but {place}: {error}") from error
        self.folder = Path(self._root) if isinstance(self._system, LocalFileSystem) else None

    def names(self, below: str, *, deep: bool = True) -> dict[str, Stamp | None]:
        """Files below a folder, by their path in it; None stands for a folder in it, where not `deep`."""
        from pyarrow.fs import FileSelector

        root = f"{self._root}/{below}"
        selector = FileSelector(root, allow_not_found=True, recursive=deep)
        return {
            info.path.removeprefix(f"{root}/"): (info.size, info.mtime_ns or 0) if info.is_file else None
            for info in self._system.get_file_info(selector)
            if info.is_file or not deep
        }

    def read(self, name: str) -> bytes | None:
        """What is in a file; None where there is none."""
        try:
            with self._system.open_input_file(f"{self._root}/{name}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """A file, whole or as it was: a store takes what is complete, and in a folder it is renamed."""
        path = f"{self._root}/{name}"
        if self.folder:
            with atomic_file(Path(path)) as temporary, temporary.open("wb") as file:
                file.writelines(chunks)
            return
        with self._system.open_output_stream(path) as stream:
            for chunk in chunks:
                stream.write(chunk)

    def download(self, name: str, path: Path) -> None:
        """A file of the store to `path`, whole or not at all."""
        with (
            self._system.open_input_stream(f"{self._root}/{name}") as stream,
            atomic_file(path) as temporary,
            temporary.open("wb") as file,
        ):
            while chunk := stream.read(CHUNK):
                file.write(chunk)

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.delete_file(f"{self._root}/{name}")


@dataclass
class Tree:
    """A folder here, its copy there, and which of its files are there as they are here."""

    here: Path
    there: str
    bucket: Bucket
    copied: dict[str, Stamp] = field(default_factory=dict)

    def files(self) -> dict[str, Stamp]:
        """Those that belong to the record, by their path in the folder."""
        found = {}
        for path in self.here.rglob("*"):
            name = path.relative_to(self.here).as_posix()
            with suppress(FileNotFoundError):  # a checkpoint that went meanwhile
                if _belongs(name) and path.is_file() and not path.is_symlink():
                    found[name] = (path.stat().st_size, path.stat().st_mtime_ns)
        return found

    def begin(self) -> None:
        """See what is there already: what has the same size, and came there after its last change here."""
        here = self.files()
        for name, stamp in filter(lambda item: _belongs(item[0]), self.bucket.names(self.there).items()):
            same = stamp and name in here and stamp[0] == here[name][0] and stamp[1] >= here[name][1]
            self.copied[name] = here[name] if same else (-1, 0)

    def copy(self) -> None:
        """Bring the copy up to date.

        Records tell of weights that are on the disk. So they are read before the weights are looked for, and
        written after these: what is there at any moment, a search could have left.
        """
        records = {name: stamp for name, stamp in self.files().items() if name.endswith(RECORDS)}
        changed = {name for name, stamp in records.items() if self.copied.get(name) != stamp}
        read = {name: (self.here / name).read_bytes() for name in changed if (self.here / name).exists()}
        others = {name: stamp for name, stamp in self.files().items() if not name.endswith(RECORDS)}
        new = [name for name, stamp in others.items() if self.copied.get(name) != stamp]
        _all(self._upload, new)
        _all(lambda name: self.bucket.write(f"{self.there}/{name}", [read[name]]), read)
        now = {**others, **records}
        _all(lambda name: self.bucket.delete(f"{self.there}/{name}"), self.copied.keys() - now.keys())
        self.copied = now

    def fetch(self, last: str) -> None:
        """Take all that is there, the file `last` after the others."""
        names = sorted(filter(_belongs, self.bucket.names(self.there)), key=lambda name: name == last)
        _all(self._download, names[:-1])
        _all(self._download, names[-1:])

    def _upload(self, name: str) -> None:
        with suppress(FileNotFoundError), (self.here / name).open("rb") as file:
            self.bucket.write(f"{self.there}/{name}", iter(lambda: file.read(CHUNK), b""))

    def _download(self, name: str) -> None:
        path = self.here / name
        if not path.resolve().is_relative_to(self.here.resolve()):
            raise InputError(f"{self.there} of --storage must hold files of a record, but has {name!a}")
        self.bucket.download(f"{self.there}/{name}", path)


def _belongs(name: str) -> bool:
    parts = name.split("/")
    return parts[-1] != REBUILT and all(part in KEPT or not part.startswith(".") for part in parts)


def _all(call: Callable[[str], Any], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(call, names))
