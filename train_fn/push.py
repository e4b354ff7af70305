"""--push-to-hub: a finished run's detector as a repository of the Hugging Face Hub, in one commit.

/          the merged model and its tokenizer, so that `pipeline("text-classification", NAME)` works; README.md,
           thresholds.json, evaluation.json
/adapter/  LoRA and head; without a merged model they lie at the root

The token is huggingface_hub's own: HF_TOKEN, or what `hf auth login` has kept. A new repository is private unless
--public is given, and the visibility of one that is there must be the wanted one: it is not changed.
"""

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from train_fn.errors import InputError
from train_fn.secret import hidden

if TYPE_CHECKING:
    from train_fn.config import DatasetSpec
    from train_fn.run_folder import RunFolder

# What an earlier push may have left that would be read beside a model of the other form.
REPLACED = ("config.json", "model*.safetensors*", "agreement.json", "adapter/*", "adapter_*")
RESULTS = ("thresholds.json", "evaluation.json")
TIMEOUT = 30.0  # seconds for a request before training

T = TypeVar("T")


@dataclass(frozen=True)
class Push:
    """The repository, as NAME of the token's own account or OWNER/NAME, and whether all may read it."""

    name: str
    public: bool

    def check(self) -> str:
        """OWNER/NAME. Raises InputError unless the token may write there, and the Hub can be reached."""
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(self.name)
        except HFValidationError as error:
            found = str(error).splitlines()[0]
            raise InputError(
                f"--push-to-hub must be NAME or OWNER/NAME, such as detector-2m, but: {found}"
            ) from error
        if get_token() is None:
            raise InputError(
                "--push-to-hub needs a token that may write: set HF_TOKEN, or log in with `hf auth login`"
            )
        user = self._ask(lambda: HfApi().whoami())
        repository = self.name if "/" in self.name else f"{user['name']}/{self.name}"
        if refusal := _refusal(user, repository):
            raise InputError(f"--push-to-hub {repository} needs a token that may write there, but {refusal}")
        self._check_visibility(repository)
        return repository

    def lines(self, run: "RunFolder", spec: "DatasetSpec", *, merged: bool) -> list[str]:
        """Push a finished run; returns what to show. A failure is a warning, for the run itself is whole."""
        try:
            url = self._upload(run, spec, merged=merged)
        except Exception as error:  # of the Hub, the network or the disk: each has many
            found = hidden(" ".join(str(error).split()))[:300]
            again = shlex.join(["python", *(word for word in sys.argv if word != "--replace")])
            return [f"warning  not pushed to {self.name}: {found}; the run is whole, push it with: {again}"]
        return [f"hub      {url} ({'public' if self.public else 'private'})"]

    def _upload(self, run: "RunFolder", spec: "DatasetSpec", *, merged: bool) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi

        repository, api = self.check(), HfApi()
        with TemporaryDirectory() as place:
            files = _files(run, spec, repository, Path(place), merged=merged)
            url = api.create_repo(repository, private=not self.public, exist_ok=True)
            left = [
                name
                for name in api.list_repo_files(repository)
                if name not in files and any(fnmatch(name, pattern) for pattern in REPLACED)
            ]
            operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
                *(CommitOperationAdd(name, str(file)) for name, file in files.items()),
                *(CommitOperationDelete(name) for name in left),
            ]
            api.create_commit(repository, operations, commit_message=f"{run.name}")
        return str(url)

    def _check_visibility(self, repository: str) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            private = self._ask(lambda: HfApi().model_info(repository, timeout=TIMEOUT)).private
        except RepositoryNotFoundError:
            return
        if private and self.public:
            raise InputError(
                f"--public makes a new repository public, but {repository} is there and private; change it on its "
                "page, leave --public out, or give another name"
            )
        if not (private or self.public):
            raise InputError(
                f"{repository} is there and public, so all could read what is pushed; give --public if that is "
                "wanted, else another name"
            )

    def _ask(self, request: Callable[[], T]) -> T:
        """The Hub's answer. Raises InputError where there is none, and RepositoryNotFoundError."""
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

        try:
            return request()
        except RepositoryNotFoundError:
            raise
        except HfHubHTTPError as error:
            raise InputError(
                f"--push-to-hub {self.name} needs a token that the Hub takes, but it answers with status "
                f"{error.response.status_code}; see HF_TOKEN, or log in with `hf auth login`"
            ) from error
        except Exception as error:  # the transport's own errors differ by version
            raise InputError(
                f"--push-to-hub {self.name} needs the Hub, but it cannot be reached ({type(error).__name__}); "
                "leave it out, and give it with the same command when the run has ended"
            ) from error


def _refusal(user: Mapping[str, Any], repository: str) -> str:
    """Why the token may not write there, as far as the Hub tells; empty where it does not."""
    owner = repository.partition("/")[0]
    roles = {each["name"]: each.get("roleInOrg") for each in user.get("orgs", ())}
    if owner != user["name"] and roles.get(owner, "read") == "read":
        return f"it is of {user['name']}, who may not write for {owner}"
    token = user.get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        return "it may only read; make one of role write on the Hub's page of tokens"
    scopes = token.get("fineGrained", {}).get("scoped", ())
    given = [each["permissions"] for each in scopes if each["entity"].get("name") in (owner, repository)]
    if token.get("role") == "fineGrained" and not any("repo.write" in each for each in given):
        return f"it is fine-grained, without the permission repo.write for {owner}"
    return ""


def _files(
    run: "RunFolder", spec: "DatasetSpec", repository: str, place: Path, *, merged: bool
) -> dict[str, Path]:
    """The files of the repository by their names there; those that differ from the run's are made in `place`."""
    from train_fn.card import ADAPTER_FOLDER, write_hub_card
    from train_fn.export import MERGED

    below = f"{ADAPTER_FOLDER}/" if merged else ""
    found = {f"{below}{file.name}": file for file in (run.folder / ADAPTER_FOLDER).iterdir()}
    found |= {file.name: file for file in (run.folder / MERGED).iterdir()} if merged else {}
    found |= {name: run.folder / name for name in RESULTS if (run.folder / name).exists()}
    write_hub_card(run, spec, repository, place, merged=merged)
    _write_public(found[f"{below}adapter_config.json"], place / below / "adapter_config.json")
    made = {file.relative_to(place).as_posix(): file for file in place.rglob("*") if file.is_file()}
    return dict(sorted({**found, **made}.items()))


def _write_public(config: Path, copy: Path) -> None:
    """A copy of PEFT's configuration that names a base in a folder of this machine by its name alone."""
    values = json.loads(config.read_text(encoding="utf-8"))
    base = Path(values["base_model_name_or_path"])
    values["base_model_name_or_path"] = base.name if base.is_absolute() else str(base)
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
