"""Micro-batches that fit into the memory: found, or halved on the way, with the same gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import fault
from training import Caller, adapter, equal, load, settings, training_of

from train_fn.evaluation import Scorer
from train_fn.fitting import PLAN, SHARE, largest
from train_fn.loop import Quiet, make_learner, train
from train_fn.model import Detector, attach
from train_fn.state import TrainState
from train_fn.storage import read_json, write_json
from train_fn.worker import Job

Maker = Callable[..., Job]
CONFIG = settings(Path("model"), batch_size=64, max_length=100, micro_batch_tokens=500)


def memory(limit: int, fixed: int = 1_000, a_token: int = 10) -> tuple[Callable[[int], int], list[int]]:
    """A device on which each token takes as many bytes, and what was tried on it."""
    tried: list[int] = []

    def peak(tokens: int) -> int:
        tried.append(tokens)
        if fixed + a_token * tokens > limit:
            raise torch.OutOfMemoryError
        return fixed + a_token * tokens

    return peak, tried


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (60_000, 4_096),  # 85 % of it holds 5,000 tokens
        (10**9, 6_144),  # a step has no more than 6,400
        (15_000, 1_024),
        (5_000, 500),  # the second measurement does not fit any more
        (100, 500),  # nothing does: the run will say so
    ],
)
def test_the_largest_micro_batch_is_found_in_three_measurements(limit: int, expected: int) -> None:
    peak, tried = memory(limit)
    assert largest(peak, CONFIG, limit) == expected
    assert len(tried) <= 3
    assert expected == 500 or 1_000 + 10 * expected <= SHARE * limit


def test_a_forecast_that_was_too_bold_is_halved() -> None:
    peak, _ = memory(60_000)
    found = largest(lambda tokens: peak(tokens + 4_000 * (tokens > 3_000)), CONFIG, 60_000)
    assert found == 2_048


@contextmanager
def bounded(monkeypatch: pytest.MonkeyPatch, tokens: int) -> Iterator[list[int]]:
    """A device that holds so many tokens while it trains, and four times as many otherwise."""
    whole, refused = Detector.forward, []

    def forward(self: Detector, ids: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        if ids.numel() > tokens * (1 if torch.is_grad_enabled() else 4):
            refused.append(ids.numel())
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(self, ids, last)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, "forward", forward)
        yield refused


@fault("memory of the device")
def test_out_of_memory_halves_the_micro_batch_and_the_run_ends_as_one_that_began_so(
    new_job: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    half, whole = new_job("half", micro_batch_tokens=512), new_job("whole", micro_batch_tokens=2048)
    assert Caller().run(half) == "COMPLETE"
    with bounded(monkeypatch, 600) as refused:
        caller = Caller()
        assert caller.run(whole) == "COMPLETE", caller.rows[-1]["cause"]
    assert refused
    assert equal(adapter(half.folder), adapter(whole.folder))
    assert read_json(whole.folder / PLAN) == {"micro_batch_tokens": 512}
    assert read_json(whole.folder / "facts.json")["micro_batch_tokens"] == 512
    assert not (half.folder / PLAN).exists()


def test_with_several_ranks_all_start_again_with_what_was_kept(
    small_model: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait in an exchange that this rank has left."""
    config = settings(small_model, micro_batch_tokens=2048)
    data, detector = training_of(tokens, config), attach(load(small_model), config)
    learner = make_learner(detector, detector.trainable(), config)
    kept: list[int] = []
    monkeypatch.setattr(Quiet, "shrunk", lambda self, tokens: kept.append(tokens))
    monkeypatch.setattr("train_fn.loop.ranks", lambda: (0, 2))
    with bounded(monkeypatch, 600), pytest.raises(torch.OutOfMemoryError):
        train(learner, data, config, Quiet(), TrainState())
    assert kept == [1024]


def test_a_run_that_goes_on_cuts_its_steps_as_before(new_job: Maker) -> None:
    half, planned = new_job("half", micro_batch_tokens=512), new_job("planned", micro_batch_tokens=2048)
    write_json(planned.folder / PLAN, {"micro_batch_tokens": 512})
    assert [Caller().run(job) for job in (half, planned)] == ["COMPLETE"] * 2
    assert equal(adapter(half.folder), adapter(planned.folder))


def test_a_text_that_alone_does_not_fit_fails_the_run(
    new_job: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller()
    with bounded(monkeypatch, 30):
        assert caller.run(new_job(max_length=40, eval_before_rows=0)) == "FAILED"
    assert caller.rows[-1]["cause"].startswith("out of memory")


def test_an_evaluation_is_cut_until_it_fits_and_its_order_stays(
    small_model: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: Any = settings(small_model, micro_batch_tokens=2048)
    data, detector = training_of(tokens, config), attach(load(small_model), config)
    rows = np.arange(95)[::-1]
    score = Scorer(detector, data.pad_id, config)
    expected = score(data.validation, rows).logits
    with bounded(monkeypatch, 50) as refused:
        found = score(data.validation, rows).logits
    assert refused
    assert np.abs(found - expected).max() < 0.05  # bf16, in other shapes
