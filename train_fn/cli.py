"""What the command lines share: how they speak, one message for a bad input, exit codes."""

import errno
import logging
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated
from warnings import simplefilter

import typer

from train_fn.voice import Voice, say, speaking

Quiet = Annotated[bool, typer.Option("--quiet", help="say only warnings, errors, and where the results lie")]
Json = Annotated[
    bool, typer.Option("--json", help="the result as a JSON object; all else goes to standard error")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="discard a run there that is finished or has other settings")
]
KeepCheckpoints = Annotated[
    int | None, typer.Option(help="when the run is complete, so many of its newest stay [0]")
]
Storage = Annotated[
    str | None,
    typer.Option(help="keep a copy there, for another machine to go on: s3://, gs:// or a folder"),
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
    """Run a command in the voice of `train_fn.voice.speaking`; what goes wrong becomes one message and an exit
    code: 2 for what the user can mend in the command, 1 where the machine gave way or the fault is ours, 130 after
    Ctrl-C or SIGTERM. A command that ends early and well (typer.Exit) goes on behind the block."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    simplefilter("ignore", FutureWarning)  # PYTHONWARNINGS reaches our workers alone
    logging.raiseExceptions = False  # a log that cannot be written to is no news beside what else cannot
    with speaking(quiet, apart) as voice, _explained():
        yield voice


@contextmanager
def _explained() -> Iterator[None]:
    from train_fn.errors import Fault, InputError
    from train_fn.signals import as_interrupt
    from train_fn.surroundings import check_environment

    try:
        check_environment()
        with as_interrupt():
            yield
    except typer.Exit as end:
        if end.exit_code:
            raise
    except InputError as error:
        raise _ended(str(error), 2) from error
    except Fault as error:
        raise _ended(str(error), 1) from error
    except KeyboardInterrupt:
        typer.echo("stopped; nothing finished is lost, the same command goes on", err=True)
        say(f"next     {same_command()}")
        raise typer.Exit(130) from None  # so that `promote && deploy` does not deploy what is not there
    except (typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        raise _ended(*_unforeseen(error)) from error


def _ended(message: str, code: int) -> typer.Exit:
    """Say what ended the command, in ASCII without control characters: it may quote what a file holds."""
    from train_fn.secret import hidden

    lines = hidden(message).split("\n")
    typer.echo("error: " + "\n".join(line if _plain(line) else ascii(line)[1:-1] for line in lines), err=True)
    return typer.Exit(code)


def _plain(line: str) -> bool:
    return line.isascii() and line.isprintable()


def _unforeseen(error: Exception) -> tuple[str, int]:
    """The message and the exit code."""
    from train_fn.errors import disk_full, no_space

    if disk_full(error):
        return no_space(getattr(error, "filename", None) or "the output"), 1
    return (_of_the_machine(error), 2) if isinstance(error, OSError) else (_of_ours(error), 1)


def _of_the_machine(error: OSError) -> str:
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{error.filename} must be readable and writable for you, but it is not; try --output"
    if "AF_UNIX path length" in str(error):  # of Ray's sockets, below the folder for temporary files
        return f"the path of temporary files must be short, but: {error}; set RAY_TMPDIR=/tmp"
    where = error.filename or "a file or a connection"
    return f"{where} must be usable, but: {error.strerror or error}; mend that, or try another --output"


def _of_ours(error: Exception) -> str:
    """Where the traceback lies: who reports it needs it, who reads the message does not."""
    from train_fn.secret import hidden

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="detector-search-", suffix=".txt", encoding="utf-8", delete=False
        ) as file:
            file.write(hidden("".join(traceback.format_exception(error))))
        place = file.name
    except OSError:
        place = "your command"
    told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return (
        f"a fault of this program, not of yours: {told}; nothing finished is lost, the same command goes on. "
        f"Please report it with {place}"
    )


def same_command() -> str:
    """The command line at hand, for a shell."""
    return shlex.join(["python", *sys.argv])


def run_app(app: typer.Typer, argv: Sequence[str] | None) -> int:
    """Run a command line and return its exit code: 2 for a bad input."""
    try:
        app(args=None if argv is None else list(argv))
    except SystemExit as end:
        return int(end.code or 0)
    return 0
