"""Packed trials end where plain runs end, each whatever the others do."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from training import Tensors, distance, equal, load, settings, training_of

from train_fn.batching import Steps
from train_fn.errors import InputError
from train_fn.model import Base
from train_fn.state import TrainingData
from train_fn.storage import PROJECT

OWN = (
    {"lora_rank": 4, "lora_alpha": 8, "learning_rate": 1e-2},
    {"lora_rank": 2, "lora_alpha": 8, "learning_rate": 3e-3},
    {"lora_rank": 16, "lora_alpha": 8, "learning_rate": 2e-2},
    {"lora_rank": 8, "lora_alpha": 32, "learning_rate": 1e-3},
)
BUDGET = 1024  # tokens of a micro-batch, of a plain run or over all trials of a pack
# Of how far a run moved in 8 steps (relative norm). With the same rows in a micro-batch the bits were equal on the
# CPU in both; other machines may multiply a taller matrix in another order.
TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}
# Plain runs in bf16 whose micro-batches differ end up to 5e-2 apart, so these must have those of the pack.
PLAIN_BUDGETS = {"float32": (BUDGET, BUDGET // 4), "bfloat16": (BUDGET // 4,)}
STEPS = 8

pytestmark = pytest.mark.slow  # of a study, not of what users run


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


class Runs:
    """Trials on one base, plain and packed; each is told by how far its parameters moved."""

    def __init__(self, model: Path, tokens: Path, dtype: str) -> None:
        self.model = model
        self.data: TrainingData = training_of(tokens, settings(model))
        self.base: Base = load(model, compute_dtype=dtype, expand_base="always")
        self.plain = cache(self._plain)

    def config(self, number: int, **changes: Any) -> Any:
        return settings(self.model, **{"lora_dropout": 0, **OWN[number], **changes})

    def _plain(self, number: int, steps: int = STEPS, dropout: float = 0, budget: int = BUDGET) -> Tensors:
        """By the product's own loop."""
        from packed import new_trial
        from packed_runs import plain_run

        config = self.config(number, lora_dropout=dropout, micro_batch_tokens=budget)
        trial = new_trial(self.base, config)
        before = copied(trial.learner.parameters)
        plain_run(trial, self.data, steps)
        return moved(before, trial.learner.parameters)

    def packed(
        self,
        numbers: Sequence[int],
        budget: int = BUDGET,
        dropout: float = 0,
        stopped: Callable[[int, Any], bool] = lambda steps, trial: False,
    ) -> list[Tensors]:
        from packed import Pack, new_trial
        from packed_runs import packed_run

        trials = [new_trial(self.base, self.config(number, lora_dropout=dropout)) for number in numbers]
        before = [copied(trial.learner.parameters) for trial in trials]
        packed_run(Pack(self.base, trials), self.data, budget, stopped)
        return [moved(was, trial.learner.parameters) for was, trial in zip(before, trials, strict=True)]


def copied(parameters: Tensors) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in parameters.items()}


def moved(before: Tensors, after: Tensors) -> Tensors:
    return {name: after[name].detach() - tensor for name, tensor in before.items()}


@pytest.fixture(scope="module", params=TOLERANCE)
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runs(small_model: Path, tokens: Path, dtype: str) -> Runs:
    return Runs(small_model, tokens, dtype)


@pytest.fixture(scope="module")
def exact(small_model: Path, tokens: Path) -> Runs:
    return Runs(small_model, tokens, "float32")


@pytest.mark.parametrize("dropout", [0, 0.1])
def test_a_pack_of_one_gives_the_bits_of_the_plain_run(runs: Runs, dropout: float) -> None:
    (found,) = runs.packed([0], dropout=dropout)
    assert equal(found, runs.plain(0, dropout=dropout))


def test_four_packed_trials_end_where_four_plain_runs_end(runs: Runs, dtype: str) -> None:
    for number, found in enumerate(runs.packed(range(4))):
        for budget in PLAIN_BUDGETS[dtype]:
            apart = distance(runs.plain(number, budget=budget), found)
            print(f"{dtype}, trial {number}, plain with {budget} tokens: {apart:.1e} apart")
            assert apart < TOLERANCE[dtype]


def test_with_the_same_micro_batches_they_have_the_dropout_of_the_plain_runs(exact: Runs) -> None:
    for number, found in enumerate(exact.packed(range(4), budget=4 * BUDGET, dropout=0.1)):
        expected = exact.plain(number, dropout=0.1)
        assert distance(expected, found) < TOLERANCE["float32"] < distance(expected, exact.plain(number))


def test_a_stopped_trial_stays_as_it_is_and_the_others_go_on(exact: Runs) -> None:
    def stopped(steps: int, trial: Any) -> bool:
        return steps == STEPS // 2 and trial.config.lora_rank == OWN[2]["lora_rank"]

    took = [STEPS, STEPS, STEPS // 2, STEPS]
    for number, found in enumerate(exact.packed(range(4), stopped=stopped)):
        assert distance(exact.plain(number, took[number]), found) < TOLERANCE["float32"]


def test_a_trial_that_diverges_is_not_stepped_and_the_others_go_on(exact: Runs) -> None:
    def break_one(steps: int, trial: Any) -> bool:
        if steps == STEPS // 2 and trial.config.lora_rank == OWN[1]["lora_rank"]:
            with torch.no_grad():
                next(iter(trial.learner.parameters.values()))[0, 0] = float("nan")
        return False

    found = exact.packed(range(4), stopped=break_one)
    broken = [int(tensor.isnan().sum()) for tensor in found[1].values()]
    assert sum(broken) == 1
    for number in (0, 2, 3):
        assert distance(exact.plain(number), found[number]) < TOLERANCE["float32"]


def test_the_base_multiplies_once_for_all_within_the_token_budget(exact: Runs) -> None:
    from packed import Pack, PackedLora, new_trial
    from packed_runs import packed_step

    pack = Pack(exact.base, [new_trial(exact.base, exact.config(number)) for number in range(4)])
    layers, shapes = [m for m in pack.modules() if isinstance(m, PackedLora)], []
    assert len(layers) == 7 * exact.base.model.config.num_hidden_layers
    layers[-1].base_layer.register_forward_hook(lambda layer, inputs, _: shapes.append(inputs[0].shape))
    rows = exact.data.train_rows[:48]
    packed_step(pack, exact.data, Steps(rows, 48, 1, 0), 0, BUDGET)
    assert sum(shape[0] for shape in shapes) == 4 * 48
    assert all(shape[0] % 4 == 0 and shape[0] * shape[1] <= BUDGET for shape in shapes)


def test_trials_that_differ_in_more_than_the_search_varies_are_refused(exact: Runs) -> None:
    from packed import Pack, new_trial

    trials = [new_trial(exact.base, exact.config(0, seed=seed)) for seed in (1, 2)]
    with pytest.raises(InputError, match="learning_rate, lora_alpha, lora_rank; train"):
        Pack(exact.base, trials)
