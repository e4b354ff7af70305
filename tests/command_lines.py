"""A command line as its own app reads it, without running it."""

from importlib import import_module
from typing import Any

import typer


def parse(script: str, words: list[str]) -> dict[str, Any]:
    """The values that `search/<script>.py` is given by these words. Raises as the app does."""
    command = typer.main.get_command(import_module(f"search.{script}").app)
    return dict(command.make_context(script, list(words)).params)
