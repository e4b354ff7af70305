"""Wrong or odd data: one clear message and exit code 2, or a whole audit; nothing that was there is harmed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted_audit import AI, HUMAN, Row, planted, text, tokenizer

from train_fn.audit import main
from train_fn.storage import read_json

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tokenizer(tmp_path_factory.mktemp("letters"))


@pytest.fixture
def run(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Audit the folder `set`: exit code, output, errors."""
    # As the command has it, which sets this before `datasets` is imported; here another test may have done that.
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)

    def audit(*words: str) -> tuple[int, str, str]:
        place = ["--dataset", str(tmp_path / "set"), "--model", model, "--output", str(tmp_path / "output")]
        code = main([*place, "--set", "max_length=64", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return audit


def written(tmp_path: Path) -> dict[str, bytes]:
    """What the audits left, but for locks and what `datasets` keeps of the files it read."""
    cache = tmp_path / "tokenized_cache" / "set"
    files = (path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")
    found = {str(path.relative_to(cache)): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if re.match(r"audit-|groups-|[0-9a-f]{20}/", name)}


def good(tmp_path: Path) -> list[Row]:
    rows = [(text(number), (AI, HUMAN)[number % 2], "wiki") for number in range(8)]
    planted(tmp_path / "set", train=rows[:4], validation=rows[4:6], test=rows[6:])
    return rows


def write(tmp_path: Path, split: str, **columns: list[Any]) -> None:
    (tmp_path / "set").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), tmp_path / "set" / f"{split}.parquet")


def null_texts(tmp_path: Path) -> None:
    write(tmp_path, "train", text=["a", None, None, "b"], label=[AI, HUMAN] * 2)


def unmapped_labels(tmp_path: Path) -> None:
    write(tmp_path, "validation", text=["a", "b"], label=["machine", "person"])


def text_of_numbers(tmp_path: Path) -> None:
    write(tmp_path, "test", text=[1.5, 2.5], label=[AI, HUMAN])


def corrupt(tmp_path: Path) -> None:
    path = tmp_path / "set" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-40])


def one_class(tmp_path: Path) -> None:
    write(tmp_path, "test", text=["a", "b"], label=[AI, AI])


def missing_split(tmp_path: Path) -> None:
    (tmp_path / "set" / "validation.parquet").unlink()


def wrong_settings(tmp_path: Path) -> None:
    (tmp_path / "set" / "dataset.yaml").write_text("label: {a: AI_Generated}", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (null_texts, "split train .* of 4 rows there are 2 null (rows 1, 2)"),
        (unmapped_labels, "split validation .* row 0 .* 'machine'; 2 of 2 .* labels: {ai: AI_Generated,"),
        (text_of_numbers, "split test .* 2 not a string (rows 0, 1)"),
        (corrupt, "train.parquet must be readable"),
        (one_class, "split test .* both classes, but has 2 AI_Generated, 0 Human_Written"),
        (missing_split, "but validation is missing; there: test, train"),
        (wrong_settings, "dataset.yaml may hold labels, train, search, but holds label; did you mean labels"),
    ],
)
def test_bad_rows_give_one_message_and_harm_nothing(
    tmp_path: Path, run: Run, spoil: Callable[[Path], None], told: str
) -> None:
    good(tmp_path)
    assert run()[0] == 0
    before = written(tmp_path)
    assert len(before) > 10
    spoil(tmp_path)
    code, _, err = run()
    assert code == 2
    assert re.search(re.escape(told).replace(r"\ \.\*\ ", ".*"), err)
    assert err.startswith("error: ")
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert written(tmp_path) == before


def test_one_row_a_class_is_judged_without_figures_that_chance_would_make(tmp_path: Path, run: Run) -> None:
    pairs = [[(text(n), AI, None), (text(n + 1), HUMAN, None)] for n in (0, 2, 4)]
    planted(tmp_path / "set", train=pairs[0], validation=pairs[1], test=pairs[2])
    code, out, err = run()
    assert (code, err) == (0, "")
    (facts,) = (read_json(path) for path in (tmp_path / "tokenized_cache" / "set").glob("audit-*.json"))
    assert facts["shortcuts"]["overall"] == {"length": None, "opening": None, "words": None}
    assert (facts["leakage"]["published"], facts["leakage"]["grouped"]) == (None, None)
    assert "0 % of the test rows have a relative in train" in out


@pytest.mark.parametrize("texts", [1, 2], ids=["one text", "one text a class"])
def test_nothing_but_copies_is_a_warning_and_has_no_grouped_splits(
    tmp_path: Path, run: Run, texts: int
) -> None:
    part = [(text(0), AI, "wiki"), (text(texts - 1), HUMAN, "wiki")]
    planted(tmp_path / "set", train=part * 8, validation=part * 2, test=part * 2)
    code, out, _ = run()
    assert code == 0
    assert "warning  100 % of the test rows" in out
    assert "warning  grouped splits are not to be had" in out
    assert "warning  100 % of the train rows are exact copies" in out
    assert ("under both labels" in out) == (texts == 1)
    assert "--set splits=grouped" not in out.splitlines()[-1]
    code, out, err = run("--set", "splits=grouped")
    assert code == 2
    assert err.startswith("error: splits: grouped")


def test_one_source_for_all_rows_has_no_grouped_splits(tmp_path: Path, run: Run) -> None:
    for split, first, count in (("train", 0, 8), ("validation", 8, 2), ("test", 10, 2)):
        texts = [text(number) for number in range(first, first + count)]
        write(tmp_path, split, text=texts, label=[AI, HUMAN] * (count // 2), source_id=["s"] * count)
    code, out, _ = run()
    assert code == 0
    assert "warning  grouped splits are not to be had" in out
    assert run("--set", "splits=grouped")[0] == 2


def test_texts_of_a_megabyte_are_judged_and_their_cut_is_counted(tmp_path: Path, run: Run) -> None:
    rows = good(tmp_path)
    long = text(99, 1000)
    train = [
        *rows[:4],
        (" ".join([long] * 175), AI, "long"),
        (" ".join([text(98, 1000)] * 175), HUMAN, "long"),
    ]
    assert len(train[4][0]) > 2**20
    planted(tmp_path / "set", train=train, validation=rows[4:6], test=rows[6:])
    code, out, err = run()
    assert (code, err) == (0, "")
    (facts,) = (read_json(path) for path in (tmp_path / "tokenized_cache" / "set").glob("audit-*.json"))
    assert facts["domains"]["long"]["cut"] == 1.0
    assert facts["domains"]["long"]["tokens"]["mean"] == 64
    assert facts["domains"]["long"]["characters"]["median"] == 175 * 6000 - 1
    assert "1,049,999" in out
