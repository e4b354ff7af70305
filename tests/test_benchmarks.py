"""The benchmarks that a machine without a GPU can prove."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from train_fn.storage import PROJECT, read_json

ABSENT = ("ray", "wandb", "datasets", "optuna", "sqlalchemy", "typer", "matplotlib")
WITHOUT = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({ABSENT!r}))  # each import of them now fails
sys.path.insert(0, "benchmarks")
sys.argv[0] = "benchmarks/gpu.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def gpu_result(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What benchmarks/gpu.py writes at small shapes on the CPU, on a machine that lacks all but what trains."""
    folder = tmp_path_factory.mktemp("results")
    words = ["--device", "cpu", "--small", "--results", str(folder)]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (file,) = folder.glob("gpu-cpu-small-*.json")
    assert run.stdout.splitlines()[-1] == str(file)
    return read_json(file)


def test_the_gpu_benchmark_agrees_with_the_reference_in_every_case(gpu_result: dict) -> None:
    checks = gpu_result["checks"]
    assert {(c["compute_dtype"], c["expand_base"], c["expanded"], c["attention"]) for c in checks} == {
        ("float32", "always", True, "sdpa"),
        ("float32", "never", False, "sdpa"),
        ("bfloat16", "always", True, "sdpa"),
        ("bfloat16", "never", False, "sdpa"),
        ("bfloat16", "always", True, "varlen"),
    }
    assert all(c["quantized_layers"] == 7 * gpu_result["shape"]["num_hidden_layers"] for c in checks)
    errors = {c["compute_dtype"]: max(c["loss_error"], c["gradient_error"]) for c in checks}
    assert errors["float32"] < 1e-5
    assert 1e-5 < errors["bfloat16"] < 5e-2  # it was bf16 that ran


def test_the_gpu_benchmark_times_every_setting(gpu_result: dict) -> None:
    speed = gpu_result["speed"]
    settings = [("always", "sdpa"), ("never", "sdpa"), ("always", "varlen")]
    assert [(row["expand_base"], row["attention"], row["micro_batch_tokens"]) for row in speed] == [
        (*setting, tokens) for setting in settings for tokens in (256, 512)
    ]
    assert all(row["slowest"] <= row["tokens_per_second"] <= row["fastest"] for row in speed)
    assert all(0.3 < row["real_share"] <= 1 for row in speed)
    assert all((row["real_share"] == 1) == (row["attention"] == "varlen") for row in speed)


def test_the_slowest_and_the_fastest_step_are_profiled(gpu_result: dict) -> None:
    slow, fast = gpu_result["profiles"]
    assert slow["tokens_per_second"] < fast["tokens_per_second"]
    for found in (slow, fast):
        shares = [row["share"] for row in found["costs"]]
        assert shares == sorted(shares, reverse=True)
        assert 0.5 < sum(shares) <= 1


def test_a_result_names_no_folder_of_this_machine(gpu_result: dict) -> None:
    assert gpu_result["command"].startswith("python benchmarks/gpu.py --device cpu --small --results ")
    assert str(Path.home()) not in str(gpu_result)
    assert str(PROJECT) not in str(gpu_result)
    assert "/tmp" not in str(gpu_result)


def test_the_check_sees_a_wrong_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    import qwen3
    import step_check
    import torch

    qwen3.write_model(tmp_path, qwen3.SMALL.shape)
    cpu = torch.device("cpu")
    assert step_check.check(str(tmp_path), qwen3.SMALL, cpu, "float32", "never", "sdpa")["right"]

    def doubled(*about: object) -> torch.Tensor:
        found = step_gradient(*about)
        for parameter in about[0].parameters():
            if parameter.grad is not None and about[3].expand_base == "never":
                parameter.grad *= 2
        return found

    step_gradient = step_check.step_gradient
    monkeypatch.setattr(step_check, "step_gradient", doubled)
    assert not step_check.check(str(tmp_path), qwen3.SMALL, cpu, "float32", "never", "sdpa")["right"]
