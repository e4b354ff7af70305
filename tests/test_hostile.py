"""Bad inputs, through the command lines: one message, exit code 2, nothing changed. `-s` prints the messages."""

import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import datasets
import pytest
from hostile_cases import CASES
from hostile_files import HUMAN, build, copy_of, rows_of, snapshot

from train_fn.storage import PROJECT

ELSEWHERE = {  # surroundings that must not change what a command says
    "no cache of the Hub's": {"HF_HOME": "/proc/nowhere"},
    "no home": {"HOME": "/proc/nowhere"},
    "no folder for temporary files": {"TMPDIR": "/proc/nowhere"},
    "a locale of ASCII alone": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    """As the commands have it, which say so before `datasets` is imported; here another test may have."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, delivered: Path) -> Path:
    here = tmp_path_factory.mktemp("hostile")
    build(here, delivered)
    return here


def words_of(command: str, here: Path, template: Path) -> tuple[str, list[str]]:
    """The script, and its words; an output folder of the case's own comes after ours and wins."""
    told = command.replace("HERE", str(here)).replace("MODEL", str(template / "model"))
    script, *words = shlex.split(told)
    ours = [] if "predict" in script else ["--output", str(here / "output")]
    return script, [*ours, *words]


def one_message(err: str) -> bool:
    """Whether it is one error and no more, in plain characters, and not a page of them."""
    errors = [line for line in err.splitlines() if line.startswith(("error: ", "Error: "))]
    plain = err.isascii() and err.replace("\n", "").isprintable()
    return len(errors) == 1 and "Traceback" not in err and plain and len(err) < 3000


@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_is_one_message_and_changes_nothing(
    name: str,
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case, here = CASES[name], copy_of(template, tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("a bad input came as far as Ray"))
    for key, value in {"WANDB_MODE": "disabled", **case.environment}.items():
        monkeypatch.setenv(key, value)
    case.spoil(here)
    before = snapshot(here)
    script, words = words_of(case.command, here, template)
    code = import_module(script.removesuffix(".py").replace("/", ".")).main(words)
    err = capsys.readouterr().err
    print(f"\n{name}\n  $ {case.command[:200]}\n  {err.strip()[:600]}".replace(str(here), "HERE"))
    assert code == 2, err
    assert case.says in " ".join(err.split()), err
    assert one_message(err), err
    assert snapshot(here) == before
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ELSEWHERE)
def test_surroundings_do_not_change_what_is_said(name: str, template: Path, tmp_path: Path) -> None:
    """In a process of its own: libraries read these when they are imported."""
    # In such a locale Arrow opens no file whose name has other letters.
    here = copy_of(template, tmp_path / ("data" if "locale" in name else "d\u00e4ta"))
    rows_of(here / "set/train.parquet", text=["\u00e9", "b"], label=["\u00e9", HUMAN])
    before = snapshot(here)
    words = [
        "--dataset",
        str(here / "set"),
        "--model",
        str(template / "model"),
        "--output",
        str(here / "output"),
    ]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "train_fn/audit.py"), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **ELSEWHERE[name]},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    assert one_message(done.stderr), done.stderr
    assert "every label must be" in done.stderr
    assert snapshot(here) == before
