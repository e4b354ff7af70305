"""The merged model: what its weights are, that Transformers alone opens it, and what is refused."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from small import ROWS
from training import Caller, Tensors, adapter, load, make_job

from train_fn.agreement import Comparison
from train_fn.config import LABELS, TrainConfig
from train_fn.contamination import LEFT_OUT
from train_fn.errors import InputError
from train_fn.export import AGREEMENT, MERGED, _full_precision, merged_lines, write_merged
from train_fn.quantized import quantized_layers
from train_fn.run_folder import RunFolder
from train_fn.storage import read_json, write_json, write_text
from train_fn.tokenized import open_set

Export = Callable[[Path], list[str]]
# Neither is there for who imports it, as on a machine without them.
ALONE = """
import json, sys
sys.modules["peft"] = sys.modules["bitsandbytes"] = None
import torch
from transformers import AutoModelForSequenceClassification, pipeline
folder, rows = sys.argv[1], json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(folder)
judge = pipeline("text-classification", model=folder, truncation=True, top_k=None, batch_size=4)
found = judge(["one text", "another"])
about = model.config
assert not any(name.startswith("train_fn") for name in sys.modules)
print(json.dumps({
    "labels": about.id2label, "numbers": about.label2id, "problem": about.problem_type, "pad": about.pad_token_id,
    "quantised": hasattr(about, "quantization_config"),
    "dtypes": sorted({str(weight.dtype) for weight in model.parameters()}),
    "scores": [model(torch.tensor([row])).logits.softmax(1)[0, 0].item() for row in rows],
    "pipeline": [{one["label"]: one["score"] for one in text} for text in found],
}))
"""


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_model: Path, tokens: Path
) -> Path:
    """The folder of a full run in either dtype."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    job = make_job(folder, small_model, tokens, kind="full", compute_dtype=request.param)
    assert Caller().run(job) == "COMPLETE"
    write_text(folder / "config.yaml", yaml.safe_dump({"train": job.train.model_dump(mode="json")}))
    return folder


@pytest.fixture
def export(tokens: Path) -> Export:
    """Writes the merged model of a run's folder; returns what was said."""

    def write(folder: Path) -> list[str]:
        said: list[str] = []
        write_merged(RunFolder(folder, folder / "logs"), tokens, said.append)
        return said

    return write


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(finished, tmp_path / "run")


def weights(run: Path) -> Tensors:
    return load_file(run / MERGED / "model.safetensors")


def test_each_weight_is_the_nf4_base_with_lora_added_in_fp32_and_rounded_once(
    run: Path, export: Export, small_model: Path
) -> None:
    from bitsandbytes.functional import dequantize_4bit

    export(run)
    lora, found = adapter(run), weights(run)
    base = load(small_model, compute_dtype=read_json(run / "facts.json")["dtype"], expand_base="never")
    layers = quantized_layers(base.model)
    assert len(layers) == 14
    for name, layer in layers:
        dense = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
        below, above = (lora[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
        assert torch.equal(found[f"{name}.weight"], (dense + above @ below * (8 / 4)).bfloat16()), name
    assert torch.equal(found["score.weight"], lora["base_model.model.score.weight"].bfloat16())
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}


def test_transformers_alone_opens_it_and_gives_the_scores_of_the_run(
    run: Path, export: Export, tokens: Path, small_model: Path
) -> None:
    export(run)
    known = pq.read_table(run / "predictions.parquet").to_pandas().query("split == 'validation'")[:8]
    rows = [open_set(tokens).validation.row(row).tolist() for row in known["row"]]
    words = [sys.executable, "-c", ALONE, str(run / MERGED), json.dumps(rows)]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["labels"] == {"0": "AI_Generated", "1": "Human_Written"}
    assert told["numbers"] == {"AI_Generated": 0, "Human_Written": 1}
    assert (told["problem"], told["pad"]) == ("single_label_classification", 0)
    assert (told["quantised"], told["dtypes"]) == (False, ["torch.bfloat16"])
    np.testing.assert_allclose(told["scores"], known["probability_ai"], atol=0.02)
    for one in told["pipeline"]:
        assert one.keys() == set(LABELS)
        assert sum(one.values()) == pytest.approx(1, abs=1e-5)
    for file in (run / MERGED).glob("*.json"):
        assert str(small_model.parent) not in file.read_text(), file


def test_before_rounding_nothing_differs_and_rounding_costs_less_than_is_tolerated(
    run: Path, export: Export
) -> None:
    export(run)
    found = read_json(run / MERGED / AGREEMENT)
    assert found["rows"] == ROWS["validation"]
    for difference in (found["merged"], found["rounded"], found["reported"]):
        assert difference["largest"] <= difference["tolerance"]
    assert found["merged"]["largest"] < found["rounded"]["largest"] / 100
    assert "on 96 validation rows" in merged_lines(RunFolder(run, run))[1]


def test_the_tokenizer_pads_and_cuts_as_the_training_did(run: Path, export: Export) -> None:
    from transformers import AutoTokenizer

    for file in (run / "adapter").glob("*token*.json"):
        values = read_json(file)
        if values.pop("pad_token", None):
            write_json(file, values)
    assert AutoTokenizer.from_pretrained(run / "adapter").pad_token is None
    export(run)
    tokenizer = AutoTokenizer.from_pretrained(run / MERGED)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.model_max_length == 64


def test_it_is_written_once(run: Path, export: Export) -> None:
    assert len(export(run)) == 1
    before = (run / MERGED / "model.safetensors").stat()
    assert export(run) == []
    assert (run / MERGED / "model.safetensors").stat() == before


def refused(run: Path, export: Export) -> str:
    with pytest.raises(InputError) as error:
        export(run)
    assert [path.name for path in run.iterdir() if MERGED in path.name] == []
    assert merged_lines(RunFolder(run, run)) == []
    return str(error.value)


def test_an_adapter_that_the_run_did_not_score_is_refused(run: Path, export: Export) -> None:
    file = run / "adapter" / "adapter_model.safetensors"
    save_file({name: -tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    assert "(reported)" in refused(run, export)


def test_a_merge_that_leaves_lora_out_is_refused(
    run: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora import LoraModel

    monkeypatch.setattr(LoraModel, "merge_and_unload", LoraModel.unload)
    assert "(merged)" in refused(run, export)


def test_weights_that_are_written_too_coarsely_are_refused(
    run: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train_fn import export as module

    save = module._save

    def coarse(model: Any, *rest: Any) -> None:
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.to(torch.float8_e4m3fn))  # 3 bits behind the point in place of 7
        save(model, *rest)

    monkeypatch.setattr(module, "_save", coarse)
    assert "(rounded)" in refused(run, export)


def test_rows_that_no_score_may_use_or_that_end_in_padding_are_not_compared(
    tmp_path: Path, tokens: Path
) -> None:
    data = open_set(shutil.copytree(tokens, tmp_path / "set"))
    changed = np.array(data.validation.tokens)
    changed[data.validation.offsets[6] - 1] = data.meta.pad_token_id
    np.save(data.folder / "validation.tokens.npy", changed)
    np.savez(tmp_path / LEFT_OUT, validation=np.array([2, 3]), test=np.array([], dtype=np.int64))
    rows = Comparison(RunFolder(tmp_path, tmp_path), open_set(data.folder), TrainConfig()).rows
    assert set(range(ROWS["validation"])) - set(rows.tolist()) == {2, 3, 5}


def test_products_are_exact_while_it_compares_and_as_before_afterwards() -> None:
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, True
    try:
        with _full_precision():
            assert not products.allow_tf32
        assert products.allow_tf32
    finally:
        products.allow_tf32 = before
