"""A full run on texts, from their tokens to its folder, and thresholds as an evaluation writes them."""

import shutil
from pathlib import Path
from string import ascii_letters
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from letters import write_tokenizer
from training import Caller, settings

from train_fn.cache import open_set, prepare
from train_fn.config import LABELS, DatasetSpec
from train_fn.lineage import write_lineage
from train_fn.run_folder import RunFolder, settings_of
from train_fn.source import find_source
from train_fn.storage import Paths, write_json
from train_fn.worker import Job

MAX_LENGTH = 32
SETTINGS = ("max_length=64", "epochs=1", "batch_size=16", "evaluations=2", "eval_before_rows=16")
ROWS = {"train": 192, "validation": 32, "test": 64}


def words(rng: np.random.Generator, count: int, label: int) -> str:
    """Single letters, as the tokenizer knows them; human texts have more capitals."""
    upper = rng.random(count) < (0.2, 0.8)[label]
    return " ".join(ascii_letters[n] for n in np.where(upper, 26, 0) + rng.integers(0, 26, count))


def deliver_run(root: Path, model: Path) -> Path:
    """A run without thresholds.json."""
    model = Path(shutil.copytree(model, root / "model"))
    write_tokenizer(model, ["<pad>", "<end>", *ascii_letters])
    config = settings(model, max_length=MAX_LENGTH, compute_dtype="float32")
    spec, paths = DatasetSpec(name="words", path=root / "data"), Paths(root / "output")
    for seed, (name, rows) in enumerate(ROWS.items()):
        write_split(root / "data" / f"{name}.parquet", rows, seed)
    data = prepare(find_source(spec, paths=paths), spec, config, str(model), paths, lambda line: None)
    run, meta = RunFolder.of(paths, "qwen3-small-words"), open_set(data).meta
    run.claim(settings_of(config, meta), replace=False)
    assert Caller().run(Job(run.name, run.folder, config, str(model), data, None, "full")) == "COMPLETE"
    write_lineage(run, meta, config, {})
    return run.folder


def train_run(place: Path) -> Path:
    """The folder that the command leaves which trains the tiny model on some rows of the sample, with merged/."""
    from folders import write_sample

    from train_fn.train import main

    write_sample(place / "rows")
    words = trained_with(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        assert main([*words, "--no-merged"]) == 0
        assert not (place / "output" / "qwen3-tiny-rows" / "merged").exists()
        assert main([*words, "--license", "mit"]) == 0
    return place / "output" / "qwen3-tiny-rows"


def trained_with(place: Path) -> list[str]:
    """The words of that command, save for what it delivers."""
    words = ["--dataset", str(place / "rows"), "--model", "tiny", "--max-rows", "64"]
    return [*words, "--output", str(place / "output"), *(f"--set={pair}" for pair in SETTINGS)]


def write_split(path: Path, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(exist_ok=True)
    labels = np.arange(rows) % 2
    texts = [words(rng, int(rng.integers(8, 40)), label) for label in labels]
    domains = [("wiki", "news")[index // 2 % 2] for index in range(rows)]
    columns = {"text": texts, "label": [LABELS[label] for label in labels], "domain": domains}
    pq.write_table(pa.table(columns), path)


def threshold(margin: float | None, why: str = "") -> dict[str, Any]:
    return {"margin": margin, "probability": None, "human_texts": 40, "false_positives": 2, "why": why}


THRESHOLDS: dict[str, Any] = {
    "version": 1,
    "score": "AI logit less human logit",
    "rule": "AI_Generated when the score is at least the threshold",
    "temperature": 2.0,
    "global": {"fpr_5": threshold(0.5), "fpr_1": threshold(None, "20 human texts carry no FPR of 1 %")},
    "domains": {
        "news": {"fpr_5": threshold(-0.5), "fpr_1": threshold(3.0)},
        "wiki": {"fpr_5": threshold(None, "4 human texts"), "fpr_1": threshold(None, "4 human texts")},
    },
}


def copied(run: Path, root: Path, thresholds: Any = THRESHOLDS) -> Path:
    """A copy of a run that may be changed, with thresholds."""
    folder = Path(shutil.copytree(run, root / "run"))
    write_json(folder / "thresholds.json", thresholds)
    return folder
