"""Load a Hub set in a process of its own, whose environment says where the Hub and the cache are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

NAME = "codefactory4791/raid_aligned_100k"
LOAD = """
import json, sys
from pathlib import Path
from train_fn.config import DatasetSpec
from train_fn.data import load_splits
from train_fn.errors import InputError
from train_fn.storage import Paths
spec = DatasetSpec(name="100k", hub_id=sys.argv[1], revision=sys.argv[3] if len(sys.argv) > 3 else None)
try:
    data = load_splits(spec, paths=Paths(Path(sys.argv[2]) / "output"))
except InputError as error:
    sys.exit(f"InputError: {error}")
rows = {name: len(split) for name, split in data.splits.items()}
print(json.dumps({"revision": data.revision, "rows": rows, "first": data.splits["train"][0]}))
"""


def rows(pairs: int, word: str = "text", **extra: list[Any]) -> pa.Table:
    """`pairs` aligned pairs with the columns of the published sets."""
    return pa.table(
        {
            "domain_name": ["wiki", "news"] * pairs,
            "model": ["human", "gpt4"] * pairs,
            "text": [f"{word} {index}" for index in range(2 * pairs)],
            "label": ["Human_Written", "AI_Generated"] * pairs,
            "length_bucket": ["short"] * (2 * pairs),
            "text_length": [6] * (2 * pairs),
            **extra,
        }
    )


def load(
    environment: dict[str, str], place: Path, *, name: str = NAME, revision: str = "", code: str = LOAD
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code, name, str(place), *([revision] if revision else [])]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def loaded(*args: Any, **options: Any) -> dict[str, Any]:
    done = load(*args, **options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def refused(*args: Any, **options: Any) -> str:
    done = load(*args, **options)
    assert done.returncode == 1, done.stdout
    assert "InputError: " in done.stderr, done.stderr
    return done.stderr.partition("InputError: ")[2]
