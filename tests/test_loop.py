"""The gradient of a step does not depend on how it is computed; the schedule; how the loop ends."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from training import Nobody, Tensors, bent, distance, gradient, load, settings, training_of

from train_fn.batching import micro_batches
from train_fn.loop import make_learner, train
from train_fn.loss import NonFiniteLossError
from train_fn.model import Detector, attach
from train_fn.schedule import evaluation_points, learning_rate_at
from train_fn.state import Row, TrainingData, TrainState

MIXED, LONG = range(256), range(0, 512, 2)  # rows of 3 to 40 tokens, and of 33 to 40: all padded to 40
PLANS = {  # rows of the step, token budget, rows of the micro-batches
    "one": (LONG, 256 * 40, [256]),
    "eight of 32 rows": (LONG, 32 * 40, [32] * 8),
    "nine uneven": (LONG, 31 * 40, [31] * 8 + [8]),
    "uneven in length": (MIXED, 1000, None),
    "very uneven": (MIXED, 200, None),
}
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
RANK_STEPS = {"256 rows": LONG, "255 rows": range(255), "1 row": range(3, 4)}  # the last leaves a rank idle
WHOLE = 10**6


def bent_detector(model: Path, dtype: str) -> Detector:
    detector = bent(
        load(model, compute_dtype="float32", expand_base="always"), settings(model, lora_dropout=0)
    )
    return detector.double() if dtype == "float64" else detector


def gradient_of(detector: Detector, data: TrainingData, model: Path, rows: Any, budget: int) -> Tensors:
    return gradient(detector, data, rows, settings(model, lora_dropout=0, micro_batch_tokens=budget))


@pytest.fixture(scope="module", params=TOLERANCE)
def detector(request: pytest.FixtureRequest, small_model: Path) -> tuple[str, Detector]:
    return request.param, bent_detector(small_model, request.param)


@pytest.fixture(scope="module")
def data(small_model: Path, tokens: Path) -> TrainingData:
    found = training_of(tokens, settings(small_model))
    assert abs(found.weights[0] - found.weights[1]) > 0.1
    return found


@pytest.mark.parametrize("plan", [name for name in PLANS if name != "one"])
def test_the_gradient_of_a_step_is_the_same_for_all_micro_batches(
    detector: tuple[str, Detector], data: TrainingData, small_model: Path, plan: str
) -> None:
    rows, budget, sizes = PLANS[plan]
    cut = [len(batch) for batch in micro_batches(np.asarray(rows), data.train.lengths[rows], budget)]
    assert cut == sizes if sizes else len(set(cut)) > 3
    whole = gradient_of(detector[1], data, small_model, rows, WHOLE)
    parts = gradient_of(detector[1], data, small_model, rows, budget)
    found = distance(whole, parts)
    print(f"{detector[0]}, {plan}, micro-batches of {cut}: relative difference {found:.1e}")
    assert found < TOLERANCE[detector[0]]


def test_the_gradient_is_that_of_the_weighted_mean(
    detector: tuple[str, Detector], data: TrainingData, small_model: Path
) -> None:
    """Against cross-entropy as PyTorch weights it, over a step in one piece."""
    from training import CPU

    from train_fn.batching import collate

    dtype, model = detector
    ids, last, labels = collate(data.train, np.asarray(LONG), data.pad_id, CPU)
    model.zero_grad(set_to_none=True)
    logits = model(ids, last)
    torch.nn.functional.cross_entropy(
        logits, labels, weight=torch.tensor(data.weights, dtype=logits.dtype)
    ).backward()
    expected = {name: p.grad.clone() for name, p in model.trainable().items() if p.grad is not None}
    assert distance(expected, gradient_of(model, data, small_model, LONG, 1000)) < TOLERANCE[dtype]


def ranks_gradient(rank: int, meeting: Path, model: Path, tokens: Path, out: Path) -> None:
    """What one of two DDP ranks does; the first writes the gradients down."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=2)
    data = training_of(tokens, settings(model))
    found = {}
    for dtype in TOLERANCE:
        detector = bent_detector(model, dtype)
        for name, rows in RANK_STEPS.items():
            gradients = gradient_of(detector, data, model, rows, 3000)
            found |= {f"{dtype}/{name}/{key}": value for key, value in gradients.items()}
    if rank == 0:
        save_file(found, out)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> Tensors:
    folder = tmp_path_factory.mktemp("ranks")
    arguments = (folder / "meeting", small_model, tokens, folder / "gradients.safetensors")
    torch.multiprocessing.spawn(ranks_gradient, arguments, nprocs=2)
    return load_file(arguments[-1])


@pytest.mark.parametrize("step", RANK_STEPS)
def test_the_gradient_of_a_step_is_the_same_on_two_ranks(
    detector: tuple[str, Detector], data: TrainingData, small_model: Path, two_ranks: Tensors, step: str
) -> None:
    dtype, model = detector
    start = f"{dtype}/{step}/"
    shared = {k.removeprefix(start): v for k, v in two_ranks.items() if k.startswith(start)}
    found = distance(gradient_of(model, data, small_model, RANK_STEPS[step], WHOLE), shared)
    print(f"{dtype}, {step} on two ranks: relative difference {found:.1e}")
    assert found < TOLERANCE[dtype]


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


class Listener(Nobody):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []
        self.rows: list[Row] = []

    def stepped(self, state: TrainState, total: int, values: dict[str, float]) -> None:
        self.values.append(values)

    def evaluated(self, state: TrainState, row: Row) -> None:
        self.rows.append(row)


def trained(model: Path, data: TrainingData, **changes: Any) -> tuple[Listener, TrainState, Detector]:
    config, state, listener = settings(model, **changes), TrainState(), Listener()
    detector = attach(load(model, compute_dtype="float32"), config)
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
    """Not of what was drawn before: the second run begins with another random state."""
    first, _, _ = trained(small_model, data, epochs=0.5, lora_dropout=0.5)
    torch.rand(17)
    again, _, _ = trained(small_model, data, epochs=0.5, lora_dropout=0.5)
    without, _, _ = trained(small_model, data, epochs=0.5, lora_dropout=0)
    assert [v["train_loss"] for v in first.values] == [v["train_loss"] for v in again.values]
    assert first.values[1]["train_loss"] != without.values[1]["train_loss"]


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
        train(make_learner(detector, parameters, config), data, config, Nobody(), state)
    assert state.step == 0
    assert all(torch.equal(before[key], p) for key, p in parameters.items())
