"""What the commands say, ask and choose before they begin, with a probe that is made up."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from fake_trial import config_of
from probed import found
from recorded import ended, make_study
from training import settings

from search import foresee, placement
from search.foresee import DAY, Request, foresee_promotion, foresight
from search.foreseen import FORECAST, Foreseen
from search.probing import Place, ProbeError
from search.promotion import PromoteConfig
from search.record import StudyConfig, record_of
from search.rungs import Plan
from search.study import Study
from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.measured import Measured
from train_fn.run_folder import RunFolder, run_name
from train_fn.storage import Paths, read_json, write_json
from train_fn.voice import speaking

Ask = Callable[..., tuple[StudyConfig, Foreseen]]


class Machine:
    """Two cores, or GPUs; what the probe finds, or why it fails; and where it was asked to run."""

    def __init__(self) -> None:
        self.resources = {"CPU": 2.0, "GPU": 0.0}
        self.found: Measured | ProbeError | OSError = found()
        self.places: list[Place] = []

    def measure(self, data: Path, model: str, config: object, place: Place, say: object) -> Measured:
        self.places.append(place)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(foresee, "find_measured", made.measure)
    monkeypatch.setattr(placement, "expected_machines", lambda: [made.resources])
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Make standard input a terminal on which these words are typed."""

    def typed(words: str) -> None:
        stream = io.StringIO(words)
        monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", stream)

    return typed


@pytest.fixture
def inputs(tokens: Path, small_model: Path) -> Any:
    return SimpleNamespace(data=tokens, model=str(small_model))


@pytest.fixture
def ask(tmp_path: Path, inputs: Any, small_model: Path, machine: Machine) -> Ask:
    """Ask for a forecast of a search on the small set, as run_search does."""

    def asked(request: Request, trials: int = 20, **search: Any) -> tuple[StudyConfig, Foreseen]:
        config = config_of(trials, **{"forecast": "always", **search})
        config = config.model_copy(update={"train": settings(small_model)})
        return foresight(request, print)(Study(tmp_path / "s"), config, inputs)

    return asked


def recorded(tmp_path: Path, trials: int, **search: Any) -> Study:
    config = config_of(trials, **search)
    return make_study(tmp_path / "s", [ended(number, 0.5 + number / 100) for number in range(trials)], config)


def hours(**paces: float) -> Measured:
    """A machine on which each trial of the small set takes half an hour or so."""
    return found(update=200.0, **paces)


def test_a_forecast_is_said_and_kept_with_the_study(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, foreseen = ask(Request(price_per_hour=2.0))
    assert config.search.trials == 20
    told = capsys.readouterr().out
    assert told.startswith("forecast 0:")
    assert "machine-hours" in told
    assert "cost" in told
    assert not (tmp_path / "s").exists()
    foreseen.keep(tmp_path)
    kept = read_json(tmp_path / FORECAST)
    assert kept["trials"] == 20
    assert kept["forecast_cost"] == pytest.approx(2 * kept["forecast_seconds"] / 3600)


@pytest.mark.parametrize(
    ("more", "goes"),
    [
        ({}, False),
        ({"trials": 40}, True),
        ({"address": "auto"}, True),
        ({"confirm_seeds": 1}, True),
        ({"time_budget": 9.0}, True),
    ],
    ids=str,
)
def test_a_forecast_is_not_settled_by_a_search_that_it_did_not_foresee(
    ask: Ask, tmp_path: Path, more: dict[str, Any], goes: bool
) -> None:
    ask(Request())[1].keep(tmp_path)
    foreseen = ask(Request(), **{"forecast": "never", **more})[1]
    assert foreseen.record is None
    foreseen.keep(tmp_path)
    assert (tmp_path / FORECAST).exists() != goes


def test_a_dry_run_ends_there_and_leaves_no_study(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended_as:
        ask(Request(dry_run=True))
    assert ended_as.value.exit_code == 0
    assert "nothing was started" in capsys.readouterr().out
    assert not (tmp_path / "s").exists()
    with speaking(quiet=True, apart=True), pytest.raises(typer.Exit):
        ask(Request(dry_run=True))
    told = json.loads(capsys.readouterr().out)["forecast"]
    assert told["trials"] == 20
    assert told["forecast_seconds_low_5_percent"] < told["forecast_seconds"]


def test_a_dry_run_of_a_finished_study_says_that_nothing_is_left(
    ask: Ask, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(tmp_path, 4)
    with pytest.raises(typer.Exit):
        ask(Request(dry_run=True), trials=4)
    assert "nothing is left to run" in capsys.readouterr().out
    assert ask(Request(), trials=4)[1].record is None
    assert not machine.places


def test_only_what_is_left_is_foreseen(ask: Ask, tmp_path: Path) -> None:
    whole = ask(Request())[1].record or {}
    recorded(tmp_path, 15)
    rest = ask(Request())[1].record or {}
    assert rest["training_seconds"] < 0.35 * whole["training_seconds"]
    confirming = ask(Request(), trials=15, confirm_seeds=1)[1].record or {}
    assert confirming["training_seconds"] == 0
    assert confirming["confirmation_seconds"] > 0


def test_the_forecast_of_an_extension_leaves_out_the_runs_of_the_confirmation_that_were_made(
    ask: Ask, tmp_path: Path
) -> None:
    study = recorded(tmp_path, 15, confirm_seeds=1)

    def confirmation() -> float:
        return (ask(Request(), trials=16, confirm_seeds=1)[1].record or {})["confirmation_seconds"]

    before = confirmation()
    for number, seed in study.confirmation().missing:
        last = {"progress": 100, "objective": 0.5, "seconds": 2.0}
        study.end(record_of(study.ask_again(number, seed), [last], "COMPLETE"))
    assert confirmation() < before / 3


def test_a_time_budget_chooses_as_many_trials_as_fit(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = (ask(Request(), trials=7)[1].record or {})["forecast_seconds_high_95_percent"]
    capsys.readouterr()
    config, foreseen = ask(Request(choose=True), time_budget=seconds + 1)
    assert config.search.trials == 7
    assert (foreseen.record or {})["forecast_seconds_high_95_percent"] == pytest.approx(seconds)
    assert "trials   7: as many as fit into" in capsys.readouterr().out
    given, _ = ask(Request(choose=False), time_budget=seconds + 1)
    assert given.search.trials == 20


def test_a_study_that_goes_on_keeps_its_number_of_trials(ask: Ask, machine: Machine, tmp_path: Path) -> None:
    config, _ = ask(Request(choose=True), time_budget=200)
    study = Study(tmp_path / "s")
    study.adopt_config(config)
    machine.found = found(update=2.0)  # now the machine seems slower
    again, _ = ask(Request(choose=True), time_budget=200)
    assert again.search.trials == config.search.trials > 1
    other, _ = ask(Request(choose=True), time_budget=1_000)
    assert other.search.trials > config.search.trials


def test_trials_that_were_begun_are_not_taken_back(ask: Ask, tmp_path: Path) -> None:
    study = recorded(tmp_path, 6)
    study.ask(6, ended(6, 0.5).params)
    config, _ = ask(Request(choose=True), time_budget=30)
    assert config.search.trials == 7


def test_a_budget_too_small_for_a_trial_begins_one_and_says_so(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = ask(Request(choose=True), time_budget=5)
    assert config.search.trials == 1
    assert "trials   1, though that may take 0:00:" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [ProbeError, OSError])
def test_a_probe_that_fails_warns_and_stops_only_a_dry_run(
    ask: Ask, machine: Machine, capsys: pytest.CaptureFixture[str], kind: type[ProbeError | OSError]
) -> None:
    machine.found = kind("out of memory (2 GiB)")
    config, foreseen = ask(Request(choose=True), time_budget=100)
    assert (config.search.trials, foreseen.record) == (20, None)
    told = capsys.readouterr().out
    assert "warning  no forecast" in told
    assert "out of memory (2 GiB)" in told
    with pytest.raises(InputError, match=r"out of memory \(2 GiB\)"):
        ask(Request(dry_run=True))


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(InputError, match="--price-per-hour must be 0 or more"):
        Request(price_per_hour=price)


def test_a_long_run_without_an_accelerator_asks_on_a_terminal(
    ask: Ask, machine: Machine, terminal: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    machine.found = found(update=3_000.0)
    terminal("y\n")
    record = ask(Request())[1].record or {}
    assert record["forecast_seconds"] > DAY
    assert "more than a day" in capsys.readouterr().out
    terminal("n\n")
    with pytest.raises(typer.Exit) as ended_as:
        ask(Request())
    assert ended_as.value.exit_code == 1


def test_a_short_run_does_not_ask(ask: Ask, terminal: Callable[[str], None]) -> None:
    terminal("n\n")
    assert ask(Request())[1].record


def test_without_a_terminal_or_with_an_accelerator_nobody_is_asked(
    ask: Ask,
    machine: Machine,
    terminal: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine.found = found(update=3_000.0)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert ask(Request())[1].record
    assert "more than a day" in capsys.readouterr().out
    machine.resources = {"CPU": 8.0, "GPU": 1.0}
    terminal("n\n")
    assert ask(Request())[1].record
    assert "more than a day" in capsys.readouterr().out


def test_auto_leaves_short_runs_alone_unless_something_asks(
    ask: Ask, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(Request(), forecast="auto")[1].record is None
    assert ask(Request(price_per_hour=1.0), forecast="never")[1].record
    assert ask(Request(choose=True), forecast="auto", time_budget=100)[1].record
    assert ask(Request(choose=True), forecast="never", time_budget=100)[1].record is None
    monkeypatch.setattr(foresee, "SHORT_SECONDS", 0.01)
    assert ask(Request(), forecast="auto")[1].record
    assert ask(Request(), forecast="never")[1].record is None
    assert len(machine.places) == 3


def test_the_probe_runs_as_the_trials_will(ask: Ask, machine: Machine) -> None:
    ask(Request(), cpus_per_trial=1)
    machine.resources = {"CPU": 16.0, "GPU": 2.0}
    record = ask(Request(), gpus_per_trial=0.5)[1].record or {}
    ask(Request())
    assert machine.places == [Place(1, 2, 1.0), Place(4, 2, 0.5), Place(8, 1, 1.0)]
    assert record["forecast_accelerator_hours"] == pytest.approx(2 * record["forecast_seconds"] / 3600)


def test_a_study_that_is_being_searched_is_not_probed(ask: Ask, machine: Machine, tmp_path: Path) -> None:
    recorded(tmp_path, 2)
    with Study(tmp_path / "s").locked(), pytest.raises(InputError, match="is being searched"):
        ask(Request(dry_run=True))
    assert not machine.places


def test_a_promotion_is_foreseen_from_its_last_checkpoint(
    machine: Machine, inputs: Any, small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, paths = DatasetSpec(name="words", path=tmp_path), Paths(tmp_path)
    config = settings(small_model)
    run = RunFolder.of(paths, run_name(config.model, spec, config.splits))

    def foreseen(*, goes_on: bool = True, dry: bool = False) -> dict[str, Any]:
        promotion = PromoteConfig(workers=2, forecast="always")
        about = (inputs, config, promotion, run, print, Plan(rungs=(), probe=None, bound=0.2))
        return dict(foresee_promotion(Request(dry_run=dry), *about, goes_on=goes_on).record or {})

    whole = foreseen()
    assert machine.places == [Place(1, 2, 1.0, ranks=2)]
    (run.folder / "checkpoints" / "step-000000006").mkdir(parents=True)  # of 8
    assert foreseen()["training_seconds"] == pytest.approx(whole["training_seconds"] / 4)
    assert foreseen(goes_on=False) == whole
    write_json(run.folder / "result.json", {})
    assert foreseen() == {}
    with pytest.raises(typer.Exit):
        foreseen(dry=True)
    assert "nothing is left to run" in capsys.readouterr().out
