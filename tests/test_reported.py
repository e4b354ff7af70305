"""A report that cannot be written, at the end of a command whose work is done."""

from pathlib import Path

import pytest
from promotions import study_in

from search.report_page import reported
from train_fn.storage import Paths


def test_a_report_that_fails_is_one_line_with_the_command_that_tries_again(tmp_path: Path) -> None:
    study = study_in(tmp_path / "output").study
    (study.folder / "report.html").mkdir()  # where the file should come to lie
    (line,) = reported(study, Paths.of(tmp_path / "output"))
    assert line.startswith("report   could not be written (")
    assert f"python search/report.py --study made --output {tmp_path / 'output'}" in line


def test_a_report_that_is_written_ends_with_its_place(tmp_path: Path) -> None:
    study = study_in(tmp_path / "output").study
    assert reported(study, Paths.of(tmp_path / "output"))[-1] == f"report   {study.folder / 'report.html'}"


@pytest.mark.parametrize("broken", ["trials.jsonl", "config.yaml"])
def test_a_record_that_cannot_be_read_is_one_line_too(tmp_path: Path, broken: str) -> None:
    study = study_in(tmp_path / "output").study
    (study.folder / broken).write_text("{}\n")
    assert len(reported(study, Paths.of(tmp_path / "output"))) == 1
