"""Where a run may write, and the bytes that it is said to need beside those that it writes."""

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training import settings

from train_fn.checkpoint import KEEP
from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.job import Job
from train_fn.model import attach, load_base
from train_fn.room import (
    CHECKPOINT_BYTES,
    CHECKPOINTS,
    OTHER_BYTES,
    check_room,
    full_bytes,
    search_bytes,
    trained_values,
)
from train_fn.storage import Paths


@pytest.mark.parametrize("modules", [("q_proj", "down_proj"), "all-linear"])
def test_the_values_are_counted_as_peft_makes_them(new_job: Callable[..., Job], modules: object) -> None:
    job = new_job(lora_rank=4, target_modules=modules)
    detector = attach(load_base(job.model, job.train, torch.device("cpu")), job.train)
    lora = [value for name, value in detector.trainable().items() if "lora_" in name]
    assert trained_values(Path(job.model), job.train) == sum(value.numel() for value in lora) > 0


def test_the_bytes_of_a_checkpoint_are_those_that_are_written(stopped: Path, small_model: Path) -> None:
    folders = list(stopped.iterdir())
    assert len(folders) == KEEP == CHECKPOINTS - 1
    written = sum(file.stat().st_size for file in folders[0].iterdir())
    values = trained_values(small_model, settings(small_model))
    assert values * CHECKPOINT_BYTES <= written <= values * CHECKPOINT_BYTES + OTHER_BYTES


def test_more_trials_at_once_need_more_room_and_a_merged_model_that_of_its_base(small_model: Path) -> None:
    config = TrainConfig(lora_rank=8)
    values, base = trained_values(small_model, config), (small_model / "model.safetensors").stat().st_size
    more = search_bytes(small_model, config, 2, 10) - search_bytes(small_model, config, 1, 10)
    assert more == values * CHECKPOINTS * CHECKPOINT_BYTES
    with_base = full_bytes(small_model, config, merged=True)
    assert with_base - full_bytes(small_model, config, merged=False) == base


def test_a_full_disk_is_refused_with_what_is_needed_and_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    check_room(tmp_path, 1000, "checkpoints")
    with pytest.raises(
        InputError, match=r"room for up to 1,001 bytes of checkpoints, but only 1,000 are free"
    ):
        check_room(tmp_path, 1001, "checkpoints")


@pytest.mark.parametrize(
    "address", ["s3://bucket/output", "gs://bucket", "file:///tmp/output", "hf://datasets/a/b"]
)
def test_a_stores_address_is_refused_with_what_to_do(address: str) -> None:
    with pytest.raises(InputError, match=r"but \w+:/\S+ is the address of a store; use a folder"):
        Paths.of(Path(address))


@pytest.mark.parametrize("folder", ["output", "/shared/output", "a:b/c", "C:/output", "~/s3"])
def test_a_folder_is_none_whatever_its_name(folder: str) -> None:
    assert Paths.of(Path(folder)).output.is_absolute()
