"""The Hub's sets and models through the real clients, against a server on this machine, then without it."""

import json
import socket
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, commit, env
from hub_client import LOAD, NAME, load, loaded, refused, rows


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """As `push_to_hub` uploads it: shards in data/, more splits than the three, one with another column."""
    folder = tmp_path / "hub" / "datasets" / NAME
    (folder / "data").mkdir(parents=True)
    for shard in range(2):
        pq.write_table(rows(25, f"shard{shard}"), folder / f"data/train-0000{shard}-of-00002.parquet")
    for name, pairs in {"validation": 5, "test": 6, "validation_full": 7}.items():
        pq.write_table(rows(pairs), folder / f"data/{name}-00000-of-00001.parquet")
    fold = rows(3).append_column("source", pa.array(["raid"] * 6))
    pq.write_table(fold, folder / "data/val_fold_1-00000-of-00001.parquet")
    return folder


def test_a_set_loads_online_and_again_from_the_cache_without_the_hub(served: Path, tmp_path: Path) -> None:
    with Hub(tmp_path / "hub") as hub:
        environment = env(hub, tmp_path / "home")
        online = loaded(environment, tmp_path)
        fetched = [line for line in hub.requests if line.startswith("GET /datasets")]
        hub.requests.clear()
        assert loaded(environment, tmp_path) == online
        again = list(hub.requests)
    assert online == {
        "revision": commit(served),
        "rows": {"train": 100, "validation": 10, "test": 12},
        "first": {"text": "shard0 0", "label": 1, "domain": "wiki", "model": "human", "source_id": None},
    }
    assert not any("validation_full" in line or "val_fold" in line for line in fetched)
    assert len(again) == 1  # which commit is the newest, nothing else
    assert loaded(environment | {"HF_HUB_OFFLINE": "1"}, tmp_path) == online
    start = time.monotonic()
    assert loaded(environment, tmp_path) == online
    assert time.monotonic() - start < 20


def test_an_upload_with_plain_files_a_card_and_other_columns_loads(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "datasets" / NAME
    folder.mkdir(parents=True)
    for name, pairs in {"train": 20, "validation": 4, "test": 5}.items():
        table = rows(pairs, source=["raid"] * (2 * pairs))
        table = table.rename_columns(
            [{"domain_name": "domain"}.get(column, column) for column in table.column_names]
        )
        pq.write_table(table, folder / f"{name}.parquet")
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n" + "".join(
        f"  - split: {name}\n    path: {name}.parquet\n" for name in ("train", "validation", "test")
    )
    # The card tells the counts of another upload.
    card += "dataset_info:\n  splits:\n  - name: train\n    num_examples: 84269\n    num_bytes: 1\n---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    with Hub(tmp_path / "hub") as hub:
        environment = env(hub, tmp_path / "home")
        online = loaded(environment, tmp_path)
    assert online["rows"] == {"train": 40, "validation": 8, "test": 10}
    assert online["first"]["domain"] == "wiki"
    assert loaded(environment | {"HF_HUB_OFFLINE": "1"}, tmp_path) == online


@pytest.mark.slow
def test_a_new_upload_is_seen_and_a_pinned_commit_stays(served: Path, tmp_path: Path) -> None:
    with Hub(tmp_path / "hub") as hub:
        environment = env(hub, tmp_path / "home")
        old = loaded(environment, tmp_path)
        pq.write_table(rows(8, "corrected"), served / "data/train-00000-of-00002.parquet")
        new = loaded(environment, tmp_path)
        assert loaded(environment, tmp_path, revision=old["revision"]) == old
    assert new["revision"] == commit(served) != old["revision"]
    assert new["rows"]["train"] == 66
    assert loaded(environment, tmp_path, revision=old["revision"]) == old
    assert loaded(environment, tmp_path) == new
    assert "cannot be reached" in refused(environment, tmp_path, revision="0" * 40)


def test_many_cached_files_keep_the_order_of_the_rows(served: Path, tmp_path: Path) -> None:
    code = "import datasets\ndatasets.config.MAX_SHARD_SIZE = 2000\n" + LOAD.replace(
        'data.splits["train"][0]', 'data.splits["train"]["text"][:]'
    )
    with Hub(tmp_path / "hub") as hub:
        environment = env(hub, tmp_path / "home")
        online = loaded(environment, tmp_path, code=code)
    assert len(list((tmp_path / "home").rglob("*-train-?????-of-?????.arrow"))) > 1
    assert online["first"] == [f"shard{shard} {row}" for shard in range(2) for row in range(50)]
    assert loaded(environment, tmp_path, code=code) == online


@pytest.mark.slow
def test_what_others_loaded_is_used_only_when_it_is_the_whole_set(served: Path, tmp_path: Path) -> None:
    half = """
import datasets, sys
files = {name: f"data/{name}-00000-of-*.parquet" for name in ("train", "validation", "test")}
datasets.load_dataset(sys.argv[1], data_files=files)
"""
    (served / "data/val_fold_1-00000-of-00001.parquet").unlink()
    with Hub(tmp_path / "hub") as hub:
        environment = env(hub, tmp_path / "home")
        assert load(environment, tmp_path, code=half).returncode == 0
        offline = environment | {"HF_HUB_OFFLINE": "1"}
        assert "cannot be reached" in refused(offline, tmp_path)
        plain = "import datasets, sys\ndatasets.load_dataset(sys.argv[1])"
        assert load(environment, tmp_path, code=plain).returncode == 0
    assert loaded(offline, tmp_path)["rows"] == {"train": 100, "validation": 10, "test": 12}


@pytest.mark.parametrize("offline", ["", "1"])
def test_no_hub_and_no_cache_is_one_message_in_seconds(tmp_path: Path, offline: str) -> None:
    environment = env("http://127.0.0.1:9", tmp_path / "home") | (
        {"HF_HUB_OFFLINE": offline} if offline else {}
    )
    start = time.monotonic()
    message = refused(environment, tmp_path)
    assert time.monotonic() - start < 20
    assert "cannot be reached" in message
    assert "Connect once" in message
    assert "a folder with train, validation and test" in message


def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code = "import train_fn.hub\ntrain_fn.hub.TIMEOUT = 1.0\n" + LOAD
        assert "cannot be reached" in refused(env(url, tmp_path / "home"), tmp_path, code=code)


def test_a_missing_split_names_what_is_there_before_anything_is_fetched(served: Path, tmp_path: Path) -> None:
    (served / "data/test-00000-of-00001.parquet").unlink()
    with Hub(tmp_path / "hub") as hub:
        message = refused(env(hub, tmp_path / "home"), tmp_path)
        assert not any(line.startswith("GET /datasets") for line in hub.requests)
    assert "test is missing" in message
    assert "validation_full" in message


def test_a_corrupt_file_of_the_hub_is_one_message(served: Path, tmp_path: Path) -> None:
    (served / "data/validation-00000-of-00001.parquet").write_bytes(b"PAR1 not really")
    with Hub(tmp_path / "hub") as hub:
        assert f"{NAME} at {commit(served)[:12]} must be readable" in refused(
            env(hub, tmp_path / "home"), tmp_path
        )


def test_unknown_and_gated_sets_say_what_to_do_and_show_no_token(served: Path, tmp_path: Path) -> None:
    token = "hf_" + "x" * 34
    with Hub(tmp_path / "hub", gated=(NAME,)) as hub:
        environment = env(hub, tmp_path / "home") | {"HF_TOKEN": token}
        unknown = load(environment, tmp_path, name="codefactory4791/no_such_set")
        gated = load(environment, tmp_path)
    assert "no_such_set must exist on the Hub" in unknown.stderr
    assert "it is gated" in gated.stderr
    assert "hf auth login" in gated.stderr
    assert token not in unknown.stderr + unknown.stdout + gated.stderr + gated.stdout


def test_a_model_loads_online_and_again_from_the_cache_without_the_hub(tmp_path: Path) -> None:
    from train_fn.tiny import write_tiny_model

    model = tmp_path / "hub" / "models" / "Qwen" / "Qwen3-0.6B"
    write_tiny_model(model, texts=["some words to learn from", "and some more words"])
    code = """
from train_fn.hub import model_folder
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder = model_folder("Qwen/Qwen3-0.6B", None)
AutoTokenizer.from_pretrained(folder)
AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
print(f'"{folder.name}"')
"""
    with Hub(tmp_path / "hub") as hub:
        environment = env(hub, tmp_path / "home")
        online = load(environment, tmp_path, code=code)
    assert online.returncode == 0, online.stderr
    assert json.loads(online.stdout) == commit(model)
    start = time.monotonic()
    offline = load(environment, tmp_path, code=code)
    assert offline.stdout == online.stdout, offline.stderr
    assert time.monotonic() - start < 30  # left to itself the tokenizer retries for 50 s
