"""The probe on the small model."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from training import settings, training_of

from train_fn import probe
from train_fn.batching import Rows
from train_fn.config import TrainConfig
from train_fn.measured import ASKED, FAILED, FOUND, Measured, ProbeJob
from train_fn.probe import GROUPS, length_groups, main
from train_fn.stopwatch import Stopwatch
from train_fn.storage import read_json, write_json
from train_fn.worker import default_device
from train_fn.workload import batch_tokens, batch_width, sampled_batches


@pytest.fixture
def asked(tmp_path: Path, small_model: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scratch folder with a job in it, for a probe that takes its times in a hurry."""
    monkeypatch.setattr(probe, "SECONDS", 0.02)
    job = ProbeJob(
        data=tokens,
        model=str(small_model),
        train=settings(small_model),
        ranks=1,
        memory_fraction=1.0,
        scratch=tmp_path,
        launched=-1e9,
    )
    write_json(tmp_path / ASKED, job.model_dump(mode="json"))
    return tmp_path


def test_a_probe_measures_all_that_a_run_does(asked: Path) -> None:
    assert main([str(asked)]) == 0
    found = Measured.model_validate(read_json(asked / FOUND))
    widths = [pace.width for pace in found.paces]
    assert 1 < len(widths) <= GROUPS
    assert widths == sorted(set(widths))
    assert all(0 < pace.seconds_per_token < 0.1 for pace in found.paces)
    assert 0 < found.evaluation < max(pace.seconds_per_token for pace in found.paces)
    for seconds in (found.load, found.attach, found.update, found.checkpoint, found.deliver):
        assert 0 < seconds < 60
    assert found.start > 1e9  # the job says that it was launched 30 years ago
    assert (asked / "run" / "adapter" / "adapter_model.safetensors").exists()
    assert list((asked / "checkpoints").glob("step-*"))


def test_a_probe_that_runs_out_of_memory_says_so(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(probe, "step_gradient", full)
    assert main([str(asked)]) == 1
    assert read_json(asked / FAILED)["cause"].startswith("out of memory")
    assert not (asked / FOUND).exists()


def test_the_longest_micro_batches_are_tried_first(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths, real = [], probe.step_gradient

    def seen(*about: object) -> object:
        data, rows = about[1:3]
        widths.append(batch_width(data.train, rows))  # type: ignore[attr-defined, arg-type]
        return real(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(probe, "step_gradient", seen)
    assert main([str(asked)]) == 0
    assert max(widths) in widths[:3]
    assert widths[-1] < widths[0]


def groups_of(tokens: Path, config: TrainConfig) -> tuple[list[list[Rows]], Callable[[Rows], int]]:
    data = training_of(tokens, config)
    groups = length_groups(data, config, sampled_batches(data, config, 1)[0])
    return groups, lambda rows: batch_width(data.train, rows)


def test_groups_ascend_by_length_and_do_not_overlap(tokens: Path, small_model: Path) -> None:
    config = settings(small_model, batch_size=8, micro_batch_tokens=64)
    groups, width = groups_of(tokens, config)
    assert 1 < len(groups) <= GROUPS
    spans = [(min(map(width, group)), max(map(width, group))) for group in groups]
    assert all(one[1] < other[0] for one, other in pairwise(spans))
    assert all(1 <= len(group) <= 3 for group in groups)


def test_texts_of_one_length_make_one_group(tokens: Path, small_model: Path) -> None:
    config = settings(small_model, batch_size=96, micro_batch_tokens=100_000)  # every micro-batch holds a 40
    groups, width = groups_of(tokens, config)
    assert len(groups) == 1
    assert {width(batch) for batch in groups[0]} == {40}


def test_micro_batches_are_those_of_the_loop(tokens: Path, small_model: Path) -> None:
    config = settings(small_model)
    data = training_of(tokens, config)
    batches, scale = sampled_batches(data, config, 1)
    assert scale == 1
    assert all(batch_tokens(data.train, batch, config) <= config.token_budget for batch in batches)
    assert sorted(np.concatenate(batches).tolist()) == sorted(2 * data.train_rows.tolist())  # two epochs


def test_a_first_call_is_no_measurement_but_its_excess_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2.0, 0.4, 0.4, 0.4])
    watch = Stopwatch(default_device())
    monkeypatch.setattr(watch, "once", lambda action: next(times))
    assert watch.mean(lambda: None) == pytest.approx(0.4)
    assert watch.warm_up == pytest.approx(1.6)
    slow = iter([20.0])
    monkeypatch.setattr(watch, "once", lambda action: next(slow))
    assert watch.mean(lambda: None) == 20  # a second one would cost more than it tells
    assert watch.warm_up == pytest.approx(1.6)
