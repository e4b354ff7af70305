"""A folder that is not a finished run's, or whose base is not that of its training, is refused in words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from delivering import copied
from safetensors.torch import load_file, save_file
from training import CPU, shorten

from train_fn import hub
from train_fn.errors import InputError
from train_fn.rule import Rule
from train_fn.scoring import TextScorer
from train_fn.storage import read_json, write_json, write_text

COMMITS = "a" * 40, "b" * 40


def set_train(run: Path, **changes: Any) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["train"] |= changes
    write_text(run / "config.yaml", yaml.safe_dump(config))


def set_revision(run: Path, revision: str) -> None:
    write_json(run / "lineage.json", read_json(run / "lineage.json") | {"model_revision": revision})


def other_head(run: Path) -> None:
    file = run / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors["base_model.model.score.weight"] = tensors["base_model.model.score.weight"][:1].clone()
    save_file(tensors, file)


def of_other_commit(run: Path) -> None:
    """The base is a folder of the Hub's cache, of another commit than the run's."""
    model = read_json(run / "lineage.json")["model"]
    (run / COMMITS[1]).symlink_to(model)
    set_train(run, model=str((run / COMMITS[1]).absolute()))
    set_revision(run, COMMITS[0])


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no settings": (lambda run: (run / "config.yaml").unlink(), "has no config.yaml"),
    "no adapter yet": (lambda run: (run / "adapter/adapter_model.safetensors").unlink(), "has no adapter/"),
    "a study": (lambda run: write_text(run / "config.yaml", "space: 1\n"), "has no train section"),
    "damaged settings": (lambda run: write_text(run / "config.yaml", "a: [\n"), "readable YAML"),
    "settings of nobody": (lambda run: set_train(run, lora_rang=4), "did you mean lora_rank"),
    "a cut adapter": (
        lambda run: shorten(run / "adapter/adapter_model.safetensors"),
        "must be a safetensors",
    ),
    "another rank": (lambda run: set_train(run, lora_rank=8), "at lora_rank 8, but .* tensors do not"),
    "another head": (other_head, "1 of its tensors do not, such as base_model.model.score"),
    "damaged lineage": (lambda run: shorten(run / "lineage.json"), "lineage.json must hold a JSON object"),
    "no base": (lambda run: set_train(run, model=str(run / "gone")), "base model .* must be at .*gone"),
    "no model there": (lambda run: set_train(run, model=str(run)), "must be a Transformers folder"),
    "another commit": (of_other_commit, f"trained on revision {COMMITS[0]}"),
    "damaged thresholds": (lambda run: shorten(run / "thresholds.json"), "thresholds.json must hold"),
    "thresholds of another form": (
        lambda run: write_json(run / "thresholds.json", {"version": 2}),
        "thresholds.json",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_cannot_be_used_is_refused(case: str, delivered: Path, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    run = copied(delivered, tmp_path)
    change(run)
    with pytest.raises(InputError, match=message):
        TextScorer.open(run, device=CPU)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there; give another folder"):
        TextScorer.open(tmp_path / "nowhere")


def test_the_folder_of_the_adapter_leads_to_its_run(delivered: Path) -> None:
    with pytest.raises(InputError, match=rf"adapter has no config.yaml; give {delivered}$"):
        TextScorer.open(delivered / "adapter")


def test_a_run_without_thresholds_opens_without_a_judgement(delivered: Path) -> None:
    assert Rule.open(delivered, 1).thresholds is None


def test_the_base_is_fetched_at_the_runs_own_commit(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def model_folder(name: str, revision: str | None) -> Path:
        asked.append((name, revision))
        raise InputError("the cache does not hold it")

    monkeypatch.setattr(hub, "model_folder", model_folder)
    run = copied(delivered, tmp_path)
    set_train(run, model="Owner/Model", model_revision="main")
    set_revision(run, COMMITS[0])
    with pytest.raises(
        InputError, match=f"needs its base model Owner/Model at revision {COMMITS[0]}: the cache"
    ):
        TextScorer.open(run, device=CPU)
    (run / "lineage.json").unlink()
    adapter = run / "adapter" / "adapter_config.json"
    write_json(adapter, read_json(adapter) | {"revision": COMMITS[1]})
    with pytest.raises(InputError, match=COMMITS[1]):
        TextScorer.open(run, device=CPU)
    assert asked == [("Owner/Model", COMMITS[0]), ("Owner/Model", COMMITS[1])]
