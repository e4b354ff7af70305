"""What a person sees of a search, and what a bad command line says."""

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_trial import config_of
from rich.console import Console

from search.machine import Slots
from search.record import record_of
from search.space import Point
from search.study import Study
from search.tune import main
from search.view import SearchView
from search.wording import clock

POINT = Point(learning_rate=3e-4, lora_rank=8, lora_alpha=16)


def study_of(folder: Path, losses: list[tuple[float, str]]) -> Study:
    study = Study(folder)
    folder.mkdir(parents=True)
    study.adopt_config(config_of(30))
    for number, (loss, status) in enumerate(losses):
        trial = study.ask(number, POINT.model_copy(update={"learning_rate": 1e-4 * (number + 1)}))
        study.end(record_of(trial, [{"progress": 30, "objective": loss}], status, "nan loss"))
    return study


def tune_trial(number: int, **more: Any) -> Any:
    return SimpleNamespace(config={"number": number, "params": POINT.model_dump(), **more})


def view_of(study: Study) -> SearchView:
    return SearchView(study, config_of(30), Slots(1, {"CPU": 2.0}))


def panel(view: SearchView, width: int, height: int = 24) -> str:
    console = Console(width=width, record=True, color_system=None, file=io.StringIO())
    console.print(view.drawn(width, height))
    return console.export_text()


def test_the_table_shows_running_and_ended_trials_in_plain_ascii(tmp_path: Path) -> None:
    study = study_of(tmp_path / "s", [(0.5, "COMPLETE"), (0.6, "PRUNED")])
    view = view_of(study)
    view.on_trial_start(1, [], tune_trial(2))
    row = {"progress": 40, "objective": 0.41, "validation_log_loss": 0.43, "samples": 100, "seconds": 2.0}
    view.on_trial_result(1, [], tune_trial(2), {"row": row})
    text = panel(view, 120)
    assert text.isascii()
    assert "########............  40 %  0.4300  0.4100  RUNNING" in text
    assert "PRUNED" in text
    assert "2 of 30 trials" in text
    assert "50.0 samples/s" in text
    assert "left" in text


def test_off_a_terminal_each_event_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(tmp_path / "s", [])
    view = view_of(study)
    began = time.monotonic()
    view.setup()
    view.on_trial_start(1, [], tune_trial(0))
    view.on_trial_result(1, [], tune_trial(0), {"row": {"progress": 10, "objective": 0.5}})
    study.end(record_of(study.ask(0, POINT), [{"progress": 10, "objective": 0.5}], "FAILED", "nan loss"))
    view.on_trial_complete(1, [], tune_trial(0))
    view.on_experiment_end([])
    assert time.monotonic() - began < 0.5
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0] == "machine  1 trial(s) at a time, 2 CPU cores each"
    assert lines[2] == "trial 0: 10 %, best log loss 0.5000"
    assert lines[3].startswith("trial 0: FAILED (nan loss), log loss -; 1 of 30 trials")


def test_a_long_search_shows_the_best_and_the_latest(tmp_path: Path) -> None:
    study = study_of(
        tmp_path / "s", [(1 - number / 100 if number != 3 else 0.1, "COMPLETE") for number in range(28)]
    )
    for height, count in ((24, 17), (50, 24)):
        lines = panel(view_of(study), 80, height).splitlines()
        shown = [int(line.split()[0]) for line in lines if line[0].isdigit()]
        assert 3 in shown
        assert shown[-1] == 27
        assert 10 < len(shown) <= count


@pytest.mark.parametrize("width", [80, 200])
def test_the_panel_fits_the_terminal(tmp_path: Path, width: int) -> None:
    study = study_of(tmp_path / "s", [(0.5, "COMPLETE") for _ in range(30)])
    view = view_of(study)
    view.on_trial_start(1, [], tune_trial(29, seed=43))
    view.on_trial_result(1, [], tune_trial(29, seed=43), {"row": {"progress": 50, "objective": 0.5}})
    lines = panel(view, width).splitlines()
    assert len(lines) <= 23  # of 24: the cursor stands below
    assert max(map(len, lines)) <= width
    (running,) = (line for line in lines if "RUNNING" in line)
    assert running.startswith("29 seed 43  3.00e-04  8     16")
    assert ("##.." if width == 80 else "##########..........") + "  50 %" in running


def test_runs_of_the_confirmation_are_shown_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(tmp_path / "s")
    study.folder.mkdir()
    config = config_of(2, confirm_seeds=1)
    study.adopt_config(config)
    for number in range(2):
        study.end(record_of(study.ask(number, POINT), [{"progress": 100, "objective": 0.5}], "COMPLETE"))
    view = SearchView(study, config, Slots(1, {"CPU": 2.0}))
    again = tune_trial(1, seed=43, confirm=True)
    view.on_trial_start(1, [], again)
    view.on_trial_result(1, [], again, {"row": {"progress": 40, "objective": 0.41}})
    assert "\n1 seed 43  3.00e-04" in panel(view, 120)
    study.end(record_of(study.ask_again(1, 43), [{"progress": 100, "objective": 0.4}], "COMPLETE"))
    view.on_trial_complete(1, [], again)
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if line.startswith("trial")]
    assert lines[0].startswith("trial 1 again, seed 43: learning rate 3.00e-04")
    assert lines[1] == "trial 1 again, seed 43: 40 %, best log loss 0.4100"
    told = (
        "trial 1 again, seed 43: COMPLETE, log loss 0.4000; 2 of 2 trials, 1 of 2 runs of the confirmation, "
    )
    assert lines[2].startswith(told)
    assert "left" in lines[2]


def test_a_clock_reads_as_one() -> None:
    assert [clock(59.9), clock(3599), clock(360000)] == ["0:00:59", "0:59:59", "100:00:00"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "100kk"], "did you mean 100k?"),
        (["--dataset", "10k", "--set", "batch_size"], "key=value"),
        (["--dataset", "10k", "--set", "batchsize=3"], "did you mean batch_size?"),
        (["--dataset", "10k", "--set", "learning_rate=fast"], "learning_rate"),
        (["--dataset", "10k", "--set", "learning_rate=1"], "widen the space"),
        (["--dataset", "10k", "--trials", "0"], "trials"),
        (["--dataset", "10k", "--time-budget", "soon"], "8h"),
        (["--dataset", "10k", "--gpus-per-trial", "2"], "gpus_per_trial"),
        (["--dataset", "10k", "--study", "../../etc"], "--study"),
        (["--trials", "3"], "--dataset"),
        (["--datset", "10k"], "--datset"),
    ],
)
def test_a_bad_command_is_one_message_exit_code_2_and_no_trace_on_disk(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--output", str(tmp_path / "out")]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []
