"""How the commands speak: on a terminal, in a log, quietly, and to another program."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_trial import config_of
from folders import write_sample
from planted_audit import copies, tokenizer
from recorded import ended, make_study

from search import report, runner, tune
from search.runner import Outcome
from search.study import Study
from train_fn import audit, predict, train
from train_fn.storage import PROJECT, read_json
from train_fn.voice import done, folded, new_table, say, speaking

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LONG = "weight   " + "a text that is longer than the line " * 4
TAGS = ("scored", "scoring", "errors", "files", "next")
Capture = pytest.CaptureFixture[str]


def study_of(output: Path) -> Study:
    records = [ended(0, 0.69), ended(1, 0.45, point=(3e-4, 8, 16.0)), ended(2, 0.6, "PRUNED", came=30)]
    return make_study(output / "studies" / "s", records, config_of(3, confirm_seeds=1))


def on_terminal(columns: int, *command: str) -> list[str]:
    """The lines that a terminal of that width is sent, escape codes left out."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(PROJECT)}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, *command], stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        told = b""
        while part := _read(ours):
            told += part
    assert process.returncode == 0, told
    assert b"\x1b[1m" in told  # tags are bold
    return ESCAPE.sub("", told.decode("ascii")).split("\r\n")


def _read(end: int) -> bytes:
    try:
        return os.read(end, 65536)
    except OSError:  # what Linux says when the other end is closed
        return b""


def test_a_terminal_gets_no_line_that_it_would_break(tmp_path: Path) -> None:
    study_of(tmp_path)
    lines = on_terminal(80, str(PROJECT / "search" / "report.py"), "--output", str(tmp_path))
    broken = [line for line in lines if len(line) > 80]
    assert all(line.startswith("report   ") for line in broken)  # one path, which a terminal lets you copy
    assert "matters  importance at the end (n = 2) needs at least 8 trials, but there are 2" in lines
    (verdict,) = (number for number, line in enumerate(lines) if line.startswith("verdict"))
    assert lines[verdict + 1].startswith(" " * 9)


def test_a_text_is_folded_beside_its_tag_and_a_command_never() -> None:
    lines = folded(LONG, 40).plain.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
    assert all(line.startswith(" " * 9) and line[9] != " " for line in lines[1:])
    assert " ".join(line[9:] for line in lines).split() == LONG.split()[1:]
    for line in ("next     " + LONG, "W&B      " + LONG):
        assert folded(line, 40).plain == line
    path = "files    /" + "folder" * 20
    assert folded(path, 40).plain == path


def test_a_log_gets_one_line_an_event_without_escape_codes(capsys: Capture) -> None:
    with speaking(quiet=False, apart=False):
        say(LONG)
    assert capsys.readouterr().out == LONG + "\n"


def test_quiet_leaves_warnings_and_where_the_results_lie(capsys: Capture) -> None:
    with speaking(quiet=True, apart=False):
        say("data     three rows\nwarning  two of them alike")
        say("next     go on")
        done({"a": 1}, "files    here")
    assert capsys.readouterr() == ("warning  two of them alike\nfiles    here\n", "")


def test_a_result_stands_alone_on_standard_output(capsys: Capture) -> None:
    with speaking(quiet=False, apart=True):
        say("data     three rows")
        print("a library's own line")
        done({"a": 1}, "files    here")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == "data     three rows\na library's own line\nfiles    here\n"
    say("the voice of a command ends with it")
    assert capsys.readouterr().err == ""


def test_a_table_is_ascii_and_its_numbers_stand_below_each_other() -> None:
    from rich.console import Console

    table = new_table("split", "rows")
    table.add_row("train", "1,000")
    table.add_row("test", "20")
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines == ["split   rows", "-" * 12, "train  1,000", "test      20"]


def test_a_report_says_its_study_and_winner(tmp_path: Path, capsys: Capture) -> None:
    study = study_of(tmp_path)
    assert report.main(["--output", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["study"], told["folder"]) == ("s", str(study.folder))
    assert told["winner"]["trial_id"] == "s-0001"
    assert told["winner"]["params"]["learning_rate"] == 3e-4
    assert told["verdict"] == read_json(study.folder / "best.json")["sentence"]
    assert "winner   trial 1" in err
    assert report.main(["--output", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr() == (f"report   {told['report']}\n", "")
    assert report.report(output=tmp_path) == told  # the function gives what --json prints


@pytest.mark.parametrize("interrupted", ["", "Ctrl-C"])
def test_a_search_says_its_winner_and_the_next_command(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    outcome = Outcome(study_of(tmp_path), interrupted, bool(interrupted))
    monkeypatch.setattr(runner, "run_search", lambda *given, **more: outcome)
    command = ["search/tune.py", "--dataset", "sample", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    assert tune.main([*command[1:], "--json"]) == (130 if interrupted else 0)
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["winner"]["number"] == 1
    assert told["interrupted"] == interrupted
    promote = "python search/promote.py --best --dataset sample"
    assert told["next"].startswith("python search/tune.py" if interrupted else promote)
    assert err.splitlines()[-2:] == [f"files    {outcome.study.folder}", f"next     {told['next']}"]
    tune.main([*command[1:], "--quiet"])
    stopped = ["stopped  Ctrl-C; nothing is lost, the same command goes on"] if interrupted else []
    assert capsys.readouterr().out.splitlines() == [*stopped, f"files    {outcome.study.folder}"]


def test_an_audit_says_its_record_and_its_tables_fit(tmp_path: Path, capsys: Capture) -> None:
    given = ["--dataset", str(copies(tmp_path / "set")), "--model", tokenizer(tmp_path / "letters")]
    given += ["--output", str(tmp_path / "output")]
    assert audit.main([*given, "--json"]) == 0
    out, err = capsys.readouterr()
    (file,) = (tmp_path / "tokenized_cache" / "set").glob("audit-*.json")
    assert json.loads(out) == read_json(file)
    tables = [line for line in err.splitlines() if line.startswith(" " * 9)]
    assert len(tables) > 12
    assert max(map(len, tables)) <= 80
    assert audit.main([*given, "--quiet"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told.pop() == f"files    {file}"
    assert all(line.startswith("warning  ") for line in told)


def test_an_output_file_is_summed_up(delivered: Path, tmp_path: Path, capsys: Capture) -> None:
    from delivering import copied, words

    run, rows, scored = copied(delivered, tmp_path), tmp_path / "a.csv", tmp_path / "b.csv"
    rows.write_text(f'text\n{words(np.random.default_rng(1), 20, 0)}\n""\n')
    given = ["--run", str(run), "--file", str(rows), "--output", str(scored)]
    assert predict.main([*given, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["output"], summary["rows"], summary["errors"]) == (str(scored), 2, 1)
    assert err.splitlines()[-1] == f"files    {scored}"
    assert predict.main([*given, "--replace", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    told = ["errors   1 of 2 rows have an error in place of a result", f"files    {scored}"]
    assert [line for line in err.splitlines() if line[8:9] == " " and line.split()[0] in TAGS] == told


COMMANDS: dict[str, tuple[Callable[..., int], list[str]]] = {
    "search": (tune.main, ["--dataset", "100kk"]),
    "report": (report.main, []),
    "audit": (audit.main, ["--dataset", "100kk"]),
    "predict": (predict.main, ["a text", "--run", "nowhere"]),
    "train": (train.main, ["--dataset", "100kk"]),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--json", "--quiet"])
def test_an_error_is_still_one_message_on_standard_error(
    name: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    main, given = COMMANDS[name]
    where = [] if name == "predict" else ["--output", str(tmp_path / "output")]
    assert main([*given, *where, flag]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("error: ") == 1


@pytest.mark.slow
def test_a_full_run_says_its_metrics_and_thresholds(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    given = ["--dataset", str(write_sample(tmp_path / "rows")), "--model", "tiny", "--no-merged"]
    given += ["--max-rows", "64", "--output", str(tmp_path / "output")]
    for pair in ("max_length=32", "batch_size=16", "epochs=1", "evaluations=1", "eval_before_rows=0"):
        given += ["--set", pair]
    assert train.main([*given, "--json"]) == 0
    out, err = capsys.readouterr()
    told: dict[str, Any] = json.loads(out)
    run = tmp_path / "output" / "qwen3-tiny-rows"
    assert told["folder"] == str(run)
    assert told["metrics"] == read_json(run / "metrics.json")
    assert told["thresholds"] == read_json(run / "thresholds.json")
    assert "training" in err
    assert train.main([*given, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop() == f"files    {run}"
    assert all(line.startswith("warning  ") for line in lines)
