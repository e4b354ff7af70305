"""What a run is worth, and the files that a finished one leaves: adapter, metrics, matrix, predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train_fn.batching import stratified_subset
from train_fn.cache import TokenizedSet
from train_fn.config import LABELS
from train_fn.contamination import left_out_file, scored_rows
from train_fn.evaluation import Scorer, Scores
from train_fn.groups import related
from train_fn.job import Job
from train_fn.metrics import Metrics, row_losses
from train_fn.model import TINY, Detector, commit_of
from train_fn.plots import confusion_png
from train_fn.rows import SEED
from train_fn.state import TrainingData, TrainState
from train_fn.storage import LOSSES, RELATED, atomic_file, atomic_folder, write_json


@dataclass(frozen=True)
class Result:
    """What a finished run found: metrics before training by split, those of its best weights on the
    run's final rows of validation, and the scores by split, test among them where it was read."""

    before: dict[str, Any]
    metrics: Metrics
    scores: dict[str, Scores]


def score_before(job: Job, data: TokenizedSet, score: Scorer) -> dict[str, Any]:
    """The metrics before training by split, of some rows of it."""
    splits = {"validation": data.validation} | ({"test": data.test} if job.kind == "full" else {})
    found = {}
    for name, split in splits.items():
        rows = scored_rows(name, len(split), left_out_file(job.folder))
        some = rows[stratified_subset(split.labels[rows], job.train.eval_before_rows, SEED)]
        found[name] = score(split, some).metrics().model_dump(mode="json")
    return found


def score_after(
    job: Job, data: TokenizedSet, training: TrainingData, state: TrainState, score: Scorer
) -> Result:
    """What the best weights, which the detector holds now, are worth."""
    if job.kind != "full" and np.array_equal(training.final_rows, training.eval_rows):
        return Result(state.before, Metrics(**state.best_metrics), {})  # of these very rows
    scores = {"validation": score(data.validation, training.final_rows)}
    if job.kind == "full":
        scores["test"] = score(data.test, scored_rows("test", len(data.test), left_out_file(job.folder)))
    return Result(state.before, scores["validation"].metrics(), scores)


def deliver(job: Job, data: TokenizedSet, detector: Detector, result: Result) -> None:
    """Write everything that a finished run leaves in `job.folder`, each file whole.

    A trial of a search leaves no picture and no tokenizer: they are the same in each, or shown by W&B, and cost
    half a second, which a warm worker of a search would spend between two trials.
    """
    full = job.kind == "full"
    save_adapter(detector, job, job.folder / "adapter", tokenizer=full)
    found = {"before": result.before.get("validation"), "after": result.metrics.model_dump(mode="json")}
    shown, split = result.metrics, "validation"
    if "test" in result.scores:
        shown, split = result.scores["test"].metrics(), "test"
        found |= {"test_before": result.before.get("test"), "test": shown.model_dump(mode="json")}
        write_predictions(data, result.scores, job.folder / "predictions.parquet")
    if job.kind == "confirm":
        write_losses(result.scores["validation"], job.folder / LOSSES)
        with atomic_file(job.folder / RELATED) as temporary, temporary.open("wb") as file:
            np.save(file, related(data, "validation")[result.scores["validation"].rows])
    write_json(job.folder / "metrics.json", found)
    matrix = {
        "split": split,
        "labels": LABELS,
        "rows": "true, columns: predicted",
        "matrix": shown.confusion_matrix,
    }
    write_json(job.folder / "confusion_matrix.json", matrix)
    if full:
        title = f"{job.run_id}, {split} split"
        confusion_png(shown.confusion_matrix, job.folder / "confusion_matrix.png", title)


def write_losses(scores: Scores, path: Path) -> None:
    """The unweighted log loss (nats) of every scored row, float32 [rows], in the order of the rows."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, row_losses(scores.logits, scores.labels).astype(np.float32))


def save_adapter(detector: Detector, job: Job, folder: Path, *, tokenizer: bool) -> None:
    """The LoRA matrices and the head in PEFT's format; with `tokenizer`, also the one they were trained with."""
    with atomic_folder(folder) as temporary:
        peft_config = detector.peft.peft_config["default"]
        name, revision = job.train.model, job.train.model_revision
        peft_config.base_model_name_or_path = job.model if name == TINY else name
        peft_config.revision = revision or commit_of(job.model)
        # No embedding was added, so PEFT need not ask the Hub for the base's vocabulary.
        detector.peft.save_pretrained(str(temporary), save_embedding_layers=False)
        (temporary / "README.md").unlink()  # a form with nothing filled in; a full run gets a page of its own
        if tokenizer:
            from transformers import AutoTokenizer

            AutoTokenizer.from_pretrained(job.model, trust_remote_code=False).save_pretrained(str(temporary))


def write_predictions(data: TokenizedSet, scores: dict[str, Scores], path: Path) -> None:
    """One line a text: split, row, domain, model, label, margin, P(AI_Generated), predicted label.

    The margin, the AI logit less the human one, orders texts where P(AI_Generated) rounds to 1.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = np.array(LABELS)
    tables: list[Any] = []
    for split, found in scores.items():
        logits = found.logits.astype(np.float64)
        about = data.rows(split).take(found.rows)
        columns = {
            "split": pa.array([split] * len(found.rows)).dictionary_encode(),
            "row": found.rows,
            "domain": about["domain"],
            "model": about["model"],
            "label": pa.array(names[found.labels]),
            "margin": (logits[:, 0] - logits[:, 1]).astype(np.float32),
            "probability_ai": 1 / (1 + np.exp(logits[:, 1] - logits[:, 0])),
            "predicted": pa.array(names[logits.argmax(axis=1)]),
        }
        tables.append(pa.table(columns))
    with atomic_file(path) as temporary:
        pq.write_table(pa.concat_tables(tables, promote_options="permissive"), temporary)
