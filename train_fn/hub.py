"""The Hugging Face Hub in one short request: which commit a name stands for; and a model's files from there.

Without it the clients retry for a minute when the Hub cannot be reached, though the cache holds all.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from train_fn.errors import InputError, disk_full
from train_fn.storage import is_folder, located

SPLITS = ("train", "validation", "test")
TIMEOUT = 10.0  # seconds for the request
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


class UnreachableError(Exception):
    """The Hub gave no answer: no network, offline by choice, or a failing server."""


def ask_commit(kind: Literal["dataset", "model"], name: str, revision: str | None) -> str:
    """The commit of that revision (None: the newest). Raises UnreachableError, or InputError when refused."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        ask = HfApi().dataset_info if kind == "dataset" else HfApi().model_info
        return str(ask(name, revision=revision, timeout=TIMEOUT).sha)
    except GatedRepoError as error:
        raise InputError(
            f"{kind} {name} must be open to your account, but it is gated: ask for access on its page, then "
            "log in with `hf auth login` or set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"revision must be a commit, branch or tag of {kind} {name}, but the Hub knows no {revision!r} "
            "there; leave it empty for the newest"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{kind} {name} must exist on the Hub and be open to you, but the Hub does not show it: check "
            "the name; if it is private, log in with `hf auth login` or set HF_TOKEN; with HF_HUB_OFFLINE=1 "
            "a copy in the cache is used"
        ) from error
    except Exception as error:  # the transport's own errors differ by version: requests, httpx, httpx2
        raise UnreachableError(type(error).__name__) from error


def model_folder(name: str, revision: str | None) -> Path:
    """The folder of a model: `name` if it is one, else its files in the Hub's cache, fetched if needed.

    The folder of a Hub model is named by its commit. Raises InputError when it cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    local = located(name)
    if is_folder(local):
        return local
    try:
        ask_commit("model", name, revision)
        online = True
    except UnreachableError:
        online = False
    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(MODEL_FILES), local_files_only=not online
            )
        )
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"model {name} must come from the Hub or from its cache, but the Hub cannot be reached and the "
            "cache does not hold it. Connect once so that the cache keeps it, or give a folder as the model"
        ) from error
    except Exception as error:
        raise explain_failure(error, f"model {name}", "Run the same command again.") from error


def require_splits(there: Iterable[str], where: str) -> None:
    """Raise InputError unless train, validation and test are among the splits that are there."""
    names = list(there)
    missing = [name for name in SPLITS if name not in names]
    if missing:
        raise InputError(
            f"{where} must have the splits train, validation and test, but {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; there: {', '.join(names) or 'none'}"
        )


def explain_failure(error: BaseException, where: str, remedy: str) -> InputError:
    """An InputError for files that could not be had: no space, broken, or the connection lost."""
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(below)
    if any(disk_full(link) for link in chain):
        return InputError(
            f"there must be room to unpack {where}, but the disk is full; free some, or set HF_HOME and "
            "--output to folders on a larger disk"
        )
    found = " ".join(str(chain[-1]).split())[:300]
    return InputError(f"{where} must be readable, but {type(chain[-1]).__name__}: {found}. {remedy}")
