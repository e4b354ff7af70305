"""Running the probe as a process and keeping what it found; a stand-in for the probe, and once the real one."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from probed import found
from training import settings

from search import probing
from search.probing import Place, ProbeError, find_measured
from train_fn.measured import FOUND, Measured
from train_fn.storage import read_json

ALONE = Place(threads=1, copies=1, memory_fraction=1.0)
Probe = Callable[..., Measured]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Path]]:
    """Put a program in the place of the probe; returns the scratch folders that it is given."""
    folders: list[Path] = []
    real = probing.subprocess.Popen

    def put(program: str) -> list[Path]:
        def popen(words: list[str], **about: object) -> object:
            folders.append(Path(words[-1]))
            return real([sys.executable, "-c", program, words[-1]], **about)  # type: ignore[call-overload]

        monkeypatch.setattr(probing.subprocess, "Popen", popen)
        return folders

    return put


@pytest.fixture
def probe(tmp_path: Path, small_model: Path) -> Probe:
    """Find what was measured for a set in tmp_path."""
    (tmp_path / "set" / "key").mkdir(parents=True)

    def find(place: Place = ALONE, **changes: object) -> Measured:
        data = tmp_path / "set" / "key"
        return find_measured(data, str(small_model), settings(small_model, **changes), place, print)

    return find


def writes(measured: Measured) -> str:
    return f"import sys, pathlib; pathlib.Path(sys.argv[1], {FOUND!r}).write_text({measured.model_dump_json()!r})"


def test_what_was_measured_once_is_not_measured_again(
    stand_in: Callable[[str], list[Path]], probe: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = stand_in(writes(found(load=7.0)))
    assert probe() == probe() == probe(epochs=3, learning_rate=1e-3) == found(load=7.0)
    assert len(folders) == 1
    assert capsys.readouterr().out.count("probing") == 1
    probe(lora_rank=32)
    probe(Place(threads=2, copies=1, memory_fraction=1.0))
    assert len(folders) == 3  # these decide the speed


def test_copies_run_at_once_and_leave_nothing_but_the_result(
    stand_in: Callable[[str], list[Path]], probe: Probe, tmp_path: Path
) -> None:
    waits = "import time, pathlib, sys; here = pathlib.Path(sys.argv[1]); (here / 'here').touch()\n"
    waits += "while len(list(here.parent.glob('*/here'))) < 3: time.sleep(0.01)\n"
    folders = stand_in(waits + writes(found()))
    assert probe(Place(threads=1, copies=3, memory_fraction=0.3)) == found()
    assert len(folders) == 3
    (kept,) = (tmp_path / "set").glob("probe-*.json")
    assert read_json(kept)["of"]["place"]["copies"] == 3
    assert not list((tmp_path / "set").glob(".probe.*.tmp"))


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("raise ImportError('no such library')", "no such library"),
        ("import sys; sys.exit(3)", "code 3"),
    ],
)
def test_a_probe_that_dies_names_its_cause_and_is_not_kept(
    stand_in: Callable[[str], list[Path]], probe: Probe, tmp_path: Path, program: str, cause: str
) -> None:
    stand_in(program)
    with pytest.raises(ProbeError, match=cause):
        probe()
    assert not list((tmp_path / "set").glob("probe-*.json"))


def test_a_probe_that_does_not_end_is_ended(
    stand_in: Callable[[str], list[Path]], probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("import time; time.sleep(60)")
    monkeypatch.setattr(probing, "LIMIT_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(ProbeError, match="not through"):
        probe()
    assert time.monotonic() - started < 30


def test_what_a_killed_probe_left_goes_and_a_damaged_result_is_measured_anew(
    stand_in: Callable[[str], list[Path]], probe: Probe, tmp_path: Path
) -> None:
    left = tmp_path / "set" / ".probe.abc.tmp"
    left.mkdir()
    folders = stand_in(writes(found()))
    probe()
    assert not left.exists()
    (kept,) = (tmp_path / "set").glob("probe-*.json")
    kept.write_text(kept.read_text()[:20])
    assert probe() == found()
    assert len(folders) == 2


def test_a_probe_of_other_settings_waits_and_takes_nothing_from_the_one_at_work(
    stand_in: Callable[[str], list[Path]], probe: Probe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = "import time, pathlib, sys; here = pathlib.Path(sys.argv[1]); (here / 'here').touch()\n"
    waits += "while not list(here.parents[1].glob('go')): time.sleep(0.01)\n"
    folders = stand_in(waits + writes(found()))
    said = ""

    def until(seen: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not seen():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "waiting" in said

    with ThreadPoolExecutor() as threads:
        try:
            first = threads.submit(probe)
            until(lambda: list((tmp_path / "set").glob(".probe.*.tmp/0/here")))
            second = threads.submit(probe, lora_rank=32)
            until(lambda: len(folders) > 1 or waiting())
            assert len(folders) == 1
            assert (tmp_path / "set" / ".probe.lock").exists()  # by which `make clean-runs` knows
        finally:
            (tmp_path / "set" / "go").touch()
        assert first.result() == second.result() == found()


@pytest.mark.slow
def test_the_real_probe_runs_in_a_process_of_its_own(
    tokens: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    loaded = set(sys.modules)
    measured = find_measured(tokens, str(small_model), settings(small_model), ALONE, print)
    assert measured.threads == 1
    assert 0 < measured.start < 120
    assert "train_fn.probe" not in set(sys.modules) - loaded
