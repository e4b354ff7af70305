"""Run: pytest tests/test_tracking_process.py

How W&B behaves in a process of its own: credentials, servers, secrets, and the ways a process ends.
"""

import re
import socket
import sys
import time

import pytest
from tracking_runs import KEY, RUN, WITHOUT_CHARTS, child
from wandb_files import read_runs, records
from wandb_server import serve

from train_fn.tracking import sync_hint


def test_without_credentials_a_run_is_offline_and_nobody_is_asked(tmp_path):
    out, err = child(RUN, tmp_path).communicate(timeout=60)  # ends without close_all, too
    (run,) = read_runs(tmp_path / "logs")
    assert run.exit_code == 0
    assert len(run.history) == 4  # the last holds the chart
    assert (out, err) == ("", "")


def test_nothing_is_written_outside_the_run_but_the_cache_of_wandb(tmp_path):
    child(RUN, tmp_path).communicate(timeout=60)
    home = [path.relative_to(tmp_path / "home") for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert {path.parts[:2] for path in home} <= {(".cache", "wandb")}


def test_rows_of_a_killed_process_are_on_disk(tmp_path):
    process = child(RUN.replace("tracker.log(CHARTS", "time.sleep(60); tracker.log(CHARTS"), tmp_path)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(run.history[2:] for run in read_runs(tmp_path)):
        time.sleep(0.1)
    process.kill()
    process.communicate()
    (run,) = read_runs(tmp_path)
    assert [row["_step"] for row in run.history] == [0, 256, 512]
    assert run.exit_code is None


def test_no_key_and_nothing_of_the_machine_goes_into_any_file(tmp_path):
    secret = "a-value-of-the-environment"
    child(
        RUN + "close_all()", tmp_path, WANDB_MODE="offline", WANDB_API_KEY=KEY, SOME_VARIABLE=secret
    ).communicate(timeout=60)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    for path in files:
        data = path.read_bytes()
        assert KEY.encode() not in data, path
        assert secret.encode() not in data, path
        assert not re.search(rb"wandb_v1_\w{20}|hf_\w{30}|sk-\w{20}", data), path
    names = {path.name for path in files}
    assert not names & {"wandb-metadata.json", "requirements.txt", "output.log", "diff.patch"}
    (run,) = [path for path in files if path.suffix == ".wandb"]
    assert sys.executable.encode() not in run.read_bytes()
    assert not any(record.HasField("environment") for record in records(run))
    assert {record.run.host for record in records(run) if record.HasField("run")} == {""}


def test_a_netrc_login_of_the_server_makes_runs_online(tmp_path):
    with serve() as received:
        host = received.url.removeprefix("http://")
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / ".netrc").write_text(f"machine {host} login user password {KEY}\n")
        script = WITHOUT_CHARTS + "close_all()"
        out, err = child(script, tmp_path, WANDB_BASE_URL=received.url).communicate(timeout=60)
    assert [row["_step"] for row in received.history["study-0"]] == [0, 256, 512]
    assert received.exit_codes == {"study-0": 0}
    upserts = [variables for name, variables in received.calls if name == "UpsertBucket"]
    assert upserts[0]["groupName"] == "study"
    assert upserts[0]["jobType"] == "trial"
    assert upserts[-1]["tags"] == ["10k", "search", "complete"]
    assert (out, err) == ("", "")
    assert sync_hint(tmp_path / "logs") is None
    for path in (tmp_path / "logs").rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_a_resumed_online_run_takes_rows_that_are_there_only_once(tmp_path):
    with serve(known={"study-0": 256}) as received:
        script = WITHOUT_CHARTS + "close_all()"
        child(script, tmp_path, WANDB_BASE_URL=received.url, WANDB_API_KEY=KEY).communicate(timeout=60)
    assert [row["_step"] for row in received.history["study-0"]] == [512]


@pytest.mark.parametrize("key", [KEY, "short"])
def test_a_server_that_takes_no_run_leaves_all_runs_offline_and_says_so_once(tmp_path, key):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        script = RUN + RUN.replace("info(folder)", "info(folder, 1)") + "close_all()"
        out, err = child(script, tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY=key).communicate(timeout=60)
    runs = read_runs(tmp_path / "logs")
    assert [(run.id, len(run.history), run.exit_code) for run in runs] == [
        ("study-0", 4, 0),
        ("study-1", 4, 0),
    ]
    assert out == ""
    assert err.count("\n") == 1
    assert f"wandb sync {tmp_path}/logs/wandb/offline-run-*" in err
    assert key not in err
