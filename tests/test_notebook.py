"""The notebook: clean as it is kept, and it runs from top to bottom."""

import ast
import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from train_fn.storage import PROJECT, read_json

NOTEBOOK = PROJECT / "notebooks" / "search.ipynb"
MINUTES = 60  # seconds; a cell that trains may take many of them on a busy machine


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code(notebook: Any) -> Iterator[Any]:
    yield from (cell for cell in notebook.cells if cell.cell_type == "code")


def test_the_notebook_is_kept_without_what_a_run_leaves(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert NOTEBOOK.read_bytes().isascii()
    cells = list(code(notebook))
    assert len(cells) > 5
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}
    assert not any(cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}


def test_every_import_of_the_notebook_resolves(notebook: Any) -> None:
    found = []
    for node in ast.walk(ast.parse("\n".join(cell.source for cell in code(notebook)))):
        if isinstance(node, ast.Import):
            found += [importlib.import_module(name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            found += [getattr(module, name.name) for name in node.names]
    assert len(found) > 5


def test_the_notebook_only_calls_the_library(notebook: Any) -> None:
    for cell in code(notebook):
        assert len(cell.source.splitlines()) < 20
        assert "!" not in cell.source
        assert "%" not in cell.source
        kinds = [type(node) for node in ast.walk(ast.parse(cell.source))]
        assert not {ast.ClassDef, ast.While, ast.Try, ast.If} & set(kinds)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(
    notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    project = tmp_path / "project"  # a copy, so that its default folders are the test's own
    for name in ("search", "train_fn", "configs", "notebooks"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    beside = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(path) != PROJECT]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project), *beside]))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    client = NotebookClient(
        notebook, timeout=30 * MINUTES, resources={"metadata": {"path": project / "notebooks"}}
    )
    client.execute()
    outputs = {cell.id: cell.outputs for cell in code(notebook)}
    assert "forecast_seconds" in _text(outputs["forecast"])
    (study,) = (project / "output" / "studies").iterdir()
    assert read_json(study / "best.json")["sentence"] in _text(outputs["search"]).replace("\\'", "'")
    pictures = [item for item in outputs["report"] if "image/svg+xml" in item.get("data", {})]
    assert len(pictures) >= 5
    assert str(
        read_json(project / "output" / "qwen3-tiny-sample" / "metrics.json")["test"]["auroc"]
    ) in _text(outputs["promote"])
    (answer,) = (model for name, model in client.widget_state.items() if "outputs" in model)
    assert "TextScore(label=" in str(answer["outputs"])


def _text(outputs: list[Any]) -> str:
    """The value of a cell."""
    return str(next(item["data"]["text/plain"] for item in outputs if item.output_type == "execute_result"))
