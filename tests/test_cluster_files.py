"""The files of configs/cluster: that Kubernetes, Ray and bash take them, and our own command lines theirs."""

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from cluster_schema import CLAIM, RAY_JOB
from command_lines import parse

from search.config import resolve_search
from train_fn.storage import CONFIGS, PROJECT

FOLDER = CONFIGS / "cluster"
JOBS = ("rayjob-search.yaml", "rayjob-promote.yaml")
FILES = sorted(path.name for path in FOLDER.iterdir())
COMMAND = re.compile(r"python (?:\S*/)?search/(tune|promote)\.py(?: +[^\s\"'()]+)*")


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / name).read_text()))


def commands(name: str) -> Iterator[tuple[str, list[str]]]:
    """Our own command lines in a file, its comments included: the script's name and its words."""
    text = (FOLDER / name).read_text()
    if name in JOBS:
        text = read(name)["spec"]["entrypoint"]
    found = [(match[1], shlex.split(match[0])[2:]) for match in COMMAND.finditer(text)]
    if name == "slurm.sh":
        shared = re.search(r'"\$\{command\[@\]\}" (.*)', text)
        assert shared
        more = shlex.split(shared[1].replace("$PWD", "/shared"))
        found = [(script, [*words, *more]) for script, words in found]
    yield from found


def test_there_is_a_file_for_each_kind_of_cluster() -> None:
    assert FILES == ["machines.yaml", "rayjob-promote.yaml", "rayjob-search.yaml", "slurm.sh", "volume.yaml"]


@pytest.mark.parametrize("name", [name for name in FILES if name != "volume.yaml"])
def test_our_command_lines_take_the_commands_in_the_files(name: str) -> None:
    found = list(commands(name))
    assert {script for script, _ in found} <= {"tune", "promote"}
    assert len(found) == (1 if name in JOBS else 2)
    for script, words in found:
        given = parse(script, words)
        assert resolve_search({"address": given["address"]}).address == "auto"
        assert Path(given["output"]).is_relative_to("/shared")
        assert given["best"] if script == "promote" else given["dataset"] == "100k"


def test_a_command_line_that_has_changed_would_be_found() -> None:
    with pytest.raises(Exception, match="Missing parameter: dataset"):
        parse("tune", ["--address", "auto"])
    with pytest.raises(Exception, match="No such option: --adress"):
        parse("tune", ["--dataset", "100k", "--adress", "auto"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_the_command_that_uses_it(name: str) -> None:
    lines = (FOLDER / name).read_text().splitlines()
    comment = [line for line in lines[:8] if line.startswith("#")]
    assert "sed" in comment[0] or "sed" in comment[1]  # Used by, used once, used in
    assert any(re.match(r"#   \S+ .*configs/cluster/", line) for line in comment)
    told = set(re.findall(r"configs/cluster/([\w.-]+)", "\n".join(comment)))
    assert name in told <= set(FILES)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_what_kuberay_takes(name: str) -> None:
    jsonschema.validate(read(name), RAY_JOB)
    misspelt = copy.deepcopy(read(name))
    misspelt["spec"]["ttlSecondsAfterFinish"] = misspelt["spec"].pop("ttlSecondsAfterFinished")
    with pytest.raises(jsonschema.ValidationError, match="ttlSecondsAfterFinish"):
        jsonschema.validate(misspelt, RAY_JOB)


def containers(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [each for group in groups for each in group["template"]["spec"]["containers"]]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_shares_a_volume_and_cleans_up_and_holds_no_secret(name: str) -> None:
    spec, claim = read(name)["spec"], read("volume.yaml")
    cluster = spec["rayClusterSpec"]
    jsonschema.validate(claim, CLAIM)
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0
    assert cluster["authOptions"]["mode"] == "token"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (volume,) = group["template"]["spec"]["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    for container in containers(cluster):
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        variables = {each["name"]: each for each in container["env"]}
        assert variables["HF_HOME"]["value"].startswith("/shared/")
        assert {"WANDB_API_KEY", "HF_TOKEN"} <= variables.keys()
        assert all("valueFrom" in each for key, each in variables.items() if key != "HF_HOME")


@pytest.mark.parametrize("name", JOBS)
def test_a_jobs_workers_are_as_many_as_its_command_wants(name: str) -> None:
    (group,) = read(name)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    ((script, words),) = commands(name)
    assert script == "tune" or parse(script, words)["workers"] == group["replicas"]


@pytest.mark.parametrize("name", JOBS)
def test_a_jobs_ray_is_the_one_that_is_installed(name: str) -> None:
    (pinned,) = re.findall(r"^ray==(\S+)$", (PROJECT / "constraints.txt").read_text(), re.MULTILINE)
    assert read(name)["spec"]["rayClusterSpec"]["rayVersion"] == pinned
    assert f"rayproject/ray:{pinned}-py311-gpu" in (FOLDER / name).read_text()


def test_ray_up_takes_the_file_of_own_machines() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    given = read("machines.yaml")
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(given, schema)
    prepared = prepare_config(given)
    validate_config(prepared)
    (node_type,) = prepared["available_node_types"].values()
    assert node_type["min_workers"] == node_type["max_workers"] == len(given["provider"]["worker_ips"])
    ranks = [
        parse(script, words)["workers"] for script, words in commands("machines.yaml") if script == "promote"
    ]
    assert ranks == [1 + len(given["provider"]["worker_ips"])]


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of four machines, where srun says what it was asked to do."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool, says in (("scontrol", "printf 'node1\\nnode2\\n'"), ("srun", 'printf "%s\\n" "$@"')):
        (tools / tool).write_text(f"#!/bin/bash\n{says}\n")
        (tools / tool).chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "SLURM_JOB_ID": "1234567", "SLURM_JOB_NODELIST": "node[1-4]", "SLURM_NNODES": "4"}


@pytest.mark.skipif(not shutil.which("openssl"), reason="the script makes its token with openssl")
@pytest.mark.parametrize("script", ["tune", "promote"])
def test_the_slurm_script_starts_one_ray_on_all_machines_and_our_command_on_the_first(
    script: str, slurm: dict[str, str], tmp_path: Path
) -> None:
    words = ["bash", str(FOLDER / "slurm.sh"), *(["promote"] if script == "promote" else [])]
    done = subprocess.run(words, env=slurm, cwd=tmp_path, capture_output=True, text=True, check=True)
    asked = done.stdout.splitlines()
    separator = asked.index("--")
    started, command = asked[:separator], asked[separator + 1 :]
    assert started[started.index("ray") :] == [
        *("ray", "symmetric-run", "--address", "node1:24567", "--min-nodes", "4")
    ]
    assert command[:2] == ["python", f"search/{script}.py"]
    given = parse(script, command[2:])
    assert (given["address"], given["output"]) == ("auto", tmp_path / "output")
    nodes = re.search(r"#SBATCH --nodes=(\d+)", (FOLDER / "slurm.sh").read_text())
    assert nodes
    assert script == "tune" or given["workers"] == int(nodes[1])
