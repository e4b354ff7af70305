"""The schedule, what the loop tells, and how it ends."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training import distance, load, settings, training_of

from train_fn.evaluation import Scorer
from train_fn.loop import Quiet, make_learner, train
from train_fn.loss import NonFiniteLossError
from train_fn.model import Detector, attach
from train_fn.schedule import evaluation_points, learning_rate_at
from train_fn.state import Row, TrainingData, TrainState


@pytest.fixture(scope="module")
def data(small_model: Path, tokens: Path) -> TrainingData:
    return training_of(tokens, settings(small_model))


def test_the_learning_rate_rises_linearly_then_falls_as_a_cosine(small_model: Path) -> None:
    config = settings(small_model, learning_rate=1.0, warmup_ratio=0.2)
    rates = [round(learning_rate_at(step, 10, config), 6) for step in range(10)]
    assert rates == [0.5, 1.0, 1.0, 0.96194, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.03806]


def test_the_schedule_is_a_ratio_of_the_run(small_model: Path) -> None:
    config = settings(small_model, learning_rate=1.0, warmup_ratio=0.05)
    for total in (100, 1000, 20000):
        assert learning_rate_at(total // 20 - 1, total, config) == 1.0
        assert learning_rate_at(total * 21 // 40, total, config) == pytest.approx(0.5, abs=0.01)
    assert learning_rate_at(0, 5, settings(small_model, learning_rate=1.0, warmup_ratio=0)) == 1.0


@pytest.mark.parametrize(
    ("total", "evaluations", "points"),
    [
        (100, 4, {25: 25, 50: 50, 75: 75, 100: 100}),
        (33, 10, {3: 10, 7: 20, 10: 30, 13: 40, 16: 50, 20: 60, 23: 70, 26: 80, 30: 90, 33: 100}),
        (7, 1, {7: 100}),
        (1, 10, {1: 100}),
    ],
)
def test_evaluations_stand_at_equal_shares_of_the_run(
    total: int, evaluations: int, points: dict[int, int]
) -> None:
    assert evaluation_points(total, evaluations) == points


@pytest.mark.parametrize("total", range(1, 25))
def test_there_is_an_evaluation_at_the_end_and_progress_rises(total: int) -> None:
    points = evaluation_points(total, 10)
    assert list(points) == sorted(points)
    assert list(points.values()) == sorted(set(points.values()))
    assert points[total] == 100


class Listener(Quiet):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []
        self.rows: list[Row] = []

    def stepped(self, state: TrainState, total: int, values: dict[str, float]) -> None:
        self.values.append(values)

    def evaluated(self, state: TrainState, row: Row) -> None:
        self.rows.append(row)


def trained(
    model: Path, data: TrainingData, drawn: int = 0, **changes: Any
) -> tuple[Listener, TrainState, Detector]:
    """`drawn` random numbers are taken before the first step."""
    config, state, listener = settings(model, **changes), TrainState(), Listener()
    detector = attach(load(model, compute_dtype="float32"), config)
    torch.rand(drawn)
    train(make_learner(detector, detector.trainable(), config), data, config, listener, state)
    return listener, state, detector


def test_a_run_takes_its_steps_and_evaluations(small_model: Path, data: TrainingData) -> None:
    listener, state, _ = trained(small_model, data)
    config = settings(small_model)
    rates = [learning_rate_at(step, 8, config) for step in range(8)]
    assert [values["learning_rate"] for values in listener.values] == rates
    assert [row["step"] for row in listener.rows] == [2, 4, 6, 8]
    assert [row["progress"] for row in listener.rows] == [25, 50, 75, 100]
    assert [row["samples"] for row in listener.rows] == [96, 192, 288, 384]
    losses = np.array([values["train_loss"] for values in listener.values]).reshape(4, 2).mean(axis=1)
    assert [row["train_loss"] for row in listener.rows] == pytest.approx(losses.tolist())
    objectives = [row["objective"] for row in listener.rows]
    assert objectives == np.minimum.accumulate([r["validation_log_loss"] for r in listener.rows]).tolist()
    assert state.best == min(objectives)
    assert state.curve == listener.rows


def test_dropout_is_a_function_of_the_step(small_model: Path, data: TrainingData) -> None:
    """Not of what was drawn before."""
    short: dict[str, Any] = {"epochs": 0.5, "evaluations": 1}
    losses = [
        [
            values["train_loss"]
            for values in trained(small_model, data, drawn, lora_dropout=p, **short)[0].values
        ]
        for drawn, p in ((0, 0.5), (17, 0.5), (0, 0.0))
    ]
    assert losses[0] == losses[1]
    assert losses[0][1] != losses[2][1]


@pytest.mark.parametrize("training", [True, False])
def test_an_evaluation_leaves_the_mode_as_it_was(
    small_model: Path, data: TrainingData, training: bool
) -> None:
    """Left in evaluation, a run would go on without dropout."""
    model = attach(load(small_model), settings(small_model)).train(training)
    seen = []
    score = Scorer(model, data.pad_id, settings(small_model), lambda rows: seen.append(model.training))
    score(data.validation, np.arange(9))
    assert (seen, model.training) == ([False], training)


def test_patience_ends_a_run_that_gets_no_better_and_keeps_its_best_weights(
    small_model: Path, data: TrainingData
) -> None:
    listener, state, detector = trained(
        small_model, data, learning_rate=1.0, warmup_ratio=0, evaluations=8, patience=2
    )
    found = [row["validation_log_loss"] for row in listener.rows]
    best = int(np.argmin(found))
    assert len(found) == best + 3 < 8
    assert (state.best, state.best_metrics["log_loss"]) == (found[best], found[best])
    now = {name: p.detach() for name, p in detector.trainable().items()}
    assert distance(state.best_weights, now) > 0.01


@pytest.mark.parametrize("where", ["lora_A", "score"])
def test_a_loss_that_is_not_finite_ends_the_run_before_it_reaches_the_weights(
    small_model: Path, data: TrainingData, where: str
) -> None:
    config, state = settings(small_model), TrainState()
    detector = attach(load(small_model), config)
    parameters = detector.trainable()
    name = next(name for name in parameters if where in name)
    with torch.no_grad():
        parameters[name].view(-1)[0] = math.inf
    before = {key: p.detach().clone() for key, p in parameters.items()}
    with pytest.raises(NonFiniteLossError, match="at step 0"):
        train(make_learner(detector, parameters, config), data, config, Quiet(), state)
    assert state.step == 0
    assert all(torch.equal(before[key], p) for key, p in parameters.items())
