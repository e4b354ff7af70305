"""The model card of a run: what the Hub reads, what a person reads, and that its snippet runs as it stands."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from train_fn.card import CARD, write_card
from train_fn.config import DatasetSpec
from train_fn.run_folder import RunFolder
from train_fn.storage import read_json, write_json

SPEC = DatasetSpec(name="rows", path=Path("rows"))
PUBLIC = DatasetSpec(name="100k", hub_id="owner/set")
POINT = {"margin": 1.5, "probability": 0.75, "human_texts": 40, "false_positives": 2, "why": ""}
REFUSED = {
    "margin": None,
    "probability": None,
    "human_texts": 40,
    "false_positives": 0,
    "why": "too few texts",
}


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunFolder:
    """A copy that a test may change."""
    return RunFolder(shutil.copytree(trained, tmp_path / trained.name), tmp_path)


def card(run: RunFolder) -> tuple[dict[str, Any], str]:
    """The header's values, and the page."""
    _, header, page = (run.folder / CARD).read_text(encoding="ascii").split("---\n", 2)
    return yaml.safe_load(header), page


def snippets(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def change(run: RunFolder, name: str, **values: Any) -> None:
    write_json(run.folder / name, {**read_json(run.folder / name), **values})


def test_the_snippet_runs_beside_the_card_and_scores_as_the_run_did(
    run: RunFolder, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snippet = snippets(card(run)[1])[0]
    monkeypatch.chdir(run.folder)
    there: dict[str, Any] = {}
    exec(snippet, there)
    assert "AI_Generated" in capsys.readouterr().out
    known = pq.read_table(run.folder / "predictions.parquet").to_pandas().query("split == 'test'")[:16]
    texts = pq.read_table(trained.parents[1] / "rows" / "test.parquet")["text"].to_pylist()
    found = there["detector"]([texts[row] for row in known["row"]])
    scores = [next(one["score"] for one in text if one["label"] == "AI_Generated") for text in found]
    np.testing.assert_allclose(scores, known["probability_ai"], atol=0.02)


@pytest.mark.parametrize("place", [".", "adapter"])
def test_the_adapters_snippet_runs_beside_both_pages(
    place: str, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snippet = snippets((run.folder / place / CARD).read_text())[-1]
    monkeypatch.chdir(run.folder / place)
    exec(snippet, {})
    assert 0 < float(re.findall(r"tensor\(\[([\d.]+)\]", capsys.readouterr().out)[0]) < 1


def test_the_adapters_page_is_no_form_and_leads_to_the_card(run: RunFolder) -> None:
    page = (run.folder / "adapter" / CARD).read_text(encoding="ascii")
    assert "More Information Needed" not in page
    assert "the model card in the folder above" in page
    assert yaml.safe_load(page.split("---\n")[1])["library_name"] == "peft"


def test_every_figure_stands_with_its_interval_by_domain_and_by_generator(run: RunFolder) -> None:
    _, page = card(run)
    found = read_json(run.folder / "evaluation.json")
    for title, key in {
        "AUROC": "auroc",
        "balanced accuracy": "balanced_accuracy",
        "calibration error (ECE)": "ece",
    }.items():
        low, high = found["intervals"][key].values()
        assert re.search(
            rf"\| {re.escape(title)} \| [\d.]+ \| {found['metrics'][key]:.4f} \| \[{low:.4f}, {high:.4f}\] \|",
            page,
        )
    at = found["operation"]["fpr_5"]
    tpr, reached = found["intervals"]["tpr_at_fpr_5"], at["global_threshold"]["fpr"]
    rate = at["global_threshold"]["tpr"]["value"]
    assert f"| TPR at the threshold for FPR 5 % | - | {rate:.4f} | [{tpr['low']:.4f}, " in page
    assert f"| FPR reached at the threshold for FPR 5 % | - | {reached['value']:.4f} | [" in page
    why = found["operation"]["fpr_1"]["global_threshold"]["why"]
    assert why.startswith("FPR 1 % needs 100 human validation texts")
    assert f"| TPR at the threshold for FPR 1 % | - | {why} | - |" in page
    assert f"| ECE of calibrated probabilities | - | {found['calibration']['after']['ece']:.4f} | - |" in page
    for name, rates in at["global_threshold_by_domain"].items():
        share = rates["tpr"]
        own = at["own_threshold_by_domain"][name]
        assert f"| {name} | {own['why'] or format(own['tpr']['value'], '.3f')}" in page
        if share["rows"]:
            low, high = share["interval"].values()
            assert f"| {share['value']:.3f} [{low:.3f}, {high:.3f}] |" in page
    assert page.count("by domain:") == 1  # at FPR 1 % there is no threshold
    for name, share in at["global_threshold"]["generators"].items():
        assert f"| {name} | {share['rows']} | {share['value']:.3f} [" in page


def test_the_default_stands_beside_the_promoted_configuration_with_its_rows(run: RunFolder) -> None:
    assert "Beside the default" not in card(run)[1]
    params = {"learning_rate": 1e-4, "lora_rank": 16, "lora_alpha": 32.0}
    search = {
        "dataset": "10k",
        "train_rows": 7983,
        "trials": {"COMPLETE": 12, "PRUNED": 4},
        "confirmation_runs": 8,
    }
    told = {
        "default": {"params": params, "beside": []},
        "params": params,
        "study": "10k-1",
        "trial": 0,
        "reason": "-",
    }
    change(run, "lineage.json", **told, search={**search, "seconds": 5400.0})
    write_card(run, SPEC, None)
    assert "The promoted configuration is the default one." in card(run)[1]
    change(run, "lineage.json", params={**params, "lora_rank": 8}, trial=7)
    figures = {"log_loss": 0.25, "auroc": 0.75}
    beside = {
        "where": "runs on 1 % of the train rows",
        "split": "validation",
        "train_rows": 13702,
        "rows": 5000,
    }
    change(run, "metrics.json", default=[{**beside, "promoted": figures, "default": {"log_loss": 0.5}}])
    write_card(run, SPEC, None)
    _, page = card(run)
    line = (
        "| runs on 1 % of the train rows | 13,702 | 5,000 of validation | 0.2500, 0.5000 | -, - | 0.7500, - |"
    )
    assert line in page
    assert "7,983 rows of 10k: 16 trials (12 COMPLETE, 4 PRUNED), 8 runs on fresh seeds, 1.5 hours" in page


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
    for title in ("## Thresholds", "## Search", "by domain", "by generator", " | [0"):
        assert title not in page
    assert "no figures of domains and generators, for evaluation.json is missing" in page
    assert "TPR at FPR 5 %, threshold from these rows" in page
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
    write_card(run, SPEC, None)
    _, page = card(run)
    assert "| 5 % | 1.5000 | 0.817574 | 0.750000 | 2 of 40 |" in page
    assert "| 1 % | - | - | - | too few texts |" in page
    assert "Study rows-1, trial 3: the best of base" in page
    assert "/home/me" not in page
