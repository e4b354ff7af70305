"""What the command line of a promotion refuses, and what it takes."""

from pathlib import Path

import pytest
from promoting import chosen_from, study, trials

from search.promote import main
from search.promotion import resolve_promotion
from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.storage import Paths

SPEC = DatasetSpec(name="target", path=Path("nowhere"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "say which trial"),
        ("--study s --trial 1 --top 3", "--top 3 chooses the trial, so --trial 1 must not"),
        ("--best --top 3 --set lora_rank=8", "--top 3 chooses lora_rank among the trials"),
        ("--best --learning-rate transfer --set learning_rate=1e-4", "--learning-rate transfer chooses"),
        ("--best --top 0", "Invalid value for '--top'"),
        ("--best --learning-rate guess", "Invalid value for '--learning-rate'"),
        ("--best --set rungs=[0.05,0.01]", "fractions that ascend"),
        ("--best --set rungs=[1]", "less than 1"),
        ("--best --set max_extra_cost=0", "greater than 0"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_written(
    words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths.of(tmp_path / "output")
    study(paths, "s", trials())
    before = sorted(tmp_path.rglob("*"))
    command = ["--dataset", "2M", "--output", str(paths.output), *words.split()]
    assert main(command) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_the_rungs_and_their_bound_come_from_yaml_and_are_overridden(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path / "output")
    study(paths, "s", trials())
    choice = chosen_from(paths, "s")
    _, usual = resolve_promotion(choice, SPEC, {}, {})
    assert (usual.rungs, usual.max_extra_cost) == ((0.01, 0.05), 0.2)
    _, other = resolve_promotion(choice, SPEC, {"rungs": [0.1], "max_extra_cost": 1}, {})
    assert (other.rungs, other.max_extra_cost) == ((0.1,), 1.0)
    with pytest.raises(InputError, match="did you mean rungs"):
        resolve_promotion(choice, SPEC, {"rung": [0.1]}, {})
