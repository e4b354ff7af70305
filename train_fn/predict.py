"""Tell whether texts are AI-written:  python train_fn/predict.py --run output/qwen3-0.6b-2m TEXT

Give a TEXT, `-` (standard input is one text), or --file: a .txt file is one text; .csv, .jsonl and .parquet hold
a text a row and may be larger than memory. Results go to standard output, or to --output.

A result has the likelier label, P(AI_Generated) as calibrated on validation, and a verdict: AI_Generated from
that threshold on which at most --fpr percent of the human validation texts reach. It is the threshold of the
text's domain where the run has one, else the global one.

A text longer than the run's max_length is scored by windows of that length, each half a length after the one
before, and its score is their mean, weighted by tokens; `windows` says how many. The thresholds were chosen on
texts cut to one window.

A language or a kind of text that the training did not see cannot be told from a score. `note` says where over
half of a text's letters are not Latin, and where the run has no threshold of its domain.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train_fn import voice
from train_fn.cli import Quiet, explained, new_app, run_app

if TYPE_CHECKING:
    from train_fn.score_files import Line, Write
    from train_fn.text_rows import TextRow

app = new_app()


@dataclass(frozen=True)
class Wanted:
    """The command line."""

    run: Path
    text: str | None
    file: Path | None
    column: str
    domain_column: str | None
    domain: str | None
    fpr: int
    output: Path | None
    json: bool
    replace: bool

    @property
    def many(self) -> bool:
        """Whether rows of a file are scored, and not one text."""
        return self.file is not None and self.file.suffix.lower() != ".txt"


@app.command(help=__doc__)
def predict(
    run: Annotated[Path, typer.Option(help="the folder of a full run")],
    text: Annotated[str | None, typer.Argument(help="a text, or - for standard input")] = None,
    file: Annotated[Path | None, typer.Option(help="texts: .txt, .csv, .jsonl or .parquet")] = None,
    column: Annotated[str, typer.Option(help="the column of the texts")] = "text",
    domain_column: Annotated[
        str | None, typer.Option(help="the column of their domains [domain_name or domain, where there]")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="the domain of texts that name none")] = None,
    fpr: Annotated[int, typer.Option(help="5 or 1: percent of human texts that may be called AI")] = 5,
    output: Annotated[Path | None, typer.Option(help="results as .jsonl, .csv or .parquet")] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="rows as one JSON object each; of --output a summary")
    ] = False,
    replace_: Annotated[bool, typer.Option("--replace", help="write over an --output that is there")] = False,
    quiet: Quiet = False,
) -> voice.Result:
    with explained(quiet, apart=True) as spoken:
        wanted = Wanted(run, text, file, column, domain_column, domain, fpr, output, json_, replace_)
        try:
            _predict(wanted)
        except KeyboardInterrupt:
            typer.echo("stopped; no --output was written", err=True)
            raise typer.Exit(130) from None
    return spoken.result


def _predict(wanted: Wanted) -> None:
    from train_fn.score_files import check_output

    if wanted.output:
        check_output(wanted.output, wanted.replace, wanted.file)
    rows = _rows(wanted)

    from train_fn.score_bar import ScoreBar
    from train_fn.scoring import TextScorer
    from train_fn.worker import default_device, prepare_device

    prepare_device(default_device(), 1.0)
    scorer = TextScorer.open(wanted.run, wanted.fpr)
    if scorer.rule.thresholds is None:
        voice.say(
            f"warning  {wanted.run} has no thresholds.json: no verdicts, and probabilities at temperature 1"
        )
    done = failed = 0
    shown = wanted.many and bool(wanted.output or not voice.current().results.isatty())
    with _written(wanted) as write, ScoreBar(shown) as bar:
        for part in scorer.stream(rows):
            write([{"row": done + n, **asdict(result)} for n, (_, result) in enumerate(part)])
            done, failed = done + len(part), failed + sum(bool(result.error) for _, result in part)
            bar.at(done, part[-1][0].share)
    if wanted.many:
        voice.say(f"scored   {done:,} texts in {bar.seconds:,.1f} s, {done / bar.seconds:,.1f} a second")
    if failed:
        voice.say(f"errors   {failed:,} of {done:,} rows have an error in place of a result")
    if wanted.output:
        summary = {"output": str(wanted.output), "rows": done, "errors": failed, "seconds": bar.seconds}
        voice.done(summary if wanted.json else None, f"files    {wanted.output}")


def _rows(wanted: Wanted) -> "Iterator[TextRow]":
    """The texts. Raises InputError."""
    from train_fn.errors import InputError
    from train_fn.text_rows import Columns, one_text, read_rows, whole_text

    if (wanted.text is None) == (wanted.file is None):
        raise InputError("one of TEXT, - and --file FILE must be given, and not two")
    if wanted.file:
        rows = read_rows(wanted.file, Columns(wanted.column, wanted.domain_column))
    else:
        piped = wanted.text == "-"
        rows = iter(
            [whole_text(sys.stdin.buffer, "standard input") if piped else one_text(wanted.text or "")]
        )
    return (row if row.domain else replace(row, domain=wanted.domain) for row in rows)


@contextmanager
def _written(wanted: Wanted) -> "Iterator[Write]":
    """What takes the results: the output file, or standard output."""
    from train_fn.score_files import plain, score_file

    if wanted.output:
        with score_file(wanted.output) as write:
            yield write
        return

    def show(line: "Line") -> str:
        return json.dumps(line) if wanted.json else plain(line, wanted.fpr, wanted.many)

    yield lambda lines: print("\n".join(map(show, lines)), file=voice.current().results, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a bad input."""
    return run_app(app, argv)


if __name__ == "__main__":
    raise SystemExit(main())
