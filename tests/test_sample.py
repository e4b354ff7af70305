"""The built-in sample and the tiny model: reproducible, balanced, neither trivial nor hopeless."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from train_fn.baseline import tfidf_baseline
from train_fn.config import LABELS, find_dataset, resolve_train
from train_fn.normalise import normal_words
from train_fn.sample import COLUMNS, GENERATORS, PAIRS, TWINS, Row, sample_rows, write_sample
from train_fn.tiny import write_tiny_model

SPLITS = ("train", "validation", "test")
TITLE = re.compile(r"The \w+ \w+ And The \w+ ")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return sample_rows()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_model(folder)
    return folder


def columns(rows: list[Row]) -> tuple[list[str], list[int]]:
    return [row[2] for row in rows], [LABELS.index(row[3]) for row in rows]


def title_of(row: Row) -> str:
    match = TITLE.match(row[2])
    assert match, row[2]
    return match[0]


def words_of(row: Row) -> set[str]:
    """The words of a body, blind to case, spacing and articles, as some of the planted attacks are not."""
    return set(normal_words(row[2].removeprefix(title_of(row))))


def test_same_seed_gives_same_rows_in_other_processes_whatever_the_hash_seed(
    rows: dict[str, list[Row]],
) -> None:
    code = "import hashlib, train_fn.sample as s; "
    code += "print(hashlib.sha256(repr(s.sample_rows()).encode()).hexdigest())"
    expected = hashlib.sha256(repr(rows).encode()).hexdigest()
    for hash_seed in ("0", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == expected


def test_another_seed_gives_other_texts(rows: dict[str, list[Row]]) -> None:
    assert not set(columns(rows["test"])[0]) & set(columns(sample_rows(8)["test"])[0])


def test_files_hold_the_rows_with_the_published_columns(tmp_path: Path, rows: dict[str, list[Row]]) -> None:
    write_sample(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{split}.parquet" for split in SPLITS)
    for split in SPLITS:
        table = pq.read_table(tmp_path / f"{split}.parquet")
        assert tuple(table.column_names) == COLUMNS
        assert [tuple(row.values()) for row in table.to_pylist()] == rows[split]


def test_each_split_has_every_domain_and_generator_and_balanced_classes(rows: dict[str, list[Row]]) -> None:
    for split, count in PAIRS.items():
        labels = Counter(row[3] for row in rows[split])
        assert labels["Human_Written"] == count
        assert 0.48 < labels["AI_Generated"] / len(rows[split]) < 0.53
        assert len({row[0] for row in rows[split]}) == 7
        assert {row[1] for row in rows[split]} == {"human", *GENERATORS}
        assert all((row[1] == "human") == (row[3] == "Human_Written") for row in rows[split])


def test_every_title_has_one_human_text_and_unless_a_copy_took_its_place_one_ai_text_in_its_split(
    rows: dict[str, list[Row]],
) -> None:
    labels: dict[tuple[str, str], list[str]] = defaultdict(list)
    for split in SPLITS:
        for row in rows[split]:
            labels[split, title_of(row)].append(row[3])
    human = [title for (_, title), found in labels.items() if "Human_Written" in found]
    assert len(human) == len(set(human)) == sum(PAIRS.values())
    pairs = Counter(
        (split, *sorted(found)) for (split, _), found in labels.items() if "Human_Written" in found
    )
    replaced = TWINS[-1][2]
    assert pairs == {
        ("train", "AI_Generated", "Human_Written"): PAIRS["train"],
        ("validation", "AI_Generated", "Human_Written"): PAIRS["validation"],
        ("test", "AI_Generated", "Human_Written"): PAIRS["test"] - replaced,
        ("test", "Human_Written"): replaced,
    }


def test_attacked_twins_keep_the_title_and_words_of_a_text_in_another_split(
    rows: dict[str, list[Row]],
) -> None:
    titles = {split: {title_of(row) for row in rows[split] if row[1] == "human"} for split in SPLITS}
    for target, origin, count in TWINS:
        originals = {
            title_of(row): row
            for row in rows[origin]
            if row[1] != "human" and title_of(row) in titles[origin]
        }
        twins = [row for row in rows[target] if title_of(row) in titles[origin]]
        assert len(twins) == count
        changed, kept = 0, []
        for twin in twins:
            original = originals[title_of(twin)]
            assert (twin[0], twin[1], twin[3]) == (original[0], original[1], original[3])
            changed += twin[2] != original[2]
            kept.append(len(words_of(twin) & words_of(original)) / len(words_of(original)))
        assert changed >= 0.9 * count
        assert min(kept) > 0.3
        assert sum(share == 1 for share in kept) >= 0.6 * count  # the attacks on the surface


def test_most_ai_texts_of_the_test_split_are_copies_of_train_texts(rows: dict[str, list[Row]]) -> None:
    train = {title_of(row) for row in rows["train"] if row[1] == "human"}
    ai = [row for row in rows["test"] if row[3] == "AI_Generated"]
    assert sum(title_of(row) in train for row in ai) == 0.6 * len(ai) == 180


def test_texts_are_ascii_of_like_lengths_in_both_classes(rows: dict[str, list[Row]]) -> None:
    lengths: dict[str, list[int]] = defaultdict(list)
    for split in SPLITS:
        for row in rows[split]:
            assert row[2].isascii()
            lengths[row[3]].append(len(row[2].split()))
    means = {label: sum(values) / len(values) for label, values in lengths.items()}
    assert abs(means["AI_Generated"] - means["Human_Written"]) < 1.5
    assert all(20 <= value <= 95 for values in lengths.values() for value in values)


def test_no_text_names_its_author(rows: dict[str, list[Row]]) -> None:
    names = ("human", *GENERATORS, *LABELS)
    assert not [
        row for split in SPLITS for row in rows[split] if any(name in row[2].lower() for name in names)
    ]


def test_tfidf_is_neither_helpless_nor_enough(rows: dict[str, list[Row]]) -> None:
    score = tfidf_baseline(*columns(rows["train"]), *columns(rows["test"]))
    assert 0.75 <= score <= 0.90


def test_baseline_on_shuffled_labels_guesses(rows: dict[str, list[Row]]) -> None:
    texts, labels = columns(rows["train"])
    score = tfidf_baseline(texts, labels[1:] + labels[:1], *columns(rows["test"]))
    assert 0.4 < score < 0.6


def test_baseline_draws_at_most_max_rows_and_the_same_ones(rows: dict[str, list[Row]]) -> None:
    arguments = (*columns(rows["train"]), *columns(rows["test"]))
    few = tfidf_baseline(*arguments, max_rows=300)
    assert few == tfidf_baseline(*arguments, max_rows=300)
    assert few != tfidf_baseline(*arguments)


@pytest.mark.slow
def test_tiny_model_has_the_same_bytes_when_written_again(tiny: Path, tmp_path: Path) -> None:
    code = "import sys, pathlib, train_fn.tiny as t; t.write_tiny_model(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], env=environment, check=True)
    names = sorted(path.name for path in tiny.iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(names)
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (tiny / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_tiny_model_leaves_the_random_state_alone(tmp_path: Path) -> None:
    import torch

    before = torch.random.get_rng_state()
    write_tiny_model(tmp_path / "tiny", texts=["The texts of another data set."])
    assert torch.equal(before, torch.random.get_rng_state())


def test_tiny_tokenizer_gives_the_text_back_within_the_sample_length(
    tiny: Path, rows: dict[str, list[Row]]
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    assert tokenizer.is_fast
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    texts = [row[2] for split in SPLITS for row in rows[split]]
    encoded = tokenizer(texts)["input_ids"]
    assert tokenizer.batch_decode(encoded, clean_up_tokenization_spaces=False) == texts
    config = resolve_train(find_dataset("sample"), {})
    assert max(len(ids) for ids in encoded) <= config.max_length


def test_tiny_model_loads_in_double_quantised_nf4_as_the_real_one_does(tiny: Path) -> None:
    import bitsandbytes as bnb
    import torch
    from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    )
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny, num_labels=2, quantization_config=quantisation, device_map={"": "cpu"}
    )
    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert len(layers) == 7 * model.config.num_hidden_layers
    assert all(layer.weight.quant_state.nested for layer in layers)
    assert all(layer.in_features % 64 == 0 and layer.out_features % 64 == 0 for layer in layers)
    assert torch.isfinite(model(input_ids=torch.tensor([[5, 6, 7]])).logits).all()
