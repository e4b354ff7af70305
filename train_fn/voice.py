"""How a command speaks: lines with a tag, tables and panels of one look, and its result for another program.

A line is a tag of at most eight characters, a space, and a text. On a terminal the text is folded beside its tag;
elsewhere a line is one line, whatever its length, for logs. `speaking` sets the voice, once a command.
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Result = dict[str, Any] | None  # what --json prints; None where a command has no object to show

TAG = 9  # characters of a tag and its space
STYLES = {"warning": "bold yellow", "stopped": "bold yellow", "failed": "bold red", "errors": "bold red"}
COPIED = ("next", "W&B")  # hold commands, which must be copied whole: the terminal breaks them, not we


@dataclass
class Voice:
    """`quiet` says warnings and what `done` shows, nothing else. `results` is the standard output: `speaking` may
    have kept it for what programs read."""

    quiet: bool = False
    results: TextIO = field(default_factory=lambda: sys.stdout)
    result: Result = None

    @cached_property
    def console(self) -> "Console":
        """Where all lines and panels go."""
        from rich.console import Console

        return Console(highlight=False, markup=False, emoji=False)

    @property
    def terminal(self) -> bool:
        """Whether a person watches, on a terminal that can draw."""
        return sys.stdout.isatty() and not self.console.is_dumb_terminal

    @property
    def live(self) -> bool:
        """Whether to show panels that change."""
        return self.terminal and not self.quiet

    def say(self, text: str) -> None:
        """Print the lines of `text`, those that matter when quiet."""
        for line in text.splitlines():
            if not self.quiet or line.startswith(tuple(STYLES)):
                self._print(line)

    def done(self, result: Result, *lines: str) -> None:
        """Keep the command's result, and print the lines on it in any case."""
        self.result = result
        for line in lines:
            self._print(line)

    def _print(self, line: str) -> None:
        if self.terminal:
            self.console.print(folded(line, self.console.width), soft_wrap=True)
        else:
            print(line, flush=True)


_voice = Voice()


def current() -> Voice:
    """The command's voice; outside of a command one that says everything."""
    return _voice


def say(text: str) -> None:
    """Print a line, or several, of the command."""
    _voice.say(text)


def done(result: Result, *lines: str) -> None:
    """End the command with its result, and with lines that say where it lies."""
    _voice.done(result, *lines)


@contextmanager
def speaking(quiet: bool, apart: bool) -> Iterator[Voice]:
    """Set the voice. `apart` keeps standard output for results: all else goes to standard error, other libraries'
    lines too, and at the end the result is printed as one JSON object."""
    global _voice
    before, _voice = _voice, Voice(quiet)
    try:
        with redirect_stdout(sys.stderr) if apart else nullcontext():
            yield _voice
    finally:
        if apart and _voice.result is not None:
            print(json.dumps(_voice.result), file=_voice.results, flush=True)
        _voice = before


def folded(line: str, width: int) -> "Text":
    """A line on a terminal of that width, without its last newline."""
    from rich.text import Text

    tag = line[:TAG] if line[TAG - 1 : TAG] == " " else ""
    name, text = tag.strip(), line[len(tag) :]
    if name not in COPIED:
        parts = textwrap.wrap(text, max(width - TAG, TAG), break_long_words=False, break_on_hyphens=False)
        text = f"\n{' ' * TAG}".join(parts)
    return Text.assemble((tag, STYLES.get(name, "bold")), text)


def new_table(*columns: str, left: int = 1) -> "Table":
    """A table in plain ASCII, its head ruled off; all but the first `left` columns are set right."""
    from rich.box import Box
    from rich.table import Table

    ruled = Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)
    table = Table(box=ruled, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        side: Any = "left" if number < left else "right"
        table.add_column(column, justify=side, no_wrap=True, overflow="crop")
    return table
