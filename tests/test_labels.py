"""Labels in a set's own spelling: mapped where its dataset.yaml says so, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest
from folders import folder, refused, rows

from train_fn.config import DatasetSpec, find_dataset
from train_fn.data import LoadedData, load_splits
from train_fn.errors import InputError
from train_fn.source import find_source
from train_fn.storage import Paths


def say(path: Path, text: str) -> DatasetSpec:
    (path / "dataset.yaml").write_text(text, encoding="utf-8")
    return find_dataset(str(path))


def loaded(spec: DatasetSpec) -> LoadedData:
    return load_splits(spec, paths=Paths(Path(str(spec.path)).parent / "output"))


def spelled(tmp_path: Path, ext: str, values: list[Any]) -> Path:
    return folder(
        tmp_path, ext, **{split: rows(label=values * 4) for split in ("train", "validation", "test")}
    )


@pytest.mark.parametrize("ext", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["ai", "human"], "labels: {ai: AI_Generated, human: Human_Written}"),
        ([1, 0], "labels: {1: AI_Generated, 0: Human_Written}"),
        ([1, 0], 'labels: {"1": AI_Generated, "0": Human_Written}'),
        ([True, False], 'labels: {"true": AI_Generated, "false": Human_Written}'),
    ],
)
def test_other_spellings_are_mapped_by_their_text(
    tmp_path: Path, ext: str, values: list[Any], text: str
) -> None:
    spec = say(spelled(tmp_path, ext, values), text)
    assert [loaded(spec).splits[name]["label"][:2] for name in ("train", "validation", "test")] == [
        [0, 1]
    ] * 3


def test_one_split_may_be_mapped_while_another_has_our_own_labels(tmp_path: Path) -> None:
    spec = say(folder(tmp_path, test=rows(label=["m", "Human_Written"] * 4)), "labels: {m: AI_Generated}")
    data = loaded(spec)
    assert data.splits["test"]["label"][:] == [0, 1] * 4
    assert data.splits["train"]["label"][:] == [0, 1] * 4


def test_a_label_that_the_mapping_leaves_out_is_refused_with_its_row(tmp_path: Path) -> None:
    path = folder(tmp_path, test=rows(label=["ai", "human", "AI", "human"] * 2))
    spec = say(path, "labels: {ai: AI_Generated, human: Human_Written}")
    with pytest.raises(InputError, match=r"split test .* row 2 .*'AI'; 2 of 8"):
        loaded(spec)


@pytest.mark.parametrize("ext", ["parquet", "csv"])
def test_nothing_is_mapped_unasked_and_the_message_names_the_remedy(tmp_path: Path, ext: str) -> None:
    message = refused(spelled(tmp_path, ext, ["ai", "human"]))
    assert "'ai'" in message
    assert "labels: {ai: AI_Generated, human: Human_Written}" in message
    assert "dataset.yaml" in message


def test_the_mapping_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path, paths = spelled(tmp_path, "parquet", ["a", "b"]), Paths(tmp_path / "output")
    found = [
        find_source(say(path, text), paths=paths).fingerprint
        for text in (
            "",
            "labels: {a: AI_Generated, b: Human_Written}",
            "labels: {b: Human_Written, a: AI_Generated}",
            "labels: {a: Human_Written, b: AI_Generated}",
        )
    ]
    assert found[1] == found[2]
    assert len(set(found)) == 3


def test_the_folder_says_how_it_is_trained(tmp_path: Path) -> None:
    spec = say(folder(tmp_path), "train: {max_length: 64}\nsearch: {trials: 3}\n")
    assert (spec.train, spec.search) == ({"max_length": 64}, {"trials": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label: {a: AI_Generated}", "holds label; did you mean labels"),
        ("path: /elsewhere", "may hold labels, train, search, but holds path"),
        ("labels: {a: human}", "labels.a: .*'AI_Generated' or 'Human_Written'"),
        ("labels: [a, b]", "labels: "),
        ("- a", "must hold `key: value` lines"),
    ],
)
def test_a_wrong_dataset_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        say(folder(tmp_path), text)
