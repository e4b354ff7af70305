"""What was planted in a set is what the audit counts; what it found once, it keeps."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from planted_audit import AI, HUMAN, attacked, copies, planted, settings, text, tokenizer

import train_fn.audit_run
import train_fn.audit_texts
from train_fn.audit import main
from train_fn.audit_facts import AuditFacts, Spread
from train_fn.audit_run import audit_path
from train_fn.audit_texts import draw_groups, take_texts
from train_fn.audit_view import render, short_lines, warnings
from train_fn.inputs import audit
from train_fn.storage import Paths


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tokenizer(tmp_path_factory.mktemp("letters"))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "output")


def small(folder: Path) -> Path:
    a, b, c, d, e, f, g = map(text, range(7))
    return planted(
        folder,
        train=[(a, AI, "wiki"), (a, AI, "wiki"), (b, HUMAN, "wiki"), (c, HUMAN, "news"), (d, AI, None)],
        validation=[(attacked(a), AI, "wiki"), (e, HUMAN, "wiki")],
        test=[
            (b, HUMAN, "wiki"),
            (attacked(c), AI, "news"),
            (f, AI, "wiki"),
            (g, HUMAN, "wiki"),
            (g, HUMAN, "wiki"),
            (d, HUMAN, None),
        ],
    )


def run(folder: Path, model: str, paths: Paths, full: bool = False, **changes: object) -> AuditFacts:
    return audit(*settings(folder, model, **changes), paths, lambda line: None, full)


def test_copies_are_counted_within_a_split_and_towards_train(
    tmp_path: Path, model: str, paths: Paths
) -> None:
    facts = run(small(tmp_path / "set"), model, paths)
    none = {AI: 0, HUMAN: 0}
    twins = {name: split.twins for name, split in facts.splits.items()}
    for kind in ("exact", "normal", "group"):
        assert (twins["train"][kind].inside, twins["train"][kind].in_train) == (2, None)
        assert twins["validation"][kind].inside == 0
        assert twins["test"][kind].inside == 2
    assert twins["validation"]["exact"].in_train == none
    assert (
        twins["validation"]["normal"].in_train == twins["validation"]["group"].in_train == {AI: 1, HUMAN: 0}
    )
    assert twins["test"]["exact"].in_train == {AI: 0, HUMAN: 2}
    assert twins["test"]["normal"].in_train == twins["test"]["group"].in_train == {AI: 1, HUMAN: 2}
    assert (facts.groups_across, facts.rows_across) == (4, 9)
    assert facts.groups.groups == 7


def test_a_text_under_both_labels_is_named_by_its_places(tmp_path: Path, model: str, paths: Paths) -> None:
    facts = run(small(tmp_path / "set"), model, paths)
    to_the_letter = f"train row 4 ({AI}) and test row 5 ({HUMAN})"
    assert facts.conflicts["exact"].model_dump() == {"texts": 1, "rows": 2, "first": (to_the_letter,)}
    undone = facts.conflicts["normal"]
    assert (undone.texts, undone.rows) == (2, 4)
    assert undone.first == (f"test row 1 ({AI}) and train row 3 ({HUMAN})", to_the_letter)
    assert any(to_the_letter in line for line in warnings(facts))


def test_rows_classes_domains_and_weights_are_those_planted(tmp_path: Path, model: str, paths: Paths) -> None:
    facts = run(small(tmp_path / "set"), model, paths)
    assert [split.rows for split in facts.splits.values()] == [5, 2, 6]
    assert facts.splits["train"].classes == {AI: 3, HUMAN: 2}
    assert facts.splits["test"].domains == {"(no domain)": 1, "news": 1, "wiki": 4}
    assert facts.weights.formula == pytest.approx((5 / 6, 5 / 4))
    assert facts.weights.published == (0.9, 1.1)


def test_lengths_and_cuts_are_told_by_domain(tmp_path: Path, model: str, paths: Paths) -> None:
    rows = [
        (text(n, 10 + 30 * (n % 2)), (AI, HUMAN)[n // 2 % 2], ("short", "long")[n % 2]) for n in range(24)
    ]
    facts = run(
        planted(tmp_path / "set", train=rows[:16], validation=rows[16:20], test=rows[20:]), model, paths
    )
    short, long = facts.domains["short"], facts.domains["long"]
    assert (short.rows, short.cut, long.rows, long.cut) == (12, 0.0, 12, 1.0)
    assert short.characters == Spread(mean=59, median=59, high=59)
    assert short.tokens == Spread(mean=51, median=51, high=51)
    assert long.characters == Spread(mean=239, median=239, high=239)
    assert long.tokens == Spread(mean=128, median=128, high=128)


def test_grouped_splits_leak_nothing_and_places_stay_those_of_the_files(
    tmp_path: Path, model: str, paths: Paths
) -> None:
    facts = run(copies(tmp_path / "set"), model, paths, splits="grouped")
    assert [facts.splits[name].leaking("group") for name in ("validation", "test")] == [0.0, 0.0]
    assert (facts.groups_across, facts.rows_across) == (0, 0)
    assert sum(split.rows for split in facts.splits.values()) == 300
    assert warnings(facts) == []
    assert len(short_lines(facts)) == 1


def test_the_cost_of_leakage_is_measured_where_only_copies_help(
    tmp_path: Path, model: str, paths: Paths
) -> None:
    folder = copies(tmp_path / "set")
    facts = run(folder, model, paths, full=True)
    assert facts.splits["test"].leaking("exact") == 0
    assert facts.splits["test"].leaking("normal") == 1
    assert facts.leakage is not None
    assert facts.leakage.published is not None
    assert facts.leakage.grouped is not None
    assert facts.leakage.published.value > 0.95
    assert facts.leakage.grouped.value < 0.7
    assert any("1.00 on published splits, 0.5" in line for line in short_lines(facts))
    again = run(folder, model, paths, full=True, splits="grouped")
    assert again.leakage == facts.leakage


def test_a_known_opening_is_leakage_and_no_shortcut(tmp_path: Path, model: str, paths: Paths) -> None:
    facts = run(copies(tmp_path / "set"), model, paths, full=True)
    assert facts.shortcuts is not None
    assert facts.shortcuts.splits == "grouped"
    assert facts.shortcuts.domains["wiki"].opening is not None
    assert facts.shortcuts.domains["wiki"].opening < 0.85
    assert not any("without reading" in line for line in warnings(facts))


def test_what_was_found_is_kept_and_a_full_audit_serves_the_short_form(
    tmp_path: Path, model: str, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small(tmp_path / "set")
    judged: list[bool] = []
    judge = train_fn.audit_run._judge

    def counted(*given: object) -> dict[str, object]:
        judged.append(given[-1] is True)
        return judge(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(train_fn.audit_run, "_judge", counted)
    assert run(folder, model, paths).shortcuts is None
    run(folder, model, paths)
    assert judged == [False]
    full = run(folder, model, paths, full=True)
    assert full.shortcuts is not None
    assert run(folder, model, paths) == full
    assert judged == [False, True]
    path = audit_path(settings(folder, model)[0], paths, full.key)
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert run(folder, model, paths).shortcuts is None
    assert run(folder, model, paths, max_length=64).key != full.key
    assert run(folder, model, paths, split_seed=1).key != full.key
    assert judged == [False, True, False, False, False]


def test_a_sample_holds_whole_groups_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    group = np.random.default_rng(0).integers(0, 200, 1000)
    monkeypatch.setattr(train_fn.audit_texts, "SAMPLE_ROWS", 300)
    places = draw_groups(group, np.ones(1000, np.int32))
    assert 280 < len(places) <= 300
    assert not set(group[places]) & set(np.delete(group, places))
    monkeypatch.setattr(train_fn.audit_texts, "SAMPLE_CHARACTERS", 1000)
    assert 80 < len(draw_groups(group, np.full(1000, 10, np.int32))) <= 100


def test_texts_are_taken_by_their_places_across_chunks() -> None:
    from datasets import concatenate_datasets

    def chunk(*texts: str) -> Dataset:
        return Dataset.from_dict({"text": list(texts)})

    splits = {"train": concatenate_datasets([chunk("a", "b"), chunk("c")]), "validation": chunk("d", "e")}
    rows = DatasetDict({**splits, "test": chunk("f")})
    assert take_texts(rows, np.array([0, 2, 4, 5])) == ["a", "c", "e", "f"]
    assert take_texts(rows, np.arange(6)) == list("abcdef")


def test_what_is_printed_is_ascii_and_names_the_leakage(tmp_path: Path, model: str, paths: Paths) -> None:
    a, b, c = map(text, range(3))
    part = [(a, AI, "caf\u00e9"), (b, HUMAN, "wiki")]
    facts = run(
        planted(tmp_path / "set", train=part, validation=part, test=[*part, (c, AI, "wiki")]), model, paths
    )
    shown = render(facts)
    assert shown.isascii()
    assert "caf\\xe9" in shown
    assert "67 % of the test rows have a relative in train" in shown
    short = short_lines(facts)
    assert "67 % of the test rows" in short[0]
    assert any("--set splits=grouped" in line for line in short)


def test_the_command_ends_with_the_remedy_and_strict_makes_warnings_errors(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copies(tmp_path / "set")
    words = ["--dataset", str(folder), "--model", model, "--output", str(tmp_path / "output")]
    assert main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].startswith(f"next     python search/tune.py --dataset {folder}")
    assert shown[-1].endswith("--set splits=grouped")
    assert Path(shown[-2].split(maxsplit=1)[1]).is_file()
    assert main([*words, "--strict"]) == 2
    assert "error: --strict: no row may have a relative in another split" in capsys.readouterr().err
    assert main([*words, "--strict", "--set", "splits=grouped"]) == 0
