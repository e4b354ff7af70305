"""A record copied to a store is whole there at any moment, and another machine goes on with it, one at a time."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from search import store as module
from search.bucket import Bucket, Tree
from search.leftover import PASSED_FILE
from search.store import LAST, MARK, Store, stored
from train_fn.errors import InputError
from train_fn.storage import Paths

Machine = Callable[[str], Paths]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return lambda name: Paths(tmp_path / name / "output")


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "bucket")


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def begun(paths: Paths) -> Path:
    """A study with a trial, its log, and files of the moment that are nobody else's."""
    folder = paths.studies / "study"
    write(folder, config_yaml="a: 1", trials_jsonl="{}\n", trials__0000__adapter__weights_safetensors="w" * 9)
    write(folder, optuna_db="view", trials__0000__params_json="{}")
    (folder / ".lock").touch()
    (folder / "trials/0000" / PASSED_FILE).write_text("20.0")
    (folder / "trials/0000/checkpoints/.step-1.tmp").mkdir(parents=True)
    write(folder, trials__0000__checkpoints__step1__position_json="1")
    write(paths.logs / "study", run_log="log")
    return folder


def held(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def carry(place: str, paths: Paths, folder: Path) -> str:
    """What a command does, in short; returns its last line."""
    told: list[str] = []
    with stored(place, paths, told.append) as store:
        store.fetch(folder)
        store.keep(folder)
    return told[0]


def test_another_machine_gets_all_that_belongs_to_the_record_and_its_logs(
    machine: Machine, place: str
) -> None:
    one, other = machine("one"), machine("other")
    assert carry(place, one, begun(one)) == f"storage  all of it is in {place}"
    Store(place, other).fetch(other.studies / "study")
    there = held(other.studies / "study")
    there.pop(MARK)
    assert there == {
        "config.yaml": "a: 1",
        "trials.jsonl": "{}\n",
        "trials/0000/adapter/weights.safetensors": "w" * 9,
        "trials/0000/params.json": "{}",
        f"trials/0000/{PASSED_FILE}": "20.0",
        "trials/0000/checkpoints/step1/position.json": "1",
    }
    assert held(other.logs / "study") == {"run.log": "log"}


def test_a_machine_whose_copy_was_continued_elsewhere_is_refused_and_its_folder_stays(
    machine: Machine, place: str
) -> None:
    one, other = machine("one"), machine("other")
    folder = begun(one)
    carry(place, one, folder)
    carry(place, one, folder)  # its own copy: goes on
    carry(place, other, other.studies / "study")
    before = held(folder)
    with pytest.raises(InputError, match=r"another machine went on with it; move that folder away"):
        carry(place, one, folder)
    assert held(folder) == before
    shutil.rmtree(folder)
    carry(place, one, folder)
    assert held(folder)[LAST] == "a: 1"


def test_a_machine_that_was_thought_dead_copies_nothing_over_what_another_did(
    machine: Machine, place: str
) -> None:
    one, other = machine("one"), machine("other")
    folder, told = begun(one), []
    with stored(place, one, told.append) as store:
        store.keep(folder)
        store._copy()
        taken = other.studies / "study"
        carry(place, other, taken)
        write(folder, trials_jsonl="one\n")
    assert told == [f"warning  not all is in {place}: another machine goes on with it"]
    assert held(Path(place) / "studies/study")["trials.jsonl"] == "{}\n"


def test_what_a_kill_left_between_the_two_marks_is_still_this_machines(machine: Machine, place: str) -> None:
    one = machine("one")
    folder = begun(one)
    carry(place, one, folder)
    marks = json.loads((folder / MARK).read_text())
    (folder / MARK).write_text(json.dumps([marks[-1], "written here, but not there yet"]))
    carry(place, one, folder)


def test_a_copy_follows_what_changes_and_goes(machine: Machine, place: str) -> None:
    one = machine("one")
    folder = begun(one)
    carry(place, one, folder)
    shutil.rmtree(folder / "trials/0000/checkpoints")
    write(folder, trials_jsonl="{}\n{}\n")
    carry(place, one, folder)
    there = held(Path(place) / "studies/study")
    assert there["trials.jsonl"] == "{}\n{}\n"
    assert not any("checkpoints" in name for name in there)


def test_a_record_never_tells_of_weights_that_are_not_there(machine: Machine, place: str) -> None:
    """A trial that ends while its study is copied: row and weights come with the next copy, or both with this."""
    folder = begun(machine("one"))
    tree = Tree(folder, "studies/study", Bucket(place))
    upload = tree._upload

    def ends(name: str) -> None:
        write(folder, trials__0001__adapter__weights_safetensors="w", trials_jsonl="{}\n0001\n")
        upload(name)

    tree._upload = ends
    tree.copy()
    there = held(Path(place) / "studies/study")
    assert there["trials.jsonl"] == "{}\n"
    tree._upload = upload
    tree.copy()
    there = held(Path(place) / "studies/study")
    assert there["trials.jsonl"] == "{}\n0001\n"
    assert there["trials/0001/adapter/weights.safetensors"] == "w"


def test_a_copy_is_made_while_the_command_runs(
    machine: Machine, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.01)
    one, copied = machine("one"), threading.Event()
    folder = begun(one)
    monkeypatch.setattr(Tree, "copy", lambda tree: copied.set())
    with stored(place, one, print) as store:
        store.keep(folder)
        assert copied.wait(20)


def test_a_store_that_fails_meanwhile_ends_nothing_and_is_told(machine: Machine, place: str) -> None:
    one, told = machine("one"), []
    folder = begun(one)
    with stored(place, one, told.append) as store:
        store.keep(folder)
        shutil.rmtree(Path(place) / "studies/study/trials", ignore_errors=True)
        (Path(place) / "studies/study/trials").write_text("a file where a folder must be")
    (line,) = told
    assert line.startswith(f"warning  not all is in {place}: ")
    assert line.endswith("the same command copies the rest")


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("s3://key:secret@bucket/a", "--storage must hold no key"),
        ("ftp://host/a", r"--storage must be s3://, gs:// or a folder, but ftp://host/a"),
        ("{output}/copy", "--storage must lie apart from"),
        ("{output}/..", "--storage must lie apart from"),
        ("/dev/null/copy", "must be readable and writable"),
    ],
)
def test_a_place_that_cannot_be_one_is_refused_before_anything_is_done(
    machine: Machine, place: str, found: str
) -> None:
    one = machine("one")
    folder = begun(one)
    with pytest.raises(InputError, match=found):
        carry(place.format(output=one.output), one, folder)
