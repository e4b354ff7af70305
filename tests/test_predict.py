"""The command that scores texts: what goes in, what comes out, and what it refuses."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delivering import copied, words

from train_fn import predict, scoring
from train_fn.predict import main
from train_fn.scoring import TextScorer
from train_fn.storage import PROJECT

RNG = np.random.default_rng(5)
TEXTS = [words(RNG, 20, 0), None, words(RNG, 80, 1), "", words(RNG, 9, 0)]
DOMAINS = ["news", "news", "wiki", None, None]
FIELDS = "row label probability verdict margin threshold threshold_of windows note error".split()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, delivered: Path) -> Path:
    """With thresholds."""
    return copied(delivered, tmp_path_factory.mktemp("predict"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    rows = [{"text": text, "domain": domain} for text, domain in zip(TEXTS, DOMAINS, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def results(run: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What --json prints."""
    assert main(["--run", str(run), "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_row_has_its_result_in_its_place(
    run: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = results(run, "--file", str(file), capsys=capsys)
    assert [list(row) for row in found] == [FIELDS] * 5
    assert [row["row"] for row in found] == [0, 1, 2, 3, 4]
    assert [row["error"] for row in found] == [
        "",
        "the text is null",
        "",
        "the text is empty or only white space",
        "",
    ]
    assert [row["threshold"] for row in found] == [-0.5, None, 0.5, None, 0.5]
    assert [row["windows"] for row in found] == [1, 0, 5, 0, 1]
    expected = TextScorer.open(run).score(TEXTS, DOMAINS)
    assert [row["margin"] for row in found] == [result.margin for result in expected]
    assert [row["verdict"] for row in found] == [result.verdict for result in expected]


def test_each_kind_of_output_holds_the_same_rows(
    run: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "ROWS", 2)  # several parts
    expected = results(run, "--file", str(file), capsys=capsys)
    made = {ending: tmp_path / f"out.{ending}" for ending in ("jsonl", "csv", "parquet")}
    for path in made.values():
        assert main(["--run", str(run), "--file", str(file), "--output", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert [json.loads(line) for line in made["jsonl"].read_text().splitlines()] == expected
    assert pq.read_table(made["parquet"]).to_pylist() == expected
    with made["csv"].open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows == [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in expected
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["texts.jsonl", *(p.name for p in made.values())]
    )


def test_one_text_gives_one_plain_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run", str(run), str(TEXTS[2]), "--domain", "news"]) == 0
    told = capsys.readouterr().out
    label = "(AI_Generated|Human_Written)"
    assert re.fullmatch(rf"{label}, P\(AI\) 0\.\d{{4}}; at FPR 5 % in 'news': {label}; 5 windows\n", told)


def test_rows_are_plain_lines_with_their_numbers(
    run: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--run", str(run), "--file", str(file), "--fpr", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"row {number}" for number in range(5)]
    assert lines[1] == "row 1: error: the text is null"
    assert "at FPR 1 % in 'news'" in lines[0]
    assert lines[4].endswith("no verdict at FPR 1 %: 20 human texts carry no FPR of 1 %")
    assert "scored   5 texts in" in err
    assert "2 of 5 rows have an error" in err


@pytest.mark.parametrize("way", ["text", "stdin", "txt"])
def test_a_text_is_the_same_from_anywhere(
    way: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = str(TEXTS[2])
    (tmp_path / "a.txt").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    given = {"text": [text], "stdin": ["-"], "txt": ["--file", str(tmp_path / "a.txt")]}
    (found,) = results(run, *given[way], capsys=capsys)
    assert found["margin"] == TextScorer.open(run).score([text])[0].margin


def test_a_megabyte_of_text_is_scored_by_windows(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = words(RNG, 60_000, 1).replace(" ", " " * 17)
    assert len(text) > 1_000_000
    (tmp_path / "long.txt").write_text(text)
    (found,) = results(run, "--file", str(tmp_path / "long.txt"), capsys=capsys)
    assert found["windows"] == pytest.approx(60_000 / 15, rel=0.01)
    assert found["label"] == "Human_Written"


def test_without_thresholds_there_is_a_probability_and_it_says_so(
    delivered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--run", str(delivered), "--json", str(TEXTS[0])]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["probability"] == pytest.approx(1 / (1 + np.exp(-found["margin"])))
    assert (found["verdict"], found["threshold"]) == (None, None)
    assert "has no thresholds.json: no verdicts" in err


REFUSED: dict[str, tuple[list[str], str]] = {
    "no text": ([], "one of TEXT, - and --file"),
    "two texts": (["a", "--file", "FILE"], "one of TEXT, - and --file"),
    "an empty text": ([""], "the text is empty"),
    "white space": ([" \n"], "the text is empty"),
    "a folder that is no run": (["a", "--run", "HERE"], "has no config.yaml"),
    "no folder": (["a", "--run", "HERE/nowhere"], "is not there"),
    "another rate": (["a", "--fpr", "2"], "--fpr must be 5 or 1"),
    "no such column": (
        ["--file", "FILE", "--column", "body"],
        "must have the column body, but has 'text', 'domain'",
    ),
    "no such domain column": (["--file", "FILE", "--domain-column", "kind"], "must have the column kind"),
    "no such file": (["--file", "HERE/a.csv"], "is not there"),
    "another output": (["a", "--output", "HERE/a.txt"], "--output must end in .jsonl, .csv, .parquet"),
    "an output that is there": (["a", "--output", "HERE/old.csv"], "or --replace the file"),
    "the input as output": (
        ["--file", "FILE", "--output", "FILE", "--replace"],
        "another file than the input",
    ),
    "a folder as output": (["a", "--output", "HERE/folder.csv", "--replace"], "must not be there yet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_command_is_one_message_and_exit_code_2(
    case: str, run: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, message = REFUSED[case]
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "folder.csv").mkdir()
    words = [word.replace("FILE", str(file)).replace("HERE", str(tmp_path)) for word in given]
    before = sorted(tmp_path.iterdir())
    assert main([*(["--run", str(run)] if "--run" not in words else []), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.isascii()
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.csv").read_text() == "old"


def test_an_output_is_replaced_whole_or_not_at_all(
    run: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "out.jsonl"
    old.write_text("old")
    words = ["--run", str(run), "--file", str(file), "--output", str(old), "--replace"]
    whole = TextScorer._score

    def stopped(self: TextScorer, rows: Any) -> Any:
        if rows[0].text == TEXTS[4]:
            raise KeyboardInterrupt
        return whole(self, rows)

    monkeypatch.setattr(scoring, "ROWS", 2)
    monkeypatch.setattr(TextScorer, "_score", stopped)
    assert main(words) == 130
    assert old.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == sorted([old, file])
    monkeypatch.setattr(TextScorer, "_score", whole)
    assert main(words) == 0
    assert len(old.read_text().splitlines()) == 5


def test_a_line_now_and_then_tells_rate_and_time_left(
    run: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from train_fn import score_bar

    monkeypatch.setattr(score_bar, "SAY_EVERY", 0.0)
    monkeypatch.setattr(scoring, "ROWS", 2)
    assert main(["--run", str(run), "--file", str(file), "--output", str(tmp_path / "out.csv")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scoring")]
    assert len(told) == 3
    assert re.fullmatch(r"scoring  2 texts, \d\d% of the file, [\d.,]+ a second, [\d,]+ s left", told[0])
    assert "5 texts, 100% of the file" in told[2]


def test_the_help_states_the_rule_of_the_windows() -> None:
    assert predict.__doc__ is not None
    rule = " ".join(predict.__doc__.split())
    assert "windows of that length, each half a length after the one before" in rule
    assert "mean, weighted by tokens" in rule


MEASURED = """
import json, sys
from pathlib import Path
from train_fn import predict
from train_fn.score_bar import ScoreBar
held, at = [], ScoreBar.at
def measured(self, texts, share):
    at(self, texts, share)
    status = Path("/proc/self/status").read_text()
    held.append((share, int(status.split("RssAnon:")[1].split()[0]) * 1024))
ScoreBar.at = measured
code = predict.main(sys.argv[1:])
print(json.dumps(held))
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(ending: str, run: Path, tmp_path: Path) -> None:
    """A file of 50 MB: who kept its texts or their tokens would hold more at its end than is allowed here."""
    texts = [words(RNG, int(RNG.integers(10, 50)), 0).replace(" ", " " * 20) for _ in range(2500)]
    source = tmp_path / f"texts.{ending}"
    table = pa.table({"text": texts * 35})
    if ending == "parquet":
        pq.write_table(table, source, compression="none", use_dictionary=False)  # one row group
    else:
        source.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    assert source.stat().st_size > 50_000_000
    given = ["--run", str(run), "--file", str(source), "--output", str(tmp_path / f"out.{ending}")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *given], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    held = np.array(json.loads(done.stdout))
    warm = held[held[:, 0] > 0.2]
    slope = np.polyfit(warm[:, 0], warm[:, 1], 1)[0]  # bytes a file
    assert len(warm) > 25
    assert abs(slope) < 20_000_000, held[::4].tolist()
