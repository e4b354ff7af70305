"""What is made once for all tests of the training."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training import write_model

    return write_model(tmp_path_factory.mktemp("models") / "qwen3-small")


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    from training import write_set

    return write_set(tmp_path_factory.mktemp("sets") / "words", str(small_model))
