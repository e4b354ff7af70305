"""Three real Ray nodes on this machine: a search and a promotion across them, and a node killed in each."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from promotions import adapter, finish, promote, study_in, write_rows
from ray.cluster_utils import Cluster

from search.study import Study
from train_fn.storage import PROJECT

TESTS = Path(__file__).parent
LIMIT_SECONDS = 400.0

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head, to which commands connect, and two more nodes, of one core each."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(TESTS)]))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def raylet(node: Any) -> psutil.Process:
    (found,) = node.all_processes["raylet"]
    return psutil.Process(found.process.pid)


def node_of(cluster: Cluster, pid: int) -> Any:
    """The node, other than the head, on which a worker process runs; None for the head's."""
    parent = psutil.Process(pid).ppid()
    return next((node for node in cluster.worker_nodes if raylet(node).pid == parent), None)


def lines(file: Path) -> list[Any]:
    """The whole lines of a file that somebody may be writing."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def wait_for(moment: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    """What `moment` finds, as soon as it finds something."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (found := moment()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_search_spreads_over_the_nodes_and_a_killed_one_costs_no_trial(
    nodes: Cluster, tmp_path: Path
) -> None:
    study, plan = Study(tmp_path / "fake"), {"seconds": 2.0}
    settings = {"address": nodes.address, "grace_percent": 100}  # nobody is stopped early
    words = [str(study.folder), "4", json.dumps(plan), json.dumps(settings)]
    search = subprocess.Popen(
        [sys.executable, "-m", "fake_trial", *words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    def starts(number: int) -> list[Any]:
        return lines(study.trial_folder(number) / "starts.jsonl")

    def curve(number: int) -> list[int]:
        return [row["progress"] for row in lines(study.trial_folder(number) / "curve.jsonl")]

    wait_for(lambda: all(len(curve(number)) >= 2 for number in range(3)), search)  # all three at once
    homes = {number: node_of(nodes, starts(number)[0]["pid"]) for number in range(3)}
    assert len(set(homes.values())) == 3
    killed = next(number for number, node in homes.items() if node is not None)
    before = len(curve(killed))
    nodes.remove_node(homes[killed], allow_graceful=False)
    told, _ = search.communicate(timeout=LIMIT_SECONDS)
    assert search.returncode == 0, told
    assert "Traceback" not in told

    records = study.records()
    assert sorted(record.number for record in records) == list(range(4))
    assert {record.status for record in records} == {"COMPLETE"}, [record.cause for record in records]
    assert [len(starts(number)) for number in range(4)] == [1 + (number == killed) for number in range(4)]
    first, again = starts(killed)
    assert first["pid"] != again["pid"]
    assert 2 <= before < 9
    assert [curve(number) for number in range(4)] == [list(range(10, 100, 10))] * 4  # no row twice


def test_a_promotion_across_nodes_ends_with_the_same_bits_when_one_is_killed(
    nodes: Cluster, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows")
    calm, killed = tmp_path / "calm" / "output", tmp_path / "killed" / "output"
    for output in (calm, killed):
        study_in(output)
    more = ("--no-merged", "--address", nodes.address, "--workers", "2")
    finish(promote(rows, calm, *more))

    process = promote(rows, killed, *more)
    run = killed / "qwen3-tiny-rows"
    wait_for(lambda: list(run.glob("checkpoints/step-*[1-9]")), process)
    workers = {
        node: [each for each in raylet(node).children() if "RayTrainWorker" in " ".join(each.cmdline())]
        for node in nodes.worker_nodes
    }
    home = next(node for node, found in workers.items() if found)
    nodes.remove_node(home, allow_graceful=False)
    told = finish(process)
    assert "resumes at step" in told
    assert "not bit for bit" not in told

    left, right = adapter(calm), adapter(killed)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
