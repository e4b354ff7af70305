"""Who holds a lock is named: by process here, by process and machine elsewhere."""

import os
import socket
from pathlib import Path

import pytest

from train_fn.errors import InputError
from train_fn.locks import only_one


def test_the_second_is_refused_and_told_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "work" / ".lock"
    with only_one(lock, "busy with {}; wait"):
        with (
            pytest.raises(InputError, match=rf"^busy with process {os.getpid()}; wait$"),
            only_one(lock, "busy with {}; wait"),
        ):
            raise AssertionError("the lock was given twice")
        first = socket.gethostname()
        monkeypatch.setattr(socket, "gethostname", lambda: "another-machine")
        with (
            pytest.raises(InputError, match=rf"^busy with process {os.getpid()} on {first}; wait$"),
            only_one(lock, "busy with {}; wait"),
        ):
            raise AssertionError("the lock was given twice")
    with only_one(lock, ""):
        pass
