"""The work that is counted against what runs collate."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training import Caller, settings, training_of

from train_fn import evaluation, loop, workload
from train_fn.batching import collate
from train_fn.worker import Job
from train_fn.workload import batch_tokens, count_work, sampled_batches

Maker = Callable[..., Job]


@pytest.fixture
def collated(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The padded tokens that runs collate, in training and in evaluation."""
    counts: Counter[str] = Counter()
    for module in (loop, evaluation):

        def counting(*arguments: Any, name: str = module.__name__, **more: Any) -> Any:
            found = collate(*arguments, **more)
            counts[name.split(".")[1]] += found[0].numel()
            return found

        monkeypatch.setattr(module, "collate", counting)
    return counts


@pytest.mark.parametrize(
    "changes",
    [{}, {"eval_rows": 24, "max_rows": 100, "epochs": 2.5}, {"eval_before_rows": 0}, {"attention": "varlen"}],
)
def test_a_trial_computes_what_was_counted(
    new_job: Maker, collated: Counter[str], tokens: Path, changes: dict[str, Any]
) -> None:
    job = new_job(**changes)
    assert Caller().run(job) == "COMPLETE"
    found = count_work(tokens, job.train, "trial")
    assert collated["loop"] == found.tokens.sum()
    after = 0 if found.covered else found.after_tokens
    evaluations = len(found.percents) * found.eval_tokens
    assert collated["evaluation"] == found.before_tokens + evaluations + after
    assert found.covered == ("eval_rows" not in changes)
    assert found.percents == (25, 50, 75, 100)
    assert (np.diff(found.widths) > 0).all()


def test_a_run_of_the_confirmation_scores_the_rows_that_judge(
    new_job: Maker, collated: Counter[str], tokens: Path
) -> None:
    job = new_job(kind="confirm")
    assert Caller().run(job) == "COMPLETE"
    found = count_work(tokens, job.train, "confirm")
    assert collated["evaluation"] == found.before_tokens + 4 * found.eval_tokens + found.after_tokens


def test_a_promotion_scores_the_test_split_too(new_job: Maker, collated: Counter[str], tokens: Path) -> None:
    job = new_job(kind="full")
    assert Caller().run(job) == "COMPLETE"
    found = count_work(tokens, job.train, "full")
    assert not found.covered
    assert collated["evaluation"] == found.before_tokens + 4 * found.eval_tokens + found.after_tokens
    assert found.after_tokens > count_work(tokens, job.train, "trial").after_tokens


def test_two_ranks_share_the_work_evenly(tokens: Path, small_model: Path) -> None:
    config = settings(small_model)
    alone, shared = (count_work(tokens, config, "full", ranks=ranks) for ranks in (1, 2))
    assert shared.steps == alone.steps
    assert shared.tokens.sum() == pytest.approx(alone.tokens.sum() / 2, rel=0.1)
    assert shared.eval_tokens == pytest.approx(alone.eval_tokens / 2, rel=0.15)


def test_of_a_long_run_some_steps_stand_for_all(
    tokens: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(small_model, batch_size=16, epochs=20)
    whole = count_work(tokens, config, "trial")
    monkeypatch.setattr(workload, "SAMPLED_STEPS", 40)
    some = count_work(tokens, config, "trial")
    assert some.steps == whole.steps == 240
    assert some.tokens.sum() == pytest.approx(whole.tokens.sum(), rel=0.03)
    data = training_of(tokens, config)
    batches, scale = sampled_batches(data, config, 1)
    assert scale == 6
    assert sum(batch_tokens(data.train, batch, config) for batch in batches) * scale == some.tokens.sum()
