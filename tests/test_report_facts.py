"""What the report says in numbers: rungs, costs, causes, importance, and the commands that make a study again."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from fake_trial import config_of
from recorded import ended, make_study, twenty
from typer.testing import CliRunner

from search.config import SearchConfig, SpaceConfig, resolve
from search.record import DataInfo, StudyConfig, record_of
from search.report_commands import promote_command, report_command, tune_command
from search.report_facts import Facts, judged, rungs, saved_seconds, verdict, wall_seconds
from search.report_importance import ALIKE, importance
from search.report_tables import failure_table, rung_table, short_form, trial_table, versus_table
from search.tune import app
from train_fn.config import find_dataset
from train_fn.storage import Paths
from train_fn.values import parse_sets


def facts_of(folder: Path, records: list, config: StudyConfig | None = None) -> Facts:
    return Facts.of(make_study(folder / "s", records, config))


def test_rungs_are_those_of_the_scheduler() -> None:
    from search.scheduler import Asha

    for search in (
        SearchConfig(),
        SearchConfig(grace_percent=10),
        SearchConfig(grace_percent=60),
        SearchConfig(grace_percent=5, reduction_factor=2),
    ):
        bracket = Asha(search, [])._brackets[0]
        theirs = sorted(milestone for milestone, _ in bracket._rungs)
        assert [mark for mark in theirs if mark < 100] == rungs(search)


def test_the_rung_table_tells_who_came_and_who_was_stopped(tmp_path: Path) -> None:
    records = [ended(0, 0.4), ended(1, 0.5, "PRUNED", came=10), ended(2, 0.6, "PRUNED", came=30)]
    records.append(ended(3, None, "FAILED", came=0))
    facts = facts_of(tmp_path, records)
    assert rung_table(facts).rows == (
        ("10 %", "3", "1", "0.5000"),
        ("30 %", "2", "2", "0.5400"),
        ("90 %", "1", "-", "0.4200"),
        ("100 %", "1", "-", "0.4000"),
    )
    assert [record.number for record, _ in judged(facts, 30)] == [0, 2]


def test_costs_add_up(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, twenty())
    shares = [float(row[-1].removesuffix(" %")) for row in trial_table(facts).rows]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert len(shares) == 20
    assert facts.seconds == sum(record.seconds for record in twenty())
    assert wall_seconds(facts.records) == 19 * 60 + 30
    only = facts_of(tmp_path / "more", [ended(0, 0.4), ended(1, 0.5, "PRUNED", came=30)])
    assert saved_seconds(only) == pytest.approx(72 * 70 / 30)


def test_failures_are_gathered_by_the_kind_of_cause_the_commonest_first(tmp_path: Path) -> None:
    causes = [
        "nan loss (step 3)",
        "out of memory (2 GiB)",
        "ValueError: bad\nluck",
        "out of memory (4 GiB)",
        "",
    ]
    records = [ended(n, None, "FAILED", came=0, cause=cause) for n, cause in enumerate(causes)]
    assert failure_table(facts_of(tmp_path, records)).rows == (
        ("out of memory", "2", "1, 3", "out of memory (2 GiB)"),
        ("nan loss", "1", "0", "nan loss (step 3)"),
        ("ValueError", "1", "2", "ValueError: bad luck"),
        ("no cause recorded", "1", "4", ""),
    )


def test_the_winner_stands_beside_the_default_with_its_gap(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, [ended(0, 0.4, auroc=0.9), ended(1, 0.3, point=(3e-4, 8, 32.0), auroc=0.95)])
    rows = {row[0]: row[1:] for row in versus_table(facts.records[1], facts.records[0]).rows}
    assert rows["log loss (nats)"] == ("0.3000", "0.4000", "-0.1000")
    assert rows["AUROC"] == ("0.9500", "0.9000", "+0.0500")
    assert rows["alpha / rank"] == ("4", "2", "")
    assert "ece" not in rows
    assert (
        verdict(facts)
        == "Trial 1 has a log loss 0.1000 nats (25 %) below the default's, with one run of each."
    )


def test_the_short_form_is_plain_ascii(tmp_path: Path) -> None:
    records = [
        ended(0, 0.4),
        ended(1, 0.3, point=(3e-4, 8, 32.0)),
        ended(2, None, "FAILED", came=0, cause="\u221e\n?"),
    ]
    assert short_form(facts_of(tmp_path, records)) == [
        "trials   2 COMPLETE, 1 FAILED",
        "winner   trial 1: log loss 0.3000, learning rate 3.00e-04, rank 8, alpha 32",
        "default  trial 0: log loss 0.4000, learning rate 1.00e-04, rank 16, alpha 32",
        "failed   1 by \\u221e ?: trial 2",
        "cost     0:08:06 of training, 0:04:00 of it in trial 0",
    ]


def test_the_confirmed_winner_stands_for_the_best_and_its_verdict_is_told(tmp_path: Path) -> None:
    records = [ended(0, 0.4), ended(1, 0.3), ended(2, 0.35)]
    study = make_study(tmp_path / "s", records, config_of(3, confirm_seeds=2))
    before = Facts.of(study)
    assert (before.best, before.missing) == (records[1], 6)
    assert short_form(before)[3].endswith("with one run of each. 6 runs of its confirmation are missing.")
    losses = {0: 0.40, 1: 0.45, 2: 0.34}
    for number, seed in study.confirmation().missing:
        row = {"progress": 100, "objective": losses[number] + 0.01 * (seed - 43), "status": "COMPLETE"}
        study.end(record_of(study.ask_again(number, seed), [row]))
    facts = Facts.of(study)
    assert facts.best == records[2]
    assert verdict(facts).startswith("Trial 2 is clearly better than the default")
    assert f"verdict  {verdict(facts)}" in short_form(facts)
    assert "--trial 2" in (promote_command(facts, Paths.of(None)) or "")


def test_importance_of_trials_with_the_same_parameters_is_told_in_words() -> None:
    """The forest cannot split them, and Optuna may raise, or name any of them."""
    losses = [0.1 * number for number in range(1, 10)]
    trials = [(ended(number, loss), loss) for number, loss in enumerate(losses)]
    assert importance(trials, SpaceConfig()) == ALIKE


def test_importance_finds_the_parameter_that_matters_and_says_how_sure_it_is() -> None:
    trials = [(record, record.value) for record in twenty() if record.status == "COMPLETE" and record.value]
    first, *others = importance(trials, SpaceConfig())
    assert first.name == "learning rate"
    assert first.share > 0.5
    assert first.share + sum(share.share for share in others) == pytest.approx(1)
    assert all(share.low <= share.share <= share.high for share in (first, *others))
    assert importance(trials, SpaceConfig()) == [first, *others]


def test_importance_is_refused_in_words() -> None:
    few = [(ended(n, 0.1 * n), 0.1 * n) for n in range(7)]
    assert importance(few, SpaceConfig()) == "needs at least 8 trials, but there are 7"
    equal = [(ended(n, 0.5), 0.5) for n in range(9)]
    assert importance(equal, SpaceConfig()) == "needs trials that differ, but all have the same log loss"


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("100k", {}, {}),
    ("sample", {}, {"trials": 3, "confirm_seeds": 3}),
    ("100k", {"epochs": 1.0, "max_rows": 500, "seed": 7, "model": "some/model"}, {"gpus_per_trial": 0.5}),
    ("10k", {"target_modules": ("q_proj", "v_proj"), "model_revision": None}, {"cpus_per_trial": 2}),
    (
        "my-set",
        {"class_weights": "none"},
        {"space": SpaceConfig.model_validate({"learning_rate": {"low": 1e-6, "high": 1}})},
    ),
]


@pytest.mark.parametrize(("name", "train", "search"), CHANGES)
def test_the_command_makes_the_same_study(
    name: str, train: dict[str, Any], search: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tune.py would make of the printed command has the identity, the name and the length of the study."""
    folder = tmp_path / "my-set"
    folder.mkdir()
    spec = find_dataset(str(folder) if name == "my-set" else name)
    usual, plain = resolve(spec, {}, {})
    data = DataInfo(
        name=spec.name,
        builtin=spec.builtin,
        source=str(spec.path or "hub"),
        revision="r" if spec.hub_id else None,
        fingerprint="f",
        train_rows=9,
    )
    config = StudyConfig(
        dataset=data,
        train=usual.model_copy(update=train),
        search=plain.model_copy(update=search),
        prior="10k",
    )
    facts = Facts("given-name", config, (), ())
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr("search.tune._search", lambda *told: found.append(told))
    words = shlex.split(tune_command(facts, Paths.of(tmp_path / "out")))
    assert words[:2] == ["python", "search/tune.py"]
    assert CliRunner().invoke(app, words[2:]).exit_code == 0
    ((order, sets, flags),) = found
    again, anew = resolve(find_dataset(order.dataset), parse_sets(sets), flags)
    assert (again, anew) == (config.train, config.search)
    assert (order.prior, order.study, order.output) == ("10k", "given-name", tmp_path / "out")


def test_the_commands_name_what_is_not_the_default_alone(tmp_path: Path) -> None:
    spec = find_dataset("100k")
    train, search = resolve(spec, {}, {})
    data = DataInfo(name="100k", builtin=False, source="hub", revision="r", fingerprint="f", train_rows=9)
    config = StudyConfig(dataset=data, train=train, search=search)
    records = (ended(0, 0.5), ended(1, 0.4))
    facts = Facts(config.default_name(spec), config, records, (), best=records[1])
    here = Paths.of(None)
    assert tune_command(facts, here) == "python search/tune.py --dataset 100k --trials 20"
    told = f"python search/promote.py --study {facts.name} --trial 1 --dataset 2M"
    assert promote_command(facts, here) == told
    assert report_command(facts, here) == f"python search/report.py --study {facts.name}"
    assert promote_command(facts_of(tmp_path, [], config_of(4)), here) is None
