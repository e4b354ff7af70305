"""The model card of a run: what the Hub reads, what a person reads, and that its snippet runs as it stands."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from folders import write_sample

from train_fn.card import CARD, write_card
from train_fn.config import DatasetSpec
from train_fn.export import MERGED
from train_fn.run_folder import RunFolder
from train_fn.storage import read_json, write_json
from train_fn.train import main

SPEC = DatasetSpec(name="rows", path=Path("rows"))
PUBLIC = DatasetSpec(name="100k", hub_id="owner/set")
SETTINGS = ("max_length=64", "epochs=1", "batch_size=16", "evaluations=2", "eval_before_rows=16")
POINT = {"margin": 1.5, "probability": 0.75, "human_texts": 40, "false_positives": 2, "why": ""}
REFUSED = {
    "margin": None,
    "probability": None,
    "human_texts": 40,
    "false_positives": 0,
    "why": "too few texts",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves that trains the tiny model on some rows of the sample."""
    place = tmp_path_factory.mktemp("card")
    words = ["--dataset", str(write_sample(place / "rows")), "--model", "tiny", "--max-rows", "64"]
    words += ["--output", str(place / "output"), *(word for pair in SETTINGS for word in ("--set", pair))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        assert main([*words, "--no-merged"]) == 0
        assert not (place / "output" / "qwen3-tiny-rows" / MERGED).exists()
        assert main([*words, "--license", "mit"]) == 0
    return place / "output" / "qwen3-tiny-rows"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunFolder:
    """A copy that a test may change."""
    return RunFolder(shutil.copytree(finished, tmp_path / finished.name), tmp_path)


def card(run: RunFolder) -> tuple[dict[str, Any], str]:
    """The header's values, and the page."""
    _, header, page = (run.folder / CARD).read_text(encoding="ascii").split("---\n", 2)
    return yaml.safe_load(header), page


def change(run: RunFolder, name: str, **values: Any) -> None:
    write_json(run.folder / name, {**read_json(run.folder / name), **values})


def test_the_snippet_runs_beside_the_card_and_scores_as_the_run_did(
    run: RunFolder, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", card(run)[1], re.DOTALL)
    monkeypatch.chdir(run.folder)
    there: dict[str, Any] = {}
    exec(snippet, there)
    assert "AI_Generated" in capsys.readouterr().out
    known = pq.read_table(run.folder / "predictions.parquet").to_pandas().query("split == 'test'")[:16]
    texts = pq.read_table(finished.parents[1] / "rows" / "test.parquet")["text"].to_pylist()
    found = there["detector"]([texts[row] for row in known["row"]])
    scores = [next(one["score"] for one in text if one["label"] == "AI_Generated") for text in found]
    np.testing.assert_allclose(scores, known["probability_ai"], atol=0.02)


def test_the_header_says_what_the_hub_asks_and_names_only_what_is_there(run: RunFolder) -> None:
    header, _ = card(run)
    assert (header["library_name"], header["pipeline_tag"]) == ("transformers", "text-classification")
    assert header["license"] == "mit"
    assert "base_model" not in header
    assert "datasets" not in header
    change(run, "lineage.json", model="Qwen/Qwen3-0.6B", model_revision="1234abcd")
    write_card(run, PUBLIC, None)
    header, page = card(run)
    assert " at revision 1234abcd, fine-tuned" in page
    assert (header["base_model"], header["datasets"]) == ("Qwen/Qwen3-0.6B", ["owner/set"])
    (result,) = header["model-index"][0]["results"]
    assert (result["dataset"]["type"], result["dataset"]["split"]) == ("owner/set", "test")
    test = read_json(run.folder / "metrics.json")["test"]
    told = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert told["roc_auc"] == test["auroc"]
    assert told["balanced_accuracy"] == test["balanced_accuracy"]


def test_a_licence_stays_until_another_is_given_and_none_is_made_up(run: RunFolder) -> None:
    write_card(run, SPEC, None)
    assert card(run)[0]["license"] == "mit"
    write_card(run, SPEC, "apache-2.0")
    assert card(run)[0]["license"] == "apache-2.0"
    (run.folder / CARD).unlink()
    write_card(run, SPEC, None)
    header, page = card(run)
    assert "license" not in header
    assert "None is stated." in page


def test_the_page_says_how_good_it_is_on_what_data_and_with_which_settings(run: RunFolder) -> None:
    _, page = card(run)
    test = read_json(run.folder / "metrics.json")["test"]
    assert f"| {test['balanced_accuracy']:.4f} |" in page
    assert "On 60 test rows" in page
    assert read_json(run.folder / "lineage.json")["dataset"]["fingerprint"] in page
    assert "of the test rows have a relative in train" in page
    assert "learning_rate: 0.0001" in page
    assert "Its base is random" in page
    assert str(run.folder.parents[1]) not in page


def test_what_a_run_does_not_have_is_left_out_and_what_it_has_is_told(run: RunFolder) -> None:
    for name in ("thresholds.json", "evaluation.json"):
        (run.folder / name).unlink()
    write_card(run, SPEC, None)
    _, page = card(run)
    for title in ("## Thresholds", "## Search", "evaluation.json"):
        assert title not in page
    change(
        run,
        "lineage.json",
        study="rows-1",
        trial=3,
        reason="the best of /home/me/base",
        model="/home/me/base",
    )
    settings = (run.folder / "config.yaml").read_text().replace("model: tiny", "model: /home/me/base")
    (run.folder / "config.yaml").write_text(settings)
    points = {"fpr_5": POINT, "fpr_1": REFUSED}
    write_json(
        run.folder / "thresholds.json", {"version": 1, "temperature": 1.25, "global": points, "domains": {}}
    )
    write_json(run.folder / "evaluation.json", {})
    write_card(run, SPEC, None)
    _, page = card(run)
    assert "| 5 % | 0.817574 | 0.750000 | 2 of 40 |" in page
    assert "| 1 % | - | - | too few texts |" in page
    assert "Study rows-1, trial 3: the best of base" in page
    assert "`evaluation.json`" in page
    assert "/home/me" not in page
