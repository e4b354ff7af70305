"""Which rows make a step, and how it is cut."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train_fn.batching import (
    Steps,
    collate,
    few_shapes,
    micro_batches,
    padded,
    rank_share,
    stratified_subset,
)
from train_fn.tokenized import Split

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=60).map(
    lambda values: np.array(values, np.int64)
)
LABELS = (np.random.default_rng(0).random(1000) < 0.3).astype(np.int8)


def numbered(count: int) -> np.ndarray:
    """Row numbers that are no positions."""
    return np.arange(count, dtype=np.int64) * 3 + 7


@given(LENGTHS, st.integers(8, 4000))
def test_micro_batches_hold_every_row_once_within_the_budget(lengths: np.ndarray, budget: int) -> None:
    rows = numbered(len(lengths))
    length_of = dict(zip(rows.tolist(), lengths.tolist(), strict=True))
    batches = micro_batches(rows, lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    for batch in batches:
        tokens = len(batch) * padded(max(length_of[row] for row in batch.tolist()))
        assert tokens <= budget or len(batch) == 1


@given(LENGTHS, st.integers(8, 4000))
def test_micro_batches_are_sorted_by_length_the_longest_first(lengths: np.ndarray, budget: int) -> None:
    order = np.concatenate(micro_batches(np.arange(len(lengths)), lengths, budget))
    assert (np.diff(lengths[order]) <= 0).all()


def test_sorting_by_length_saves_padding() -> None:
    lengths = np.random.default_rng(0).integers(10, 380, 256)
    spent = sum(len(b) * padded(int(lengths[b].max())) for b in micro_batches(np.arange(256), lengths, 4096))
    assert spent < 1.1 * lengths.sum() + 8 * 256


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(0, []), (1, [1]), (6, [4, 2]), (64, [64]), (95, [64, 16, 8, 4, 2, 1]), (106, [100, 4, 2])],
)
def test_what_is_left_over_is_cut_to_powers_of_two(rows: int, sizes: list[int]) -> None:
    lengths = np.full(rows, 8)
    batches = few_shapes(np.arange(rows), lengths, 800)
    assert [len(batch) for batch in batches] == sizes
    assert [row for batch in batches for row in batch.tolist()] == list(range(rows))
    packed = [cut(np.arange(rows), lengths, 800, packed=True) for cut in (few_shapes, micro_batches)]
    assert [len(batch) for batch in packed[0]] == [len(batch) for batch in packed[1]]


@pytest.mark.parametrize(("length", "width"), [(1, 8), (8, 8), (9, 16), (384, 384)])
def test_a_micro_batch_is_padded_to_a_multiple_of_eight(length: int, width: int) -> None:
    assert padded(length) == width


@given(LENGTHS, st.integers(1, 5))
def test_ranks_share_every_row_once_and_work_alike(lengths: np.ndarray, world: int) -> None:
    rows = numbered(len(lengths))
    shares = [rank_share(rows, lengths, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == rows.tolist()
    work = [int(lengths[np.isin(rows, share)].sum()) for share in shares]
    assert max(work) - min(work) <= lengths.max()


def test_a_subset_holds_the_classes_in_their_shares() -> None:
    for rows in (16, 100, 333, 999):
        chosen = stratified_subset(LABELS, rows, seed=0)
        assert len(chosen) == len(set(chosen.tolist())) == rows
        assert abs(LABELS[chosen].sum() - rows * LABELS.mean()) <= 1
        assert (np.diff(chosen) > 0).all()


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_larger_subset_holds_a_smaller(one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert set(stratified_subset(LABELS, small, 0).tolist()) <= set(
        stratified_subset(LABELS, large, 0).tolist()
    )


def test_a_subset_of_all_or_more_is_all() -> None:
    for rows in (None, 1000, 5000):
        assert stratified_subset(LABELS, rows, 0).tolist() == list(range(1000))


def test_another_seed_draws_another_subset() -> None:
    assert stratified_subset(LABELS, 100, 0).tolist() != stratified_subset(LABELS, 100, 1).tolist()


def test_steps_hold_every_row_once_an_epoch_in_another_order() -> None:
    plan = Steps(numbered(100), batch_size=32, epochs=3, seed=1)
    assert (plan.per_epoch, plan.total) == (4, 12)
    epochs = [np.concatenate([plan[step] for step in range(4 * n, 4 * n + 4)]) for n in range(3)]
    for rows in epochs:
        assert sorted(rows.tolist()) == numbered(100).tolist()
    assert len({tuple(rows.tolist()) for rows in epochs}) == 3
    assert [len(plan[step]) for step in range(4)] == [32, 32, 32, 4]


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    plan = Steps(np.arange(100), 32, 3, seed=1)
    forward = [plan[step].tolist() for step in range(12)]
    assert [plan[step].tolist() for step in reversed(range(12))] == forward[::-1]
    assert Steps(np.arange(100), 32, 3, seed=2)[0].tolist() != forward[0]


def test_epochs_may_be_a_fraction_and_a_run_has_a_step() -> None:
    assert Steps(np.arange(100), 10, 2.5, 0).total == 25
    assert Steps(np.arange(100), 256, 0.1, 0).total == 1


def test_the_samples_of_the_first_steps_are_counted_exactly() -> None:
    plan = Steps(numbered(100), batch_size=32, epochs=3, seed=1)
    counted = np.cumsum([len(plan[step]) for step in range(plan.total)])
    assert [plan.samples(step) for step in range(1, plan.total + 1)] == counted.tolist()


def test_collate_pads_on_the_right_and_knows_each_last_token() -> None:
    tokens, offsets = np.arange(1, 13, dtype=np.int32), np.array([0, 3, 12])
    split = Split(tokens, offsets, np.array([1, 0], dtype=np.int8))
    ids, last, labels = collate(split, np.array([1, 0]), pad_id=99, device=torch.device("cpu"))
    assert ids.tolist() == [[4, 5, 6, 7, 8, 9, 10, 11, 12] + [99] * 7, [1, 2, 3] + [99] * 13]
    assert (last.tolist(), labels.tolist()) == ([8, 18], [0, 1])


def test_packed_texts_stand_one_after_the_other() -> None:
    tokens, offsets = np.arange(1, 13, dtype=np.int32), np.array([0, 3, 12])
    split = Split(tokens, offsets, np.array([1, 0], dtype=np.int8))
    ids, last, labels = collate(split, np.array([1, 0]), 99, torch.device("cpu"), packed=True)
    assert ids.tolist() == [[4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3]]
    assert (last.tolist(), labels.tolist()) == ([8, 11], [0, 1])


@pytest.mark.parametrize("budget", [1, 40, 100, 333, 10**6])
def test_packed_micro_batches_fill_the_budget_with_tokens_alone(budget: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 41, 200)
    batches = micro_batches(np.arange(200), lengths, budget, packed=True)
    spent = [int(lengths[batch].sum()) for batch in batches]
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert all(tokens <= budget or len(batch) == 1 for tokens, batch in zip(spent, batches, strict=True))
    following = [lengths[batch[0]] for batch in batches[1:]]
    assert all(tokens + more > budget for tokens, more in zip(spent, following, strict=False))
