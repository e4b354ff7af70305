"""The hand that writes the built-in sample: a grammar of English sentences with a writer's habits as dials.

A human and each invented generator turn the same dials a little differently. No word and no habit belongs to
one class alone, so a detector has to weigh many weak signs:

- words: each writer leans towards some words of every class (what TF-IDF sees);
- order: whether a link opens the sentence or stands inside it, the adverb before the verb or after the object;
- form: lists of three, the comma before `and`, dashes, even or uneven sentences, the title's nouns said again.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

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

WORD_LEAN = 0.75  # log-weight of the word that tells most, at distance 1; the dial for TF-IDF's figure
OWN_LEAN = 0.4  # log-weight of a generator's own taste, which tells generators apart but not the classes
LEANING_WORDS = tuple(
    word
    for words in (*DOMAIN_NOUNS.values(), SHARED_NOUNS, VERBS, ADJECTIVES, ADVERBS, LINKS, JOINS)
    for word in words
)


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
        taste = (
            OWN_LEAN if distance else 0.0
        )  # the human writes half the texts: a taste would tell the classes apart
        self.weights = {w: math.exp(lean * a + taste * rng.uniform(-1, 1)) for w, a in leanings.items()}

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
