"""The built-in data set: texts that the project writes itself from a seed, shaped like the RAID-aligned sets.

A grammar writes every text; a human and each invented generator turn the same dials of it a little
differently. No word and no habit belongs to one class alone, so a detector has to weigh many weak signs:

- words: each writer leans towards some words of every class (what TF-IDF sees);
- order: whether a link opens the sentence or stands inside it, the adverb before the verb or after the object;
- form: lists of three, the comma before `and`, dashes, even or uneven sentences, the title's nouns said again.

Both classes have the same distribution of lengths and of domains, and the two texts of a pair share a title.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from train_fn.config import LABELS
from train_fn.sample_words import (
    ADJECTIVES,
    ADVERBS,
    DOMAIN_NOUNS,
    JOINS,
    LINKS,
    PREPOSITIONS,
    PRONOUNS,
    SHARED_NOUNS,
    VERBS,
)

COLUMNS = ("domain_name", "model", "text", "label")
PAIRS = {"train": 1000, "validation": 250, "test": 300}
# Attacked copies of an AI text of another split, as the published sets hold them: (copy in, original in, count).
TWINS = (("train", "test", 24), ("validation", "train", 12), ("test", "train", 12))
# How far a generator is from the human writer (0 = the same, 1 = the full distance).
GENERATORS = {"fennec-7b": 0.6, "lynx-13b": 0.8, "heron-chat": 1.0, "osprey-chat": 1.2, "marlin-xl": 1.4}
WORD_LEAN = 0.75  # log-odds between the classes for the word that tells most; the dial for TF-IDF's figure
OWN_LEAN = 0.4  # log-weight of a writer's own taste, which tells writers apart but not the classes

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Style:
    """A writer's habits, each the probability of one choice of the grammar."""

    link_first: float
    adverb_first: float
    three: float
    list_comma: float
    dash: float
    echo: float
    even: float

    def towards(self, other: "Style", distance: float) -> "Style":
        """The style at `distance` of the way from this one to `other`, kept within 2 % and 98 %."""
        values = {}
        for field in fields(self):
            start, end = getattr(self, field.name), getattr(other, field.name)
            values[field.name] = min(0.98, max(0.02, start + distance * (end - start)))
        return Style(**values)


HUMAN_STYLE = Style(
    link_first=0.3, adverb_first=0.3, three=0.3, list_comma=0.3, dash=0.15, echo=0.25, even=0.2
)
AI_STYLE = Style(link_first=0.65, adverb_first=0.65, three=0.5, list_comma=0.7, dash=0.3, echo=0.4, even=0.6)


class Writer:
    """One author of texts: the human, or an invented generator."""

    def __init__(self, name: str, distance: float, rng: random.Random, leanings: dict[str, float]) -> None:
        self.name = name
        self.rng = rng
        self.style = HUMAN_STYLE.towards(AI_STYLE, distance)
        lean = WORD_LEAN * distance
        self.weights = {w: math.exp(lean * a + OWN_LEAN * rng.uniform(-1, 1)) for w, a in leanings.items()}
        if distance == 0:
            self.weights = dict.fromkeys(leanings, 1.0)

    def pick(self, words: Sequence[str]) -> str:
        """One word, by this writer's taste."""
        return self.rng.choices(words, [self.weights[word] for word in words])[0]

    def chance(self, habit: float) -> bool:
        """True with probability `habit`."""
        return self.rng.random() < habit

    def phrase(self, noun: str) -> str:
        """A noun phrase; two or three adjectives make the list whose form tells writers apart."""
        article = self.rng.choice(("the", "the", "a", "this", "that", "every"))
        count = self.rng.choice((0, 1, 1, 1, 2))
        if count == 2 and self.chance(self.style.three):
            count = 3
        words = [self.pick(ADJECTIVES) for _ in range(count)]
        if count == 3:
            comma = "," if self.chance(self.style.list_comma) else ""
            words = [f"{words[0]},", f"{words[1]}{comma}", "and", words[2]]
        elif count == 2:
            words = [words[0], "and", words[1]]
        text = " ".join([article, *words, noun])
        return "an" + text[1:] if text.startswith("a ") and text[2] in "aeiou" else text

    def noun(self, domain: str, topic: Sequence[str]) -> str:
        """A noun: one of the title's again, one of the domain's, or a shared one."""
        if self.chance(self.style.echo):
            return self.rng.choice(topic)
        return self.pick(DOMAIN_NOUNS[domain] if self.chance(0.4) else SHARED_NOUNS)

    def clause(self, domain: str, topic: Sequence[str], link: str = "") -> str:
        """Subject, verb, object; `link` stands after the subject where one is given."""
        pronoun = self.chance(0.25)
        subject = self.rng.choice(PRONOUNS) if pronoun else self.phrase(self.noun(domain, topic))
        verb, thing = self.pick(VERBS), self.phrase(self.noun(domain, topic))
        words = [subject, f", {link}," if link else "", verb, thing]
        if self.chance(0.45):
            words.insert(2 if self.chance(self.style.adverb_first) else 4, self.pick(ADVERBS))
        if self.chance(0.4):
            words += [self.rng.choice(PREPOSITIONS), self.phrase(self.noun(domain, topic))]
        return " ".join(word for word in words if word).replace(" ,", ",")

    def sentence(self, domain: str, topic: Sequence[str]) -> str:
        """One or two clauses, a link in front or inside in about every second sentence."""
        link = self.pick(LINKS) if self.chance(0.5) else ""
        first = bool(link) and self.chance(self.style.link_first)
        text = self.clause(domain, topic, "" if first else link)
        long = self.chance(0.5)
        if self.chance(self.style.even):
            long = len(text.split()) < 10
        if long:
            join = " -- " if self.chance(self.style.dash) else f" {self.pick(JOINS)} "
            text += join + self.clause(domain, topic)
        text = f"{link}, {text}" if first else text
        return text[0].upper() + text[1:] + "."

    def body(self, domain: str, topic: Sequence[str], words: int) -> str:
        """Whole sentences until there are at least `words` words."""
        sentences: list[str] = []
        while sum(len(sentence.split()) for sentence in sentences) < words:
            sentences.append(self.sentence(domain, topic))
        return " ".join(sentences)


def _swap_case(text: str, rng: random.Random) -> str:
    return "".join(c.swapcase() if rng.random() < 0.1 else c for c in text)


def _add_spaces(text: str, rng: random.Random) -> str:
    return "".join(c + " " if c == " " and rng.random() < 0.2 else c for c in text)


def _drop_articles(text: str, rng: random.Random) -> str:
    return " ".join(w for w in text.split(" ") if w not in ("the", "a", "an") or rng.random() < 0.5)


# RAID's attacks upper_lower, whitespace and article_deletion: they change the body and leave the title alone.
ATTACKS: tuple[Callable[[str, random.Random], str], ...] = (_swap_case, _add_spaces, _drop_articles)


def sample_rows(seed: int = 7) -> dict[str, list[Row]]:
    """The rows (domain_name, model, text, label) of each split, in a shuffled order; the same for a seed."""
    rng = random.Random(seed)
    classes = (*DOMAIN_NOUNS.values(), SHARED_NOUNS, VERBS, ADJECTIVES, ADVERBS, LINKS, JOINS)
    leanings = {word: rng.uniform(-1, 1) for words in classes for word in words}
    human = Writer("human", 0.0, rng, leanings)
    generators = [Writer(name, distance, rng, leanings) for name, distance in GENERATORS.items()]
    titles: dict[str, tuple[str, tuple[str, str]]] = {}
    while len(titles) < sum(PAIRS.values()):
        domain = rng.choice(tuple(DOMAIN_NOUNS))
        nouns = rng.sample(DOMAIN_NOUNS[domain], 2)
        title = f"The {rng.choice(ADJECTIVES)} {nouns[0]} and the {nouns[1]}".title()
        titles[title] = (domain, (nouns[0], nouns[1]))
    splits: dict[str, list[Row]] = {split: [] for split in PAIRS}
    places = [split for split, count in PAIRS.items() for _ in range(count)]
    bodies: dict[str, list[tuple[str, str, str, str]]] = {split: [] for split in PAIRS}
    for split, (title, (domain, topic)) in zip(places, titles.items(), strict=True):
        for writer, label in ((human, LABELS[1]), (rng.choice(generators), LABELS[0])):
            words = round(min(56, max(19, rng.gauss(31, 8))))
            body = writer.body(domain, topic, words)
            splits[split].append((domain, writer.name, f"{title} {body}", label))
            if label == LABELS[0]:
                bodies[split].append((domain, writer.name, title, body))
    for target, origin, count in TWINS:
        for index, (domain, name, title, body) in enumerate(rng.sample(bodies[origin], count)):
            attacked = ATTACKS[index % len(ATTACKS)](body, rng)
            splits[target].append((domain, name, f"{title} {attacked}", LABELS[0]))
    for rows in splits.values():
        rng.shuffle(rows)
    return splits


def write_sample(folder: Path, seed: int = 7) -> None:
    """Write train, validation and test .parquet with the columns of the published sets into `folder`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from train_fn.storage import atomic_file

    for split, rows in sample_rows(seed).items():
        columns = {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}
        with atomic_file(folder / f"{split}.parquet") as temporary:
            pq.write_table(pa.table(columns), temporary)
