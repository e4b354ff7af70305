"""The built-in data set: texts that the project writes itself from a seed, shaped like the RAID-aligned sets.

Each title has a human and an AI text, in one split; both classes have the same distribution of lengths and of
domains. As in the larger published sets, many AI texts of the test split are attacked copies of texts of the train
split, so that an audit for leakage has something to find, and its price is to be seen.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path

from train_fn.attacks import ATTACKS
from train_fn.config import LABELS
from train_fn.sample_words import ADJECTIVES, DOMAIN_NOUNS
from train_fn.sample_writer import LEANING_WORDS, Writer
from train_fn.storage import atomic_file

COLUMNS = ("domain_name", "model", "text", "label")
PAIRS = {"train": 1000, "validation": 250, "test": 300}
# How far a generator is from the human writer (0 = the same, 1 = the full distance).
GENERATORS = {"fennec-7b": 0.6, "lynx-13b": 0.8, "heron-chat": 1.0, "osprey-chat": 1.2, "marlin-xl": 1.4}
# Attacked copies of AI texts: (split of the copy, split of the original, how many). Those of the test split take
# the place of texts of its own; their titles keep their human text.
TWINS = (("train", "test", 24), ("validation", "train", 12), ("test", "train", 180))
# The attacks that leave a text in ASCII and change one without digits.
TWIN_ATTACKS = (
    "upper_lower", "whitespace", "article_deletion", "insert_paragraphs", "perplexity_misspelling", "synonym"
)  # fmt: skip

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Text:
    """One text before title and body become one string."""

    domain: str
    model: str
    title: str
    body: str
    label: str

    @property
    def row(self) -> Row:
        """The values of COLUMNS."""
        return self.domain, self.model, f"{self.title} {self.body}", self.label


def sample_rows(seed: int = 7) -> dict[str, list[Row]]:
    """The rows of each split in a shuffled order; the same for the same seed, in any process."""
    rng = random.Random(seed)
    leanings = {word: rng.uniform(-1, 1) for word in LEANING_WORDS}
    human = Writer("human", 0.0, rng, leanings)
    generators = [Writer(name, distance, rng, leanings) for name, distance in GENERATORS.items()]
    topics = iter(_topics(sum(PAIRS.values()), rng).items())
    splits: dict[str, list[Text]] = {}
    for split, count in PAIRS.items():
        splits[split] = [text for _ in range(count) for text in _pair(*next(topics), human, generators, rng)]
    _plant_twins(splits, rng)
    rows = {split: [text.row for text in texts] for split, texts in splits.items()}
    for shuffled in rows.values():
        rng.shuffle(shuffled)
    return rows


def _plant_twins(splits: dict[str, list[Text]], rng: random.Random) -> None:
    """Add attacked copies of AI texts as TWINS has them; to the test split instead of other AI texts."""
    own = {split: [text for text in texts if text.label == LABELS[0]] for split, texts in splits.items()}
    for replaced in own["test"][: TWINS[-1][2]]:
        splits["test"].remove(replaced)
    own["test"] = own["test"][TWINS[-1][2] :]
    for target, origin, count in TWINS:
        for index, text in enumerate(rng.sample(own[origin], count)):
            attack = ATTACKS[TWIN_ATTACKS[index % len(TWIN_ATTACKS)]]
            splits[target].append(replace(text, body=attack(text.body, rng)))


def write_sample(folder: Path, seed: int = 7) -> None:
    """Write train, validation and test .parquet with the columns of the published sets into `folder`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split, rows in sample_rows(seed).items():
        columns = {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}
        with atomic_file(folder / f"{split}.parquet") as temporary:
            pq.write_table(pa.table(columns), temporary)


def _topics(count: int, rng: random.Random) -> dict[str, tuple[str, tuple[str, str]]]:
    """`count` different titles, each with its domain and the two nouns it names."""
    topics: dict[str, tuple[str, tuple[str, str]]] = {}
    while len(topics) < count:
        domain = rng.choice(tuple(DOMAIN_NOUNS))
        first, second = rng.sample(DOMAIN_NOUNS[domain], 2)
        topics[f"The {rng.choice(ADJECTIVES)} {first} and the {second}".title()] = (domain, (first, second))
    return topics


def _pair(
    title: str,
    about: tuple[str, tuple[str, str]],
    human: Writer,
    generators: list[Writer],
    rng: random.Random,
) -> list[Text]:
    """The human text and one generator's text for a title, some 20 to 70 words each without it."""
    domain, nouns = about
    texts = []
    for writer, label in ((human, LABELS[1]), (rng.choice(generators), LABELS[0])):
        words = round(min(56, max(19, rng.gauss(31, 8))))
        texts.append(Text(domain, writer.name, title, writer.body(domain, nouns, words), label))
    return texts
