"""What the command lines share: how they speak, one message for a bad input, exit codes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated
from warnings import simplefilter

import typer

from train_fn.voice import Voice, speaking

Quiet = Annotated[bool, typer.Option("--quiet", help="say only warnings, errors, and where the results lie")]
Json = Annotated[
    bool, typer.Option("--json", help="the result as a JSON object; all else goes to standard error")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="discard a run there that is finished or has other settings")
]
Price = Annotated[float | None, typer.Option(help="of a GPU, or of a machine without one: say the cost")]

QUIET = {
    "TQDM_ASCII": " #",  # the bars of datasets and huggingface_hub, without block characters
    "TRANSFORMERS_VERBOSITY": "critical",  # a new classification head is what we ask for, not news
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",  # reading a folder takes a moment; the Hub shows its own
    "DATASETS_VERBOSITY": "critical",  # our own message says what is wrong with a file
    "TOKENIZERS_PARALLELISM": "true",
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",  # of our libraries among themselves
    "THP_MEM_ALLOC_ENABLE": "1",  # torch asks for 2 MB pages: fewer faults in large tensors on a CPU
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin make a busy machine many times slower
}


def new_app() -> typer.Typer:
    """A command line without colours, boxes and tracebacks."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@contextmanager
def explained(quiet: bool = False, apart: bool = False) -> Iterator[Voice]:
    """Run a command in the voice of `train_fn.voice.speaking`; what the user can mend becomes one message and exit
    code 2. A command that ends early and well (typer.Exit) goes on behind the block."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    simplefilter("ignore", FutureWarning)  # PYTHONWARNINGS reaches our workers alone
    with speaking(quiet, apart) as voice, _explained():
        yield voice


@contextmanager
def _explained() -> Iterator[None]:
    from train_fn.errors import InputError
    from train_fn.storage import FULL

    try:
        yield
    except typer.Exit as end:
        if end.exit_code:
            raise
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo("stopped; nothing finished is lost, the same command goes on", err=True)
        raise typer.Exit(130) from None  # so that `promote && deploy` does not deploy what is not there
    except PermissionError as error:
        typer.echo(
            f"error: {error.filename} must be readable and writable for you, but it is not; try --output",
            err=True,
        )
        raise typer.Exit(2) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        typer.echo(
            f"error: no space left to write {error.filename or 'the record'}; free some and go on "
            "with the same command: nothing finished is lost",
            err=True,
        )
        raise typer.Exit(2) from error


def run_app(app: typer.Typer, argv: Sequence[str] | None) -> int:
    """Run a command line and return its exit code: 2 for a bad input."""
    try:
        app(args=None if argv is None else list(argv))
    except SystemExit as end:
        return int(end.code or 0)
    return 0
