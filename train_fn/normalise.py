"""A text with the surface attacks of RAID undone, so that an attacked copy meets its original by one hash.

Undone: look-alike letters, flipped case, extra spaces and paragraphs, zero-width characters, dropped articles,
other digits. What an attack may change or drop is dropped from every text: digits, articles, punctuation, white
space.
"""

import hashlib
import re
import unicodedata

MIN_LETTERS = 20  # below, the letters say too little: all tables and formulas would be one text
ARTICLES = frozenset(("a", "an", "the"))
ASCII_WORD = re.compile(r"[a-z]+")
WORD = re.compile(r"[^\W\d_]+")

# Latin letter -> Cyrillic and Greek letters that look like it, by code point.
LOOK_ALIKES = {
    "a": "0430 0410 03b1 0391", "b": "0412 0392", "c": "0441 0421", "e": "0435 0415 03b5 0395",
    "h": "041d 0397", "i": "0456 0406 03b9 0399", "k": "041a 039a", "m": "041c 039c", "n": "039d",
    "o": "043e 041e 03bf 039f", "p": "0440 0420 03a1", "t": "0422 03a4", "x": "0445 0425 03c7 03a7",
    "y": "0443 0423 03a5", "z": "0396", "j": "0458 0408", "s": "0455 0405",
}  # fmt: skip
# Characters that show nothing: soft hyphen, zero-width ones, marks of direction, tags, variation selectors.
UNSEEN = "ad 34f 61c 180e 200b-200f 202a-202e 2060-206f fe00-fe0f feff fff9-fffb e0000-e007f"


def _table() -> dict[int, str]:
    table: dict[int, str] = {}
    for latin, codes in LOOK_ALIKES.items():
        for code in codes.split():
            # In both cases, or a flipped first letter would be another letter.
            table |= {ord(case): latin for case in (chr(int(code, 16)), chr(int(code, 16)).lower())}
    for span in UNSEEN.split():
        first, _, last = span.partition("-")
        table |= dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), "")
    return table


TABLE = _table()


def text_hash(text: str) -> int:
    """The first 8 bytes of BLAKE2b of the text's UTF-8 bytes, as uint64."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _shown(text: str) -> str:
    """`text` without look-alikes and unseen characters."""
    # A text has few distinct odd characters, and `replace` is ten times as fast as `translate` then.
    for odd in sorted(character for character in set(text) if ord(character) in TABLE):
        text = text.replace(odd, TABLE[ord(odd)])
    return text


def normal_words(text: str) -> list[str]:
    """The words of a text in order, in small letters, what RAID's surface attacks change undone or dropped."""
    if text.isascii():
        words = ASCII_WORD.findall(text.lower())
    else:
        words = WORD.findall(_shown(unicodedata.normalize("NFKC", _shown(text))).casefold())
    return [word for word in words if word not in ARTICLES]


def normal_hash(text: str, words: list[str]) -> int:
    """uint64, equal for texts of equal `normal_words`; of the text itself if they hold few letters."""
    joined = "".join(words)
    return text_hash(joined if len(joined) >= MIN_LETTERS else text)
