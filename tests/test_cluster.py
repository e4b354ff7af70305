"""A cluster as the commands see it, without one: how it is shared out, who joins, what a lost machine costs."""

import math
import shlex
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_lines import parse
from fake_trial import config_of

from search import cluster
from search.cluster import FORWARDED, check_machines, join, missing, refusals
from search.config import SearchConfig, resolve_search
from search.foresee import Request, foresight
from search.machine import Machines, slots_of
from search.promotion import PromoteConfig, worker_resources
from search.record import LOCK
from search.runner import Outcome
from search.sampler import StudySearch
from search.scheduler import NODE_LOST, Asha
from search.study import Study
from search.tune import _next_command
from train_fn.config import find_dataset
from train_fn.errors import InputError

NODE_DIED = """Failure # 1 (occurred at 2026-01-01_00-00-00)
The actor died unexpectedly before finishing this task.
\tclass_name: Trial
The actor died because its node has died. Node Id: 1f2e3d
\tthe actor's node was terminated unexpectedly: health check failed due to missing too many heartbeats
"""
UNAVAILABLE = "The actor 2c1ab0 is unavailable: RPC error. The task may or may not have been executed."
KILLED = "The actor died.\nWorker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits. rpc"
HEAD = {"CPU": 8.0}


@pytest.mark.parametrize(
    ("machines", "search", "count", "resources"),
    [
        ([{"CPU": 4.0}] * 3, {}, 3, {"CPU": 4.0}),
        ([{"CPU": 4.0}, {"CPU": 9.0}], {}, 3, {"CPU": 4.0}),  # the same cores everywhere
        ([{"CPU": 4.0}, {"CPU": 9.0}], {"cpus_per_trial": 8}, 1, {"CPU": 8.0}),
        ([HEAD, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 1.0}], {}, 2, {"CPU": 8.0, "GPU": 1.0}),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 32.0, "GPU": 4.0}], {}, 6, {"CPU": 4.0, "GPU": 1.0}),
        ([{"CPU": 8.0, "GPU": 2.0}] * 2, {"gpus_per_trial": 0.4}, 8, {"CPU": 2.0, "GPU": 0.4}),
    ],
)
def test_trials_spread_over_all_machines_that_can_take_them(
    machines: Machines, search: dict[str, float], count: int, resources: dict[str, float]
) -> None:
    slots = slots_of(SearchConfig.model_validate(search), machines)
    assert (slots.count, slots.resources) == (count, resources)


@pytest.mark.parametrize(
    ("machines", "workers", "resources"),
    [
        ([{"CPU": 4.0}, {"CPU": 4.0}], 3, {"CPU": 2.0}),
        ([{"CPU": 4.0}, {"CPU": 2.0}], 2, {"CPU": 2.0}),  # three cores each would leave a machine without
        ([HEAD, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}], 4, {"CPU": 4.0, "GPU": 1.0}),
        ([{"CPU": 8.0}], 3, {"CPU": 2.0}),
    ],
)
def test_a_promotions_workers_get_the_largest_share_that_fits_on_the_machines(
    machines: Machines, workers: int, resources: dict[str, float]
) -> None:
    assert worker_resources(PromoteConfig(workers=workers), machines) == (resources, "GPU" in resources)


def test_more_workers_than_the_gpus_of_a_cluster_are_refused_whatever_its_cores() -> None:
    machines = [HEAD, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 1.0}]
    with pytest.raises(
        InputError, match=r"2 machines, but they have 16 cores and 2 GPUs; use fewer --workers"
    ):
        worker_resources(PromoteConfig(workers=3), machines)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.cluster.local:6379", "[::1]:6379", None])
def test_an_address_is_auto_or_that_of_a_head(address: str | None) -> None:
    assert resolve_search({"address": address}).address == address


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "user:secret@head:6379", "head:port", ""])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="must be auto, or HOST:PORT"):
        resolve_search({"address": address})


def test_an_address_is_no_part_of_what_makes_two_searches_the_same() -> None:
    assert config_of(4, address="auto").identity == config_of(4).identity


def test_a_cluster_that_nobody_answers_for_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=f"--address 127.0.0.1:{port} must name a running Ray cluster"):
        join(f"127.0.0.1:{port}", {})


def test_workers_elsewhere_get_our_choices_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    given: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
    for name in FORWARDED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_BASE_URL", "https://user:secret@wandb.example")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    join("auto", {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"})
    told = given["runtime_env"]["env_vars"]
    assert told == {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "WANDB_MODE": "offline"}


def test_a_machine_without_the_shared_folder_is_named_with_what_it_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    asked: list[str] = []

    def ask(paths: list[str]) -> dict[str, list[str] | str]:
        asked.extend(paths)
        assert missing(paths) == [str(model)]  # the marks are there while the machines look
        return {"near": missing(paths), "far": list(paths), "bare": "No module named 'search'"}

    monkeypatch.setattr(cluster, "_ask", ask)
    with pytest.raises(InputError) as refused:
        check_machines([tmp_path], [model])
    told = str(refused.value)
    assert f"near does not see {model}\n" in told
    assert f"far does not see {tmp_path}, {model}\n" in told
    assert "bare cannot run a task: No module named 'search'\n" in told
    assert "install the project on each machine; put --output, and HF_HOME" in told
    assert list(tmp_path.iterdir()) == []
    assert refusals({"good": []}, {}) == []


class Tuned:
    """A trial as Tune hands it to a scheduler, with the error file that Tune wrote for it."""

    def __init__(self, folder: Path, trial_id: str, number: int, error: str = "") -> None:
        self.trial_id, self.config = trial_id, {"number": number}
        self.last_result: dict[str, float] = {}
        self.error_file = folder / f"{trial_id}.txt"
        self.error_file.write_text(error)

    def send(self, asha: Asha, progress: int, objective: float) -> str:
        self.last_result = {"progress": progress, "objective": objective}
        return asha.on_trial_result(None, self, self.last_result)


@pytest.mark.parametrize(("error", "lost"), [(NODE_DIED, True), (UNAVAILABLE, True), (KILLED, False)])
def test_a_lost_machine_is_told_from_a_killed_worker(tmp_path: Path, error: str, lost: bool) -> None:
    for address in ("auto", None):  # a Ray of our own has one machine, which is this one
        asha, trial = Asha(SearchConfig(address=address), []), Tuned(tmp_path, "a", 0, error)
        asha.on_trial_add(None, trial)
        asha.on_trial_error(None, trial)
        assert (asha.causes["a"] == NODE_LOST) == (lost and address == "auto")


def test_a_trial_that_goes_on_elsewhere_counts_once_and_is_not_stopped_where_it_had_passed(
    tmp_path: Path,
) -> None:
    asha = Asha(SearchConfig(grace_percent=30, address="auto"), [])
    lost = Tuned(tmp_path, "a", 0, NODE_DIED)
    asha.on_trial_add(None, lost)
    assert lost.send(asha, 30, 0.9) == "CONTINUE"
    asha.on_trial_error(None, lost)
    assert [rung for _, rung in asha._brackets[0]._rungs if rung] == []
    for number in range(1, 4):  # meanwhile better ones pass there
        other = Tuned(tmp_path, f"b{number}", number)
        asha.on_trial_add(None, other)
        other.send(asha, 30, 0.1)
    again = Tuned(tmp_path, "c", 0)
    asha.on_trial_add(None, again)
    assert again.send(asha, 30, 0.9) == "CONTINUE"
    assert sorted(asha._brackets[0]._rungs[-1][1]) == ["b1", "b2", "b3", "c"]


def search_in(folder: Path, causes: dict[str, str], **search: Any) -> tuple[Study, StudySearch]:
    study, config = Study(folder), config_of(4, **search)
    folder.mkdir()
    study.adopt_config(config)
    return study, StudySearch(study, config, lambda: False, causes)


def told(percent: int, objective: float, **more: object) -> dict[str, object]:
    return {"row": {"progress": percent, "objective": objective, **more}}


@pytest.mark.filterwarnings("error")
def test_a_lost_machine_costs_a_trial_that_gets_on_nothing_however_often(tmp_path: Path) -> None:
    causes: dict[str, str] = {}
    study, search = search_in(tmp_path / "s", causes)
    first = search.suggest("0")
    (study.trial_folder(0) / LOCK).touch()  # it had begun
    for life in range(6):
        for percent in range(10, 10 * life + 11, 10):
            search.on_trial_result(str(life), told(percent, 0.5))
        causes[str(life)] = NODE_LOST
        search.on_trial_complete(str(life), error=True)
        assert study.records() == []
        assert search.suggest(str(life + 1)) == first
    for percent in range(10, 100, 10):
        search.on_trial_result("6", told(percent, 0.5))
    search.on_trial_complete("6", told(100, 0.4, status="COMPLETE"))
    (record,) = study.records()
    curve = {**dict.fromkeys(range(10, 100, 10), 0.5), 100: 0.4}
    assert (record.status, dict(record.curve)) == ("COMPLETE", curve)
    (trial,) = search._ot_study.get_trials()
    assert (trial.state.name, trial.intermediate_values) == ("COMPLETE", curve)


def test_a_trial_that_takes_its_machine_down_each_time_fails(tmp_path: Path) -> None:
    causes = dict.fromkeys("abc", NODE_LOST)
    study, search = search_in(tmp_path / "s", causes)
    for life in "abc":
        assert study.records() == []
        search.suggest(life)
        (study.trial_folder(0) / LOCK).touch()
        search.on_trial_complete(life, error=True)
    (record,) = study.records()
    assert (record.status, record.cause) == ("FAILED", NODE_LOST)


def test_a_trial_that_had_ended_when_its_machine_was_lost_tells_it_again(tmp_path: Path) -> None:
    causes = {"a": NODE_LOST}
    study, search = search_in(tmp_path / "s", causes)
    asked = search.suggest("a")
    (study.trial_folder(0) / LOCK).touch()
    search.on_trial_complete("a", error=True)
    assert study.records() == []  # what it did meanwhile was judged by nobody
    assert search.suggest("b") == asked
    search.on_trial_complete("b", told(100, 0.3, status="COMPLETE"))  # by its result.json, at once
    (record,) = study.records()
    assert (record.status, record.value) == ("COMPLETE", 0.3)
    assert math.isclose(search._ot_study.best_value, 0.3)
    second = search.suggest("c")
    assert isinstance(second, dict)
    assert second["number"] == 1


def test_the_next_command_names_the_cluster_too(tmp_path: Path) -> None:
    study, _ = search_in(tmp_path / "s", {}, address="auto")
    command = _next_command(Outcome(study), find_dataset("100k"), tmp_path)
    assert parse("promote", shlex.split(command)[2:])["address"] == "auto"


def test_a_cluster_is_not_foreseen_from_this_machine(tmp_path: Path) -> None:
    config = config_of(4, address="auto")
    study, inputs = Study(tmp_path / "s"), SimpleNamespace()
    _, foreseen = foresight(Request(), print)(study, config, inputs)
    assert foreseen.record is None
    for asked in (Request(dry_run=True), Request(price_per_hour=1.0)):
        with pytest.raises(InputError, match="--address must not be given with them"):
            foresight(asked, print)(study, config, inputs)
