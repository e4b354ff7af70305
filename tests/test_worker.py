"""One run from its job to its files, and many runs in one warm process."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import confusion_matrix
from small import ROWS, write_groups
from training import (
    CPU,
    Caller,
    adapter,
    equal,
    in_process,
    make_job,
    run_quietly,
    settings,
    without_seconds,
)

from train_fn import worker
from train_fn.batching import Rows
from train_fn.cache import Split, open_set
from train_fn.config import LABELS
from train_fn.errors import InputError
from train_fn.evaluation import Scores
from train_fn.model import fingerprint
from train_fn.rows import training_data
from train_fn.storage import LOSSES, RELATED, read_json
from train_fn.worker import Job, warm_base

Maker = Callable[..., Job]
COLUMNS = ["split", "row", "domain", "model", "label", "margin", "probability_ai", "predicted"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path) -> tuple[Path, Caller]:
    """A run that scores the test split, as a promotion does."""
    job = make_job(tmp_path_factory.mktemp("full") / "run", small_model, tokens, kind="full")
    caller = Caller()
    assert caller.run(job) == "COMPLETE"
    return job.folder, caller


def test_order_does_not_matter_in_a_warm_process(new_job: Maker) -> None:
    """A, then others that were stopped and that failed, then A again; and A in a process that ran nothing else."""
    first, again, cold = (new_job(name) for name in ("first", "again", "cold"))
    other = {"lora_rank": 8, "seed": 7, "lora_dropout": 0.3, "learning_rate": 0.1}
    callers = Caller(), Caller()
    base = warm_base(first.model, first.train, CPU)
    before = fingerprint(base)
    assert callers[0].run(first) == "COMPLETE"
    assert Caller(stop_at=13, reason="PRUNED").run(new_job("pruned", **other)) == "STOPPED"
    assert Caller(stop_at=4).run(new_job("interrupted", **other)) == "STOPPED"
    assert Caller().run(replace(new_job("failed", **other), data=Path("nowhere"))) == "FAILED"
    assert callers[1].run(again) == "COMPLETE"
    assert in_process(run_quietly, cold) == 0
    assert equal(adapter(first.folder), adapter(again.folder))
    assert equal(adapter(first.folder), adapter(cold.folder))
    metrics = [read_json(job.folder / "metrics.json") for job in (first, again, cold)]
    assert metrics[0] == metrics[1] == metrics[2]
    assert without_seconds(callers[0].rows) == without_seconds(callers[1].rows)
    assert warm_base(first.model, again.train, CPU) is base
    assert fingerprint(base) == before


def test_what_decides_the_base_reloads_it_and_nothing_else(new_job: Maker) -> None:
    job = new_job(compute_dtype="float32")
    base = warm_base(job.model, job.train, CPU)
    assert warm_base(job.model, new_job(compute_dtype="float32", lora_rank=64, seed=1).train, CPU) is base
    assert warm_base(job.model, new_job(compute_dtype="bfloat16").train, CPU) is not base


def test_the_rows_rise_and_the_last_one_comes_when_every_file_is_there(new_job: Maker) -> None:
    job, there = new_job(), []
    caller = Caller()
    rows = caller.rows

    def send(row: dict[str, Any]) -> None:
        rows.append(row)
        there.append((job.folder / "result.json").exists() and (job.folder / "adapter").exists())

    assert worker.run(job, send, lambda: "").status == "COMPLETE"
    assert [row["progress"] for row in rows] == [25, 50, 75, 100]
    assert [bool(row.get("done")) for row in rows] == there == [False, False, False, True]
    running = np.minimum.accumulate([row["validation_log_loss"] for row in rows])
    assert [row["objective"] for row in rows] == running.tolist()
    assert (rows[-1]["status"], rows[-1]["cause"]) == ("COMPLETE", "")
    assert all(type(value) in (int, float, str, bool) for row in rows for value in row.values())
    assert read_json(job.folder / "result.json") == rows[-1]
    lines = (job.folder / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[:-1]] == rows[:-1]
    assert not (job.folder / "checkpoints").exists()


def test_the_weights_and_counts_are_of_the_rows_that_train(full: tuple[Path, Caller], tokens: Path) -> None:
    facts = read_json(full[0] / "facts.json")
    counts = [facts[f"train_rows_{label}"] for label in LABELS]
    assert sum(counts) == 192
    share = (open_set(tokens).train.labels == 0).mean()
    assert abs(counts[0] - 192 * share) <= 1
    for label, count in zip(LABELS, counts, strict=True):
        assert facts[f"class_weight_{label}"] == facts[f"inverse_frequency_{label}"] == 192 / (2 * count)
    assert (facts["dtype"], facts["ranks"], facts["device"]) == (facts["dtype"], 1, "cpu")


def test_weights_of_one_are_used_and_the_formula_still_told(small_model: Path, tokens: Path) -> None:
    assert training_data(settings(small_model, class_weights="none"), open_set(tokens)).weights == (1.0, 1.0)


def test_a_full_run_delivers_adapter_metrics_matrix_and_predictions(full: tuple[Path, Caller]) -> None:
    folder = full[0]
    assert {path.name for path in folder.iterdir()} == {
        "adapter",
        "confusion_matrix.json",
        "confusion_matrix.png",
        "curve.jsonl",
        "facts.json",
        "metrics.json",
        "predictions.parquet",
        "result.json",
    }
    names = {path.name for path in (folder / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    metrics = read_json(folder / "metrics.json")
    rows = {name: found["rows"] for name, found in metrics.items()}
    assert rows == {"before": 32, "after": ROWS["validation"], "test_before": 32, "test": ROWS["test"]}
    assert (folder / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_a_trial_delivers_its_adapter_alone_without_picture_and_tokenizer(new_job: Maker) -> None:
    job = new_job()
    Caller().run(job)
    assert {path.name for path in job.folder.iterdir()} == {
        "adapter",
        "confusion_matrix.json",
        "curve.jsonl",
        "facts.json",
        "metrics.json",
        "result.json",
    }
    assert "tokenizer.json" not in {path.name for path in (job.folder / "adapter").iterdir()}


def test_predictions_agree_with_metrics_and_data(full: tuple[Path, Caller], tokens: Path) -> None:
    folder, data = full[0], open_set(tokens)
    table = pq.read_table(folder / "predictions.parquet")
    assert table.column_names == COLUMNS
    found = table.to_pandas()
    assert found.groupby("split", observed=True).size().to_dict() == {
        name: ROWS[name] for name in ("test", "validation")
    }
    for split, part in found.groupby("split", observed=True):
        labels = getattr(data, str(split)).labels[part["row"].to_numpy()]
        assert part["label"].tolist() == [LABELS[label] for label in labels]
        assert part["model"].tolist() == ["gpt4" if label == 0 else "human" for label in labels]
        assert set(part["domain"]) == {"wiki", "news"}
        assert part["margin"].dtype == np.float32
        np.testing.assert_allclose(part["probability_ai"], 1 / (1 + np.exp(-part["margin"])), atol=1e-6)
        assert ((part["probability_ai"] >= 0.5) == (part["predicted"] == LABELS[0])).all()
    test = found[found["split"] == "test"]
    matrix = confusion_matrix(test["label"], test["predicted"], labels=LABELS).tolist()
    metrics = read_json(folder / "metrics.json")["test"]
    assert read_json(folder / "confusion_matrix.json") == {
        "split": "test",
        "labels": list(LABELS),
        "rows": "true, columns: predicted",
        "matrix": matrix,
    }
    assert metrics["confusion_matrix"] == matrix
    true_class = np.where(test["label"] == LABELS[0], test["probability_ai"], 1 - test["probability_ai"])
    assert metrics["log_loss"] == pytest.approx(-np.log(true_class).mean())


def test_the_objective_is_the_log_loss_of_the_best_weights_on_all_of_validation(
    full: tuple[Path, Caller], new_job: Maker
) -> None:
    folder, caller = full
    last = caller.rows[-1]
    assert last["objective"] == read_json(folder / "metrics.json")["after"]["log_loss"]
    assert last["objective"] == pytest.approx(
        min(row["validation_log_loss"] for row in caller.rows), rel=1e-6
    )
    job, part = new_job(eval_rows=24), Caller()
    assert part.run(job) == "COMPLETE"
    assert [row["rows"] for row in part.rows] == [24, 24, 24, ROWS["validation"] // 2]


def test_a_trial_is_compared_on_one_half_of_validation_and_confirmed_on_the_other(
    small_model: Path, tokens: Path
) -> None:
    opened, config = open_set(tokens), settings(small_model, eval_rows=24)
    full, rung, trial, confirm = (
        training_data(config, opened, kind) for kind in ("full", "rung", "trial", "confirm")
    )
    everything = np.arange(ROWS["validation"])
    assert np.array_equal(full.final_rows, everything)
    assert np.array_equal(np.sort([*trial.final_rows, *confirm.final_rows]), everything)
    assert np.array_equal(rung.final_rows, rung.eval_rows)
    assert np.array_equal(trial.eval_rows, confirm.eval_rows)
    assert set(trial.eval_rows.tolist()) < set(trial.final_rows.tolist())
    labels = opened.validation.labels
    shares = [labels[data.final_rows].mean() for data in (trial, confirm)]
    assert shares == pytest.approx([labels.mean()] * 2, abs=0.02)


@pytest.fixture
def grouped(tokens: Path, tmp_path: Path) -> Callable[[int], Path]:
    """The small set with every so many rows in a row related."""

    def of(size: int) -> Path:
        data = shutil.copytree(tokens, tmp_path / "cache" / "set")
        write_groups(data, size)
        return data

    return of


def test_related_rows_go_to_one_half_and_the_halves_are_as_large(
    small_model: Path, grouped: Callable[[int], Path]
) -> None:
    opened, config = open_set(grouped(8)), settings(small_model)
    compared, judged = (training_data(config, opened, kind).final_rows for kind in ("trial", "confirm"))
    assert np.array_equal(np.sort([*compared, *judged]), np.arange(ROWS["validation"]))
    assert len(compared) == len(judged)
    assert not {*(compared // 8).tolist()} & {*(judged // 8).tolist()}


def test_a_validation_split_of_too_few_groups_is_refused(
    small_model: Path, grouped: Callable[[int], Path]
) -> None:
    with pytest.raises(InputError, match="in 3 groups of related ones"):
        training_data(settings(small_model), open_set(grouped(32)), "trial")


def test_a_run_of_a_confirmation_keeps_the_groups_of_its_rows(
    new_job: Maker, grouped: Callable[[int], Path]
) -> None:
    job, caller = replace(new_job(kind="confirm", epochs=1), data=grouped(8)), Caller()
    assert caller.run(job) == "COMPLETE", caller.rows[-1]["cause"]
    losses, group = np.load(job.folder / LOSSES), np.load(job.folder / RELATED)
    assert len(losses) == len(group)
    assert set(np.unique(group, return_counts=True)[1]) == {8}


@pytest.mark.parametrize("left", [2, 3])
def test_a_validation_split_that_has_no_two_halves_is_refused(
    small_model: Path, tokens: Path, tmp_path: Path, left: int
) -> None:
    opened, file = open_set(tokens), tmp_path / "left_out.npz"
    human, ai = (np.flatnonzero(opened.validation.labels == label) for label in (1, 0))
    kept = [human[0], *ai[: left - 1]]
    np.savez(file, validation=np.setdiff1d(np.arange(len(opened.validation)), kept))
    config = settings(small_model)
    with pytest.raises(InputError, match="two unrelated validation rows of each class"):
        training_data(config, opened, "trial", file)
    assert len(training_data(config, opened, "full", file).final_rows) == left


@pytest.mark.parametrize("rows", [ROWS["validation"], 24])
def test_a_run_of_a_confirmation_keeps_the_loss_of_every_row_that_judges(new_job: Maker, rows: int) -> None:
    job, caller = new_job(kind="confirm", eval_rows=rows, epochs=1), Caller()
    assert caller.run(job) == "COMPLETE", caller.rows[-1]["cause"]
    losses = np.load(job.folder / LOSSES)
    assert (losses.dtype, losses.shape) == (np.float32, (ROWS["validation"] // 2,))
    after = read_json(job.folder / "metrics.json")["after"]
    assert losses.mean(dtype=np.float64) == pytest.approx(after["log_loss"], rel=1e-6)
    assert caller.rows[-1]["objective"] == after["log_loss"]
    assert ((losses > np.log(2)).sum() / len(losses)) == pytest.approx(1 - after["accuracy"])  # row by row


def test_a_search_trial_never_reads_the_test_split(new_job: Maker, tokens: Path, tmp_path: Path) -> None:
    without = shutil.copytree(tokens, tmp_path / "set", ignore=shutil.ignore_patterns("test.*"))
    job, caller = replace(new_job(), data=without), Caller()
    assert caller.run(job) == "COMPLETE", caller.rows[-1]["cause"]
    assert set(read_json(job.folder / "metrics.json")) == {"before", "after"}
    assert read_json(job.folder / "confusion_matrix.json")["split"] == "validation"
    assert not (job.folder / "predictions.parquet").exists()


def test_patience_ends_a_run_as_complete(new_job: Maker) -> None:
    job, caller = new_job(learning_rate=1.0, warmup_ratio=0.0, evaluations=8, patience=1), Caller()
    assert caller.run(job) == "COMPLETE"
    last = caller.rows[-1]
    assert (last["status"], last["cause"], last["done"]) == ("COMPLETE", "patience", True)
    assert last["progress"] < 100
    assert last["objective"] == pytest.approx(min(r["validation_log_loss"] for r in caller.rows[:-1]))


@pytest.mark.parametrize(("reason", "kept"), [("PRUNED", False), ("INTERRUPTED", True)])
def test_a_stopped_run_keeps_its_checkpoints_only_where_it_may_go_on(
    new_job: Maker, reason: str, kept: bool
) -> None:
    job = new_job()
    outcome = worker.run(job, lambda row: None, Caller(stop_at=8, reason=reason).stopped)
    assert (outcome.status, outcome.cause) == ("STOPPED", reason)
    assert (job.folder / "checkpoints").exists() == kept
    assert not (job.folder / "result.json").exists()


def test_published_weights_of_a_set_without_a_table_are_refused(small_model: Path, tokens: Path) -> None:
    with pytest.raises(InputError):
        training_data(settings(small_model, class_weights="published"), open_set(tokens))


def test_a_run_on_a_rung_scores_the_rows_of_its_evaluations_and_no_others(
    new_job: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = worker.Scorer.__call__

    def spied(self: worker.Scorer, split: Split, rows: Rows) -> Scores:
        seen.append(len(rows))
        return whole(self, split, rows)

    monkeypatch.setattr(worker.Scorer, "__call__", spied)
    job = new_job(kind="rung", eval_rows=24, eval_before_rows=0, evaluations=2)
    assert Caller().run(job) == "COMPLETE"
    assert seen == [24, 24]
    found = read_json(job.folder / "metrics.json")
    assert (found["before"], found["after"]["rows"]) == (None, 24)
    assert read_json(job.folder / "result.json")["objective"] == found["after"]["log_loss"]
