"""Secrets stay where they came from: what is written, logged or told has them replaced.

They come from the environment or a tool's own login. What others raise may quote them: a URL with a password in
it, a request with its headers.
"""

import os
import re

VARIABLES = (
    "WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)  # fmt: skip
SHORTEST = 16  # characters; a shorter value may be a word of any text
HIDDEN = "[hidden]"
SHAPES = re.compile(r"(?<=://)[^/\s\"']+(?=@)|\bhf_[A-Za-z0-9]{30,}|\bwandb_v1_\w{30,}")


def hidden(text: str) -> str:
    """The text without the values of VARIABLES, without keys, and without what stands before the @ of a URL."""
    for value in (os.environ.get(name, "") for name in VARIABLES):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    return SHAPES.sub(HIDDEN, text)
