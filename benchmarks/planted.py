"""Sets of rows shaped like RAID's, of any size, whose related rows are known: to measure and to test with.

A title has a human text and one or two generators' texts, each with attacked and exact copies. Words are
invented, but for stop words and articles, and as uneven as in a language. Rows of the domain `code` open alike
and have no title.
"""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from train_fn.attacks import ATTACKS
from train_fn.config import LABELS
from train_fn.hub import SPLITS

# Domain -> characters of a text in the mean, and invented words that it draws from.
DOMAINS = {
    "abstracts": (1150, 12000), "books": (2000, 20000), "code": (900, 3000), "news": (1900, 20000),
    "poetry": (800, 16000), "recipes": (1200, 3000), "reddit": (900, 12000), "reviews": (1050, 12000),
    "wiki": (1500, 20000),
}  # fmt: skip
SPREAD = 0.45  # of the logarithm of a text's length
GENERATORS = ("falcon-1", "ibis-7b", "kestrel", "merlin-chat", "osprey-2")
CODE_OPENING = (
    "import java.util.Scanner;\npublic class Main {\n  public static void main(String[] args) {\n    "
    "Scanner in = new Scanner(System.in);\n    "
)
FUNCTION_WORDS = (
    "the of and to a in is that it was for on with as be at by this had not are but from or have an they which "
    "one were all she there would their we him been has when who will no more if out so up said what its about "
    "than into them can only other time new some could these two may first then do any like my now over such our"
).split()
FUNCTION_SHARE, NUMBER_SHARE, SENTENCE_SHARE = 0.45, 0.01, 0.07  # of the words of a text
COPIES = (0, 0, 1, 1, 2, 3, 5)  # attacked copies of a text
EXACT_SHARE = 0.02  # of the texts that are there twice
TITLES_AT_ONCE = 500
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("domain_name", "model", "text", "label")] + [("truth", pa.int64())]
)
SPLIT_SHARES = (0.8, 0.1, 0.1)
Row = tuple[str, str, str, str, int]


def plant(rows: int, seed: int, titles: bool = True) -> Iterator[pa.RecordBatch]:
    """`rows` rows with the columns of SCHEMA in a shuffled order, a few thousand a batch.

    `truth` numbers what belongs together: the rows of a title; the copies of one text where rows have no title.
    """
    words = Words(seed)
    rng = random.Random(seed)
    left, truth = rows, 0
    while left:
        batch, truth = _titles(words, rng, truth, titles)
        rng.shuffle(batch)
        batch = batch[:left]
        left -= len(batch)
        columns = zip(*batch, strict=True)
        yield pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA
        )


def write_planted(folder: Path, rows: int, seed: int, titles: bool = True) -> Path:
    """Write train, validation and test.parquet, each row in a split by chance, with `truth` beside the columns."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    writers = [pq.ParquetWriter(folder / f"{name}.parquet", SCHEMA) for name in SPLITS]
    for batch in plant(rows, seed, titles):
        split = rng.choice(len(SPLITS), len(batch), p=SPLIT_SHARES)
        for number, writer in enumerate(writers):
            writer.write_batch(batch.filter(pa.array(split == number)))
    for writer in writers:
        writer.close()
    return folder


class Words:
    """Draws texts: a share of stop words and numbers, the rest by Zipf's law from the words of a domain."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        plain = [
            *FUNCTION_WORDS,
            *(str(n) for n in self.rng.integers(2, 3000, 300)),
            *_invented(20000, self.rng),
        ]
        self.base = len(plain)
        self.content = len(FUNCTION_WORDS) + 300  # number of the first invented word
        forms = [plain, [w.capitalize() for w in plain], [f"{w}." for w in plain]]
        self.forms = np.array([word for form in forms for word in form], object)
        zipf = 1 / np.arange(1, 20001)
        self.order, self.sums = {}, {}
        for name, (_, count) in DOMAINS.items():
            self.order[name] = self.rng.permutation(20000)[:count] + self.content
            self.sums[name] = np.cumsum(zipf[:count] / zipf[:count].sum())
        weights = 1 / np.arange(1, len(FUNCTION_WORDS) + 1)
        self.function_sums = np.cumsum(weights / weights.sum())

    def texts(self, domain: str, count: int) -> list[str]:
        """`count` unrelated texts."""
        mean = DOMAINS[domain][0] / 6.8  # characters a word, with its space
        lengths = self.rng.lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD, count).astype(int) + 12
        ends = np.cumsum(lengths)
        total = int(ends[-1])
        kind, chance = self.rng.random(total), self.rng.random(total)
        rank = np.minimum(np.searchsorted(self.sums[domain], chance), len(self.order[domain]) - 1)
        words = self.order[domain][rank]
        function = kind < FUNCTION_SHARE
        words[function] = np.searchsorted(self.function_sums, chance[function])
        numbers = kind > 1 - NUMBER_SHARE
        words[numbers] = len(FUNCTION_WORDS) + (chance[numbers] * 300).astype(int)
        last = self.rng.random(total) < SENTENCE_SHARE
        last[ends - 1] = True
        first = np.roll(last, 1)
        drawn = self.forms[words + self.base * np.where(last, 2, first)].tolist()
        return [" ".join(drawn[start:end]) for start, end in pairwise([0, *ends.tolist()])]

    def title(self) -> str:
        """Four to six invented words; a few titles are as good as never alike."""
        chosen = self.rng.integers(self.content, self.base, int(self.rng.integers(4, 7)))
        return " ".join(self.forms[chosen + self.base])


def _titles(words: Words, rng: random.Random, truth: int, titles: bool) -> tuple[list[Row], int]:
    """The rows of the next titles, and the next free truth."""
    rows: list[Row] = []
    for domain in DOMAINS:
        count = TITLES_AT_ONCE // len(DOMAINS)
        texts = iter(words.texts(domain, 3 * count))
        for _ in range(count):
            titled = titles and domain != "code"
            start = f"{words.title()}\n" if titled else CODE_OPENING if domain == "code" else ""
            for model in ("human", *rng.sample(GENERATORS, rng.choice((1, 1, 1, 2)))):
                label = LABELS[model == "human"]
                rows += [(domain, model, start + body, label, truth) for body in _copies(next(texts), rng)]
                truth += not titled
            truth += titled
    return rows, truth


def _copies(body: str, rng: random.Random) -> Iterator[str]:
    """A text, its attacked copies, and now and then itself again."""
    yield body
    for attack in rng.sample(tuple(ATTACKS), rng.choice(COPIES)):
        yield ATTACKS[attack](body, rng)
    if rng.random() < EXACT_SHARE:
        yield body


def _invented(count: int, rng: np.random.Generator) -> list[str]:
    """`count` different words that can be spoken, the short ones mostly first, as in a language."""
    heads = "b br c ch d f fl g gr h j k l m n p pl qu r s sh st t tr v w z".split()
    tails = "a e i o u ai ea ou an er in on ar el is um".split()
    syllables = [head + tail for head in heads for tail in tails]
    drawn = rng.integers(0, len(syllables), (2 * count, 3)).tolist()
    words = dict.fromkeys(
        "".join(syllables[part] for part in parts[: 2 if row < count // 2 else 3])
        for row, parts in enumerate(drawn)
    )
    return list(words)[:count]
