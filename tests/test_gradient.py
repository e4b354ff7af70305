"""The gradient of a step does not depend on how it is computed: in which pieces, on how many ranks."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from training import CPU, Tensors, bent, distance, gradient, load, settings, training_of

from train_fn.batching import collate, micro_batches
from train_fn.evaluation import Scorer
from train_fn.loop import make_learner
from train_fn.model import Detector
from train_fn.state import TrainingData

MIXED, LONG = range(256), range(0, 512, 2)  # rows of 3 to 40 tokens, and of 33 to 40: all padded to 40
PLANS = {  # rows of the step, token budget, rows of the micro-batches
    "eight of 32 rows": (LONG, 32 * 40, [32] * 8),
    "nine uneven": (LONG, 31 * 40, [31] * 8 + [8]),
    "uneven in length": (MIXED, 1000, None),
    "very uneven": (MIXED, 200, None),
}
RANK_STEPS = {"256 rows": LONG, "255 rows": range(255), "1 row": range(3, 4)}  # the last leaves a rank idle
SCORED = (1, 96)  # rows; with one row, a rank has none
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
WHOLE = 10**6  # tokens: a step in one piece


class Subject:
    """A detector without dropout in fp32 or fp64, and the gradients of its steps."""

    def __init__(self, dtype: str, model: Path, tokens: Path) -> None:
        self.dtype, self.model = dtype, model
        self.data: TrainingData = training_of(tokens, settings(model))
        base = load(model, compute_dtype="float32", expand_base="always")
        detector = bent(base, settings(model, lora_dropout=0))
        self.detector: Detector = detector.double() if dtype == "float64" else detector
        self.whole = cache(lambda rows: self.gradient(rows, WHOLE))

    def gradient(self, rows: range, budget: int) -> Tensors:
        config = settings(self.model, lora_dropout=0, micro_batch_tokens=budget)
        return gradient(self.detector, self.data, rows, config)

    def logits(self, rows: int) -> torch.Tensor:
        model = make_learner(self.detector, self.detector.trainable(), settings(self.model)).model
        return torch.from_numpy(
            Scorer(model, self.data.pad_id, settings(self.model, micro_batch_tokens=256))(
                self.data.validation, np.arange(rows)
            ).logits
        )


@pytest.fixture(scope="module", params=TOLERANCE)
def subject(request: pytest.FixtureRequest, small_model: Path, tokens: Path) -> Subject:
    return Subject(request.param, small_model, tokens)


@pytest.mark.parametrize("plan", PLANS)
def test_the_gradient_of_a_step_is_the_same_for_all_micro_batches(subject: Subject, plan: str) -> None:
    rows, budget, sizes = PLANS[plan]
    cut = [len(batch) for batch in micro_batches(np.asarray(rows), subject.data.train.lengths[rows], budget)]
    assert cut == sizes if sizes else len(set(cut)) > 3
    found = distance(subject.whole(rows), subject.gradient(rows, budget))
    print(f"{subject.dtype}, {plan}, micro-batches of {cut}: relative difference {found:.1e}")
    assert found < TOLERANCE[subject.dtype]


def test_the_gradient_is_that_of_the_weighted_mean(subject: Subject) -> None:
    """As PyTorch weights cross-entropy, over a step in one piece."""
    data, detector = subject.data, subject.detector
    assert abs(data.weights[0] - data.weights[1]) > 0.1
    ids, last, labels = collate(data.train, np.asarray(LONG), data.pad_id, CPU)
    detector.zero_grad(set_to_none=True)
    logits = detector(ids, last)
    weights = torch.tensor(data.weights, dtype=logits.dtype)
    torch.nn.functional.cross_entropy(logits, labels, weight=weights).backward()
    expected = {name: p.grad for name, p in detector.trainable().items() if p.grad is not None}
    assert distance(expected, subject.whole(LONG)) < TOLERANCE[subject.dtype]


def be_a_rank(rank: int, meeting: Path, model: Path, tokens: Path, out: Path) -> None:
    """One of two DDP ranks; the first writes down what both have found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=2)
    found = {}
    for dtype in TOLERANCE:
        subject = Subject(dtype, model, tokens)
        for name, rows in RANK_STEPS.items():
            gradients = subject.gradient(rows, 3000)
            found |= {f"{dtype}/{name}/{key}": value for key, value in gradients.items()}
        found |= {f"{dtype}/{rows}": subject.logits(rows) for rows in SCORED}
    if rank == 0:
        save_file(found, out)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> Tensors:
    folder = tmp_path_factory.mktemp("ranks")
    out = folder / "found.safetensors"
    torch.multiprocessing.spawn(be_a_rank, (folder / "meeting", small_model, tokens, out), nprocs=2)
    return load_file(out)


@pytest.mark.parametrize("step", RANK_STEPS)
def test_the_gradient_of_a_step_is_the_same_on_two_ranks(
    subject: Subject, two_ranks: Tensors, step: str
) -> None:
    start = f"{subject.dtype}/{step}/"
    shared = {k.removeprefix(start): v for k, v in two_ranks.items() if k.startswith(start)}
    found = distance(subject.whole(RANK_STEPS[step]), shared)
    print(f"{subject.dtype}, {step} on two ranks: relative difference {found:.1e}")
    assert found < TOLERANCE[subject.dtype]


@pytest.mark.parametrize("rows", SCORED)
def test_two_ranks_score_as_one(subject: Subject, two_ranks: Tensors, rows: int) -> None:
    found = two_ranks[f"{subject.dtype}/{rows}"]
    torch.testing.assert_close(found, subject.logits(rows), rtol=1e-5, atol=1e-5)
