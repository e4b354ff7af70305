"""The benchmark of the whole search compares equal work, and sees when a search starves."""

import sys
import time
from pathlib import Path

import pytest

from search.config import resolve
from train_fn.cli import QUIET
from train_fn.config import find_dataset
from train_fn.storage import PROJECT, Paths, write_json
from train_fn.values import parse_sets

# A search of which one trial finishes; then nothing happens, in a process of its own.
STARVING = """
cd "$0" && mkdir 0000 && echo '{"threads": 1}' > 0000/facts.json
echo '{"status": "COMPLETE", "seconds": 0.0}' > 0000/result.json
sleep 600 & echo $! > child
wait
"""


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rsplit(")")[-1].split()[0] != "Z"


def test_a_search_that_starves_is_ended_with_all_its_processes_and_its_finished_trials_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import supervised

    monkeypatch.setattr(supervised, "POLL_SECONDS", 0.1)
    found = supervised.supervised(["sh", "-c", STARVING, str(tmp_path)], tmp_path, 1.5, 60)
    assert found["ended"] == "starved: no trial got on for 1.5 s"
    assert found["finished"] == 1
    # Until the trial's end, not until the search was given up; files have a coarser clock.
    assert -0.1 < found["overhead_seconds"] < found["seconds"] - 1.4
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_search_over_its_limit_says_so_and_one_that_fails_is_an_error(tmp_path: Path) -> None:
    from supervised import supervised

    found = supervised(["sleep", "600"], tmp_path, 60, 0.1)
    assert found["ended"] == "not finished after 0.1 s"
    assert found["overhead_seconds"] is None
    with pytest.raises(RuntimeError, match="exit code 1:\nno room"):
        supervised([sys.executable, "-c", "raise SystemExit('no room')"], tmp_path, 60, 60)


def test_overhead_is_the_whole_command_less_the_trainings_a_trial(tmp_path: Path) -> None:
    from search_makespan import times_less
    from supervised import WAITED, supervised

    for number, seconds in enumerate((-1.0, -2.0)):  # trainings that give time back, to be quick
        write_json(tmp_path / str(number) / "result.json", {"status": "COMPLETE", "seconds": seconds})
        write_json(tmp_path / str(number) / "facts.json", {"threads": 2})
    write_json(tmp_path / "1" / WAITED, {"seconds": 0.5})  # of its 2 s it waited
    write_json(tmp_path / "2" / "result.json", {"status": "FAILED", "seconds": 9.0})
    found = supervised([sys.executable, "-c", ""], tmp_path, 60, 60)
    assert found["ended"] == "finished"
    assert found["overhead_seconds"] == pytest.approx((found["seconds"] + 3.5) / 2)
    assert found["threads"] == [2]
    assert times_less({"ours": found, "nested": found | {"overhead_seconds": 3.0}}) == pytest.approx(
        3 / found["overhead_seconds"]
    )
    assert times_less({"ours": found, "nested": found | {"overhead_seconds": None}}) is None


def test_both_searches_train_the_same_configuration_and_ours_stops_nobody(tmp_path: Path) -> None:
    from search_makespan import SETTINGS, searches

    ours, nested = (words for words, _ in searches("sample", Paths(tmp_path), 16).values())
    spec = find_dataset("sample")
    given = parse_sets(word.removeprefix("--set=") for word in ours if word.startswith("--set="))
    train, about = resolve(spec, given, {})
    assert train == resolve(spec, SETTINGS, {})[0]
    assert about.grace_percent == 100
    assert about.cpus_per_trial is None
    for words in (ours, nested):
        assert words[words.index("--trials") + 1] == "16"
        assert words[words.index("--dataset") + 1] == "sample"


@pytest.mark.slow
def test_both_searches_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from search_makespan import prepared, searches
    from supervised import supervised

    for key, value in {**QUIET, "WANDB_MODE": "offline", "PYTHONPATH": str(PROJECT)}.items():
        monkeypatch.setenv(key, value)
    paths = Paths.of(tmp_path / "output")
    dataset = prepared(400, paths)
    for words, trials in searches(dataset, paths, 2).values():
        found = supervised(words, trials, 180, 600)
        assert found["ended"] == "finished"
        assert found["finished"] == 2
        assert found["overhead_seconds"] > 0
        assert len(found["threads"]) == 1
