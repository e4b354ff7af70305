"""The table of the fault matrix says what the tests inject."""

import re
from pathlib import Path

from faults import CASES, table

HERE = Path(__file__).parent


def test_each_case_of_the_table_has_a_test_and_each_test_a_case() -> None:
    texts = [file.read_text() for file in HERE.glob("test_*.py")]
    assert {name for text in texts for name in re.findall(r'^@fault\("(.*)"\)$', text, re.M)} == set(CASES)


def test_the_table_is_plain_markdown() -> None:
    lines = table().splitlines()
    assert len(lines) == len(CASES) + 2
    assert all(line.isascii() and line.count("|") == 4 for line in lines)
