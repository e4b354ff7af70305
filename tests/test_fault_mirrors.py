"""W&B and the Hub that are gone, or slow, in the middle: a run is worth more than its mirror."""

import socket
import time
from pathlib import Path

import pyarrow.parquet as pq
from faults import fault
from hub import Hub, env
from hub_client import NAME, load, loaded, rows
from tracking_runs import KEY, child
from wandb_files import read_runs
from wandb_server import serve

TIMED = """
wandb_run.INIT_SECONDS = 10.0  # five answers of the slow server
began = time.monotonic()
tracker = open_tracker(info(folder))
for step in range(50):
    tracker.log({"train_loss": 1.0}, step)
tracker.finish("COMPLETE", {"seconds": 1.5})
print(time.monotonic() - began)
"""


@fault("W&B slow or gone")
def test_a_server_that_is_slow_costs_a_run_no_second_and_has_all_of_it(tmp_path: Path) -> None:
    with serve(seconds=2.0) as slow:
        process = child(TIMED + "close_all()", tmp_path, WANDB_BASE_URL=slow.url, WANDB_API_KEY=KEY)
        out, err = process.communicate(timeout=300)
    assert float(out) < 1.0
    assert err == ""
    assert {run: len(rows) for run, rows in slow.history.items()} == {"study-0": 50}
    assert slow.exit_codes == {"study-0": 0}


@fault("W&B slow or gone")
def test_a_server_that_never_answers_costs_a_run_no_second_and_no_row(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = child(TIMED + "close_all()", tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY=KEY)
        out, err = process.communicate(timeout=300)
    assert float(out) < 1.0
    assert err.count("upload them with") == err.count("\n") == 1
    (run,) = read_runs(tmp_path / "logs")
    assert (len(run.history), run.exit_code) == (50, 0)


@fault("Hub gone in the middle")
def test_a_hub_that_goes_in_the_middle_is_one_message_and_the_next_load_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "datasets" / NAME
    folder.mkdir(parents=True)
    for name, pairs in {"train": 50, "validation": 5, "test": 6}.items():
        pq.write_table(rows(pairs, name), folder / f"{name}.parquet")
    with Hub(tmp_path / "hub") as hub:
        hub.goes_after = 1  # one file comes, the next one breaks off
        environment = env(hub, tmp_path / "home")
        began = time.monotonic()
        done = load(environment, tmp_path)
        assert time.monotonic() - began < 60
        assert done.returncode == 1
        assert "InputError: " in done.stderr
        assert "Traceback" not in done.stderr
        hub.goes_after = None
        assert loaded(environment, tmp_path)["rows"] == {"train": 100, "validation": 10, "test": 12}
