"""Secrets go into nothing that we write, print or log, nor into what Ray and W&B leave: a crash's remains too."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from folders import write_sample

from train_fn.bar import logged
from train_fn.cli import explained, new_app, run_app
from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.job import cause_of
from train_fn.secret import HIDDEN, hidden
from train_fn.storage import PROJECT, append_line, write_json, write_text

PLANTED = {
    "WANDB_API_KEY": "0d15ea5e" * 5,  # 40 characters, as W&B's
    "HF_TOKEN": "hf_" + "PlantedToken" * 3,
    "AWS_SECRET_ACCESS_KEY": "planted/secret+key" * 2,
}
PASSWORD = "correct-horse-battery"
URL = f"http://somebody:{PASSWORD}@127.0.0.1:9"
SECRETS = [secret.encode() for secret in (*PLANTED.values(), PASSWORD)]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> str:
    """A message that quotes every secret."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    return " and ".join(["no", *PLANTED.values(), f"{URL}/a", "hf_" + "o" * 34])


def clean(data: bytes) -> bool:
    return not any(secret in data for secret in SECRETS)


def test_values_keys_and_what_stands_in_a_url_are_hidden(planted: str) -> None:
    assert (
        hidden(planted)
        == f"no and {' and '.join([HIDDEN] * 3)} and http://{HIDDEN}@127.0.0.1:9/a and {HIDDEN}"
    )
    harmless = "https://host/a@b, me@host, Qwen/Qwen3-0.6B@main, s3://bucket/key, hf_short"
    assert hidden(harmless) == harmless
    assert hidden("https://user:p@ss@host/a") == f"https://{HIDDEN}@host/a"


def test_a_short_value_is_a_word_of_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "train")
    assert hidden("train loss") == "train loss"


def test_records_are_written_without_secrets(planted: str, tmp_path: Path) -> None:
    write_text(tmp_path / "a", planted)
    write_json(tmp_path / "b", {"command": [planted]})
    append_line(tmp_path / "c", {"cause": planted})
    assert all(clean(path.read_bytes()) for path in tmp_path.iterdir())
    assert json.loads((tmp_path / "b").read_text())["command"] == [hidden(planted)]


def test_a_log_and_the_cause_of_a_failure_have_no_secrets(
    planted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logged(tmp_path / "run.log", shown=True):
        try:
            raise ConnectionError(planted)
        except ConnectionError:
            logging.getLogger("train_fn.test").exception("no answer from %s", URL)
    shown = capsys.readouterr().out
    assert clean((tmp_path / "run.log").read_bytes() + shown.encode())
    assert "no answer from http://[hidden]@127.0.0.1:9" in shown
    assert clean(cause_of(RuntimeError(planted)).encode())


@pytest.mark.parametrize(("error", "code"), [(InputError, 2), (RuntimeError, 1), (ConnectionError, 2)])
def test_what_ends_a_command_is_told_without_secrets(
    error: type[Exception],
    code: int,
    planted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = new_app()

    @app.command()
    def fail() -> None:
        with explained():
            raise error(planted)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_app(app, []) == code
    told = capsys.readouterr().err
    assert HIDDEN in told
    assert clean(told.encode())
    assert "Traceback" not in told
    left = list(tmp_path.iterdir())
    assert len(left) == (code == 1)  # where the traceback of a fault of ours lies
    assert all(clean(path.read_bytes()) and b"Traceback" in path.read_bytes() for path in left)


def test_an_exit_is_no_fault() -> None:
    app = new_app()

    @app.command()
    def end() -> None:
        with explained():
            raise typer.Exit(130)

    assert run_app(app, []) == 130


@pytest.mark.parametrize("field", ["model", "model_revision"])
def test_no_setting_takes_a_url(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        TrainConfig.model_validate({field: URL})


SETTINGS = (
    "--model tiny --set max_length=64 --set batch_size=8 --set epochs=2 --set eval_before_rows=0 "
    "--set checkpoint_minutes=0.001 --trials 3 --study s --confirm-seeds 0"
)


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # a socket's path must stay under 107 characters
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def begin(script: str, here: Path, ray: Path, *more: str) -> "subprocess.Popen[str]":
    home = here / "home"
    home.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        **PLANTED,
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "RAY_TMPDIR": str(ray),
    }
    environment |= {
        "HF_ENDPOINT": URL,
        "WANDB_BASE_URL": URL,
        "WANDB_MODE": "offline",
        "PYTHONPATH": str(PROJECT),
    }
    words = [sys.executable, str(PROJECT / "search" / script), "--dataset", str(here / "rows"), *more]
    return subprocess.Popen(
        [*words, "--output", str(here / "output")],
        cwd=here,
        env={**environment, "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_when(process: "subprocess.Popen[str]", moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not moment():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finish(process: "subprocess.Popen[str]") -> str:
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return told


@pytest.mark.slow
def test_a_search_a_promotion_and_their_crashes_leave_no_secret(tmp_path: Path, ray_folder: Path) -> None:
    write_sample(tmp_path / "rows")
    output = tmp_path / "output"
    search = ("tune.py", tmp_path, ray_folder, *SETTINGS.split())
    promotion = ("promote.py", tmp_path, ray_folder, "--best", "--model", "tiny", "--no-merged")
    kill_when(begin(*search), lambda: any(output.glob("studies/s/trials/0001/checkpoints/step-*")))
    told = finish(begin(*search))
    kill_when(begin(*promotion), lambda: any(output.glob("*/checkpoints/step-*[1-9]")))
    told += finish(begin(*promotion))
    assert clean(told.encode())
    left = (path for base in (tmp_path, ray_folder) for path in base.rglob("*"))
    files = [path for path in left if path.is_file() and not path.is_symlink()]
    assert [str(path) for path in files if not clean(path.read_bytes())] == []
    assert any(path.name == "debug-internal.log" for path in files), "W&B's own logs were not searched"
    assert any("session_" in str(path) and path.suffix == ".log" for path in files), "nor Ray's"
