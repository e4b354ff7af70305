"""The report's page: one file that needs no other, whole for every kind of study, and its command line."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_trial import config_of
from recorded import ended, make_study, twenty

from search.report import main
from search.report_extras import facts_tables
from search.report_page import write_report
from search.report_style import BLACK, BLUE, GREEN, GREY, LOOKS, ORANGE, SKY, VERMILLION
from search.space import Point
from train_fn.storage import Paths, append_line, write_json, write_text

VOID = {"meta", "br", "img", "hr", "link"}
PLOTS = {  # title: the names of its axes, units included
    "Value of each trial": ("trial number", "validation log loss (nats), log scale"),
    "At 10 % of the run": ("learning rate", "share of the variance (percent)"),
    "By learning rate": ("learning rate (no unit, log scale)", "validation log loss (nats), log scale"),
    "By LoRA rank": ("LoRA rank (no unit, log scale)",),
    "By LoRA alpha": ("LoRA alpha (no unit, log scale)", "validation log loss (nats), log scale"),
    "By alpha / rank": ("alpha / rank (no unit, log scale)",),
    "Learning rate x alpha x rank": ("learning rate (no unit, log scale)", "LoRA alpha (no unit, log scale)"),
    "Parallel coordinates, log scales": ("learning rate", "(no unit)", "log loss", "(nats)"),
    "Loss curves": ("share of the run (percent)", "lowest validation log loss so far (nats), log scale"),
    "How far each trial came": ("trial number", "share of the run (percent)"),
    "Training time of each trial": ("trial number", "time (minutes)"),
}


class Page(HTMLParser):
    """The text, ids and references of a page; raises AssertionError where its tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.asked: set[str] = set()
        self.tags: Counter[str] = Counter()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.open += [] if tag in VOID else [tag]
        for key, value in attrs:
            self.ids[value or ""] += key == "id"
            self.asked |= {value or ""} if key in ("src", "href", "xlink:href", "data", "action") else set()
            self.asked |= set(re.findall(r"url\(([^)]*)\)", value or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one search of 20 trials, reported."""
    output = tmp_path_factory.mktemp("report") / "output"
    write_report(make_study(output / "studies" / "s", twenty()), Paths.of(output))
    return output


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "studies" / "s" / "report.html").read_text(encoding="utf-8")


def test_the_page_is_one_ascii_file_that_asks_for_no_other(text: str) -> None:
    page = Page(text)
    assert text.isascii()
    assert not page.tags.keys() & {"script", "link", "iframe", "object", "embed"}
    assert "@import" not in text
    assert len(page.asked) > 20
    assert {name[:30] for name in page.asked if not name.startswith(("#", "data:"))} == set()
    assert {name[1:] for name in page.asked if name.startswith("#")} <= page.ids.keys()
    assert {name for name, count in page.ids.items() if count > 1} == set()
    assert len(text) < 1_000_000


def test_every_plot_has_a_title_axes_with_units_and_words_for_who_cannot_see(text: str) -> None:
    pictures = re.findall(r'<figure role="img" aria-label="([^"]+)">(.*?)</figure>', text, flags=re.DOTALL)
    assert all(len(words) > 20 for words, _ in pictures)
    assert len(pictures) == 8
    for title, names in PLOTS.items():
        (svg,) = [svg for _, svg in pictures if re.search(rf">{re.escape(title)}[^<]*</text>", svg)]
        for name in names:
            assert f">{name}</text>" in svg, (title, name)


def test_states_differ_in_shape_dash_and_hatch_and_colours_are_okabe_and_itos(text: str) -> None:
    looks = list(LOOKS.values())
    assert len({look.marker for look in looks}) == len({look.dash for look in looks}) == len(looks) == 3
    assert len({(look.filled, look.hatch) for look in looks}) == 3
    drawn = text[: text.index('id="plane-')] + text[text.index('id="parallel-') :]  # the plane has cividis
    used = set(re.findall(r"(?:fill|stroke): ?(#[0-9a-fA-F]{6})", drawn))
    allowed = {BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, GREY, "#F0E442", "#FFFFFF", "#DDDDDD"}
    assert len(used) > 5
    assert {colour.upper() for colour in used} <= {colour.upper() for colour in allowed}


def test_what_a_cause_holds_is_shown_and_not_obeyed(text: str) -> None:
    assert "out of memory (&lt;b&gt;2 GiB&lt;/b&gt;)" in text
    assert "at step 41: &#8734;" in text


def test_the_same_record_gives_the_same_bytes_and_nothing_else_is_touched(folder: Path, text: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["--output", str(folder)]) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_optional_parts_appear_with_their_file_alone(folder: Path, text: str, tmp_path: Path) -> None:
    titles = ["Data audit", "Confirmation", "Does the small set predict this one", "Forecast against actual"]
    assert not [title for title in [*titles, "Promotions"] if f"<h2>{title}</h2>" in text]
    study, paths = make_study(tmp_path / "studies" / "t", [ended(0, 0.3)]), Paths.of(tmp_path)
    write_json(
        study.folder / "audit.json", {"rows": {"train": 84269}, "domains": [{"domain": "news", "ai": 0.5}]}
    )
    write_text(study.folder / "fidelity.json", "{half")
    best = {
        "number": 0,
        "confirmed": {"verdict": "not distinguishable from the default", "interval": [0.1, 0.2]},
    }
    write_json(study.folder / "best.json", best)
    lineage = {
        "study": "t",
        "trial": 0,
        "command": ["python", "search/promote.py", "--best", "--dataset", "my set"],
    }
    write_json(tmp_path / "run" / "lineage.json", lineage)
    write_json(tmp_path / "other" / "lineage.json", {**lineage, "study": "u"})
    write_json(tmp_path / "run" / "metrics.json", {"test": {"log_loss": 0.0312}})
    write_report(study, paths)
    found = (study.folder / "report.html").read_text()
    shown = re.findall(r"<h2>(.*?)</h2>", found)
    assert [title for title in shown if title in [*titles, "Promotions"]] == [*titles[:3], "Promotions"]
    for words in (
        "rows, train",
        "84,269",
        "news",
        "not distinguishable",
        "0.1, 0.2",
        "fidelity.json must be JSON",
    ):
        assert words in found
    assert "python search/promote.py --best --dataset &#39;my set&#39;" in found
    assert "0.0312" in found
    assert found.count("promote.py --best") == 1


@pytest.mark.parametrize(
    ("records", "verdict", "drawn"),
    [
        ([], "No trial is complete", 0),
        ([ended(0, 0.3)], "The default configuration has the lowest log loss", 7),
        (
            [ended(n, None, "FAILED", came=0, cause="nan loss") for n in range(3)],
            "All 3 ended trials failed",
            2,
        ),
        ([ended(n, 0.5, "PRUNED", came=30) for n in range(2)], "No trial is complete", 6),
        ([ended(0, 0.0), ended(1, 0.2)], "The default configuration", 7),
        ([ended(1, 0.2)], "the default, not there yet, cannot", 7),
    ],
)
def test_a_study_with_little_in_it_says_so(records: list, verdict: str, drawn: int, tmp_path: Path) -> None:
    study = make_study(tmp_path / "studies" / "s", records)
    study.ask(9, Point(learning_rate=1e-3, lora_rank=8, lora_alpha=8))
    lines = write_report(study, Paths.of(tmp_path))
    text = (study.folder / "report.html").read_text()
    assert verdict in re.sub(r"&#39;", "'", text)
    assert "1 under way" in lines[0]
    assert "importance needs at least 8 trials" in text
    assert text.count("<figure") == drawn
    assert Page(text).tags["section"] >= 4


def test_the_newest_study_is_taken_and_another_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import os
    import time

    for name, age in (("old", 100), ("new", 0), ("older", 200)):
        folder = make_study(tmp_path / "studies" / name, []).folder
        changed = (folder / "config.yaml").stat().st_mtime - age
        os.utime(folder / "config.yaml", (changed, changed))
    assert main(["--output", str(tmp_path)]) == 0
    assert f"report   {tmp_path / 'studies' / 'new' / 'report.html'}" in capsys.readouterr().out
    assert main(["--output", str(tmp_path), "--study", "old"]) == 0
    assert sorted(path.parent.name for path in tmp_path.rglob("report.html")) == ["new", "old"]
    (tmp_path / "studies" / "old" / "confirm.jsonl").touch()
    now = time.time() + 5  # its confirmation is what goes on
    os.utime(tmp_path / "studies" / "old" / "confirm.jsonl", (now, now))
    capsys.readouterr()
    assert main(["--output", str(tmp_path)]) == 0
    assert f"report   {tmp_path / 'studies' / 'old' / 'report.html'}" in capsys.readouterr().out


def test_what_a_bad_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: str) -> str:
        assert main([*words, "--output", str(tmp_path)]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        return told.err

    assert "there is none" in refused()
    study = make_study(tmp_path / "studies" / "a", [])
    make_study(tmp_path / "studies" / "b", [], config_of(4))
    assert "there is no study c; there are: a, b" in refused("--study", "c")
    assert "--study takes" in refused("--study", "../a")
    append_line(study.folder / "trials.jsonl", {"trial": 0, "loss": 0.5})
    assert "must be a record of this version" in refused("--study", "a")
    write_text(study.folder / "config.yaml", "dataset: 100k\n")
    assert "is no configuration of a study" in refused("--study", "a")
    assert not list(tmp_path.rglob("report.html"))


def test_things_that_are_told_alike_are_a_column_each() -> None:
    audit = {
        "rows": 5,
        "splits": {"train": {"rows": 4, "twins": {"exact": 1}}, "test": {"rows": 1, "odd": None}},
    }
    facts, splits = facts_tables(audit)
    assert facts.rows == (("rows", "5"),)
    assert splits.head == ("splits", "train", "test")
    assert splits.rows == (("rows", "4", "1"), ("twins, exact", "1", "-"), ("odd", "-", "-"))
