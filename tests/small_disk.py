"""A real disk of a few kilobytes: a tmpfs, mounted for a test where that is allowed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A folder on a disk of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def resize(self, kilobytes: int) -> None:
        self._mount("remount", f"size={kilobytes}k")

    def fill(self) -> Path:
        """Take what is free with a file, which is returned."""
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free)
        return filler

    def make_read_only(self) -> None:
        self._mount("remount", "ro")

    def _mount(self, *options: str) -> None:
        words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.folder)]
        subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """16 MB at first."""
    disk = SmallDisk(tmp_path / "disk")
    disk.folder.mkdir()
    try:
        disk._mount("size=16m")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a real disk that fills up needs the right to mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)
