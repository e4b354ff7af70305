"""Who may import whom, and what every file and command line must be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("search", "train_fn")
MODULES = {f"{room}.{path.stem}": path for room in ROOMS for path in sorted((ROOT / room).glob("*.py"))}
HEAVY = {"torch", "transformers", "peft", "bitsandbytes"}
COMMANDS = {
    "search/promote.py": {
        "--dataset",
        "--best",
        "--study",
        "--trial",
        "--top",
        "--learning-rate",
        "--address",
        "--workers",
        "--max-rows",
        "--model",
        "--output",
        "--storage",
        "--dry-run",
        "--price-per-hour",
        "--replace",
        "--keep-checkpoints",
        "--decontaminate",
        "--no-merged",
        "--license",
        "--push-to-hub",
        "--public",
        "--set",
        "--quiet",
        "--json",
    },
    "train_fn/train.py": {
        "--dataset",
        "--max-rows",
        "--model",
        "--seed",
        "--output",
        "--replace",
        "--keep-checkpoints",
        "--no-merged",
        "--license",
        "--push-to-hub",
        "--public",
        "--set",
        "--quiet",
        "--json",
    },
    "train_fn/audit.py": {"--dataset", "--model", "--output", "--strict", "--set", "--quiet", "--json"},
    "train_fn/predict.py": {
        "--run",
        "text",
        "--file",
        "--column",
        "--domain-column",
        "--domain",
        "--fpr",
        "--output",
        "--json",
        "--replace",
        "--quiet",
    },
    "search/clean.py": {"names", "--yes", "--output"},
    "search/report.py": {"--study", "--output", "--quiet", "--json"},
    "search/tune.py": {
        "--dataset",
        "--trials",
        "--confirm-seeds",
        "--time-budget",
        "--dry-run",
        "--price-per-hour",
        "--from",
        "--study",
        "--max-rows",
        "--gpus-per-trial",
        "--address",
        "--model",
        "--seed",
        "--output",
        "--storage",
        "--set",
        "--quiet",
        "--json",
    },
}
ORDER = (  # a module of search may import what stands before it
    "config space record verdict confirm winner leftover bucket store study guard choice prior fidelity "
    "fidelity_file draw history cluster shelter machine interrupt lost scheduler pointless mirror sampler "
    "wording foreseen view flight trial tuner runner rungs target rung_runs stoppable promotion "
    "observations transfer horizon rate provenance selection report_style report_facts report_importance "
    "report_plots report_space_plots report_tables report_extras report_html report_commands "
    "report_sections report_page tracked survival run_times forecast budget probing placement foresee "
    "report tune order promote removable clean"
).split()


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 20


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("search.")])
def test_search_does_not_import_what_trains(name: str) -> None:
    assert not {module.split(".")[0] for module in imports(MODULES[name])} & HEAVY


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("train_fn.")])
def test_train_fn_knows_no_search(name: str) -> None:
    found = set(imports(MODULES[name]))
    assert not {module for module in found if module.split(".")[0] in ("search", "optuna")}
    assert not {module for module in found if module.startswith("ray.tune")}


@pytest.mark.parametrize("name", ["train_fn.loop", "train_fn.model", "train_fn.loss", "train_fn.batching"])
def test_the_loop_and_below_know_no_ray_and_no_wandb(name: str) -> None:
    assert not {module.split(".")[0] for module in imports(MODULES[name])} & {"ray", "wandb", "typer"}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("search.")])
def test_imports_within_search_go_one_way(name: str) -> None:
    own = name.removeprefix("search.")
    if own == "__init__":
        return
    assert own in ORDER, f"say where {own} stands in ORDER"
    below = {f"search.{module}" for module in ORDER[: ORDER.index(own)]}
    assert {module for module in imports(MODULES[name]) if module.startswith("search.")} <= below


@pytest.mark.parametrize("name", MODULES)
def test_no_module_hides_a_standard_or_installed_one(name: str) -> None:
    """The script's folder stands first on sys.path, in Ray's workers too."""
    stem = name.split(".")[1]
    assert stem == "__init__" or stem not in set(sys.stdlib_module_names) | set(packages_distributions())


@pytest.mark.parametrize("script", COMMANDS)
def test_help_loads_nothing_heavy(script: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['x', '--help']\n"
        f"try: runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'ray', 'transformers', 'datasets', 'optuna', 'wandb', 'sklearn', 'pandas'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    assert [option for option in COMMANDS[script] if option not in done.stdout] == []


@pytest.mark.parametrize("script", COMMANDS)
def test_the_command_line_is_frozen(script: str) -> None:
    """A new flag needs a reason: what differs from run to run has one, the rest is --set."""
    from importlib import import_module

    command = typer.main.get_command(import_module(script.removesuffix(".py").replace("/", ".")).app)
    assert {option for parameter in command.params for option in parameter.opts} == COMMANDS[script]


def tracked() -> list[Path]:
    """The files of the repository, and those that would be added to it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def test_every_file_is_ascii() -> None:
    files = [path for path in tracked() if path.suffix not in {".png", ".parquet", ".safetensors"}]
    assert len(files) > 20
    assert [path for path in files if not path.read_bytes().isascii()] == []


def lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_are_short(name: str) -> None:
    """Blank lines and a function's docstring do not count."""
    text = MODULES[name].read_text(encoding="utf-8")
    assert lines(text) <= 200
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    lengths = {
        node.name: lines(ast.get_source_segment(text, node) or "") - lines(ast.get_docstring(node) or "")
        for node in functions
    }
    assert {name: length for name, length in lengths.items() if length > 40} == {}
