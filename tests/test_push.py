"""A run's detector on the Hub: what is refused before training, what is uploaded, and a push that fails."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from delivering import trained_with
from hub import Hub, env
from hub_uploads import account
from huggingface_hub import constants

from train_fn.config import DatasetSpec
from train_fn.errors import InputError
from train_fn.push import Push
from train_fn.run_folder import RunFolder
from train_fn.storage import read_json
from train_fn.train import main

SPEC = DatasetSpec(name="rows", path=Path("rows"))
TOKEN = "hf_" + "x" * 34
NARROW = {"scoped": [{"entity": {"type": "user", "name": "me"}, "permissions": ["repo.content.read"]}]}
WRITES = {"scoped": [{"entity": {"type": "user", "name": "me"}, "permissions": ["repo.write"]}]}
ACCOUNTS = {
    TOKEN: account("write"),
    "reads": account("read"),
    "narrow": account("fineGrained", fineGrained=NARROW),
    "fine": account("fineGrained", fineGrained=WRITES),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that this process talks to, with TOKEN."""
    with Hub(tmp_path / "hub", accounts=ACCOUNTS) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield served


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(trained, tmp_path / trained.name), tmp_path)


def place(hub: Hub, name: str = "me/detector") -> Path:
    folder = hub.root / "models" / name
    folder.mkdir(parents=True)
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def push(run: RunFolder, *, public: bool = False, merged: bool = True) -> str:
    (line,) = Push("detector", public).lines(run, SPEC, merged=merged)
    return line


@pytest.mark.parametrize(
    ("name", "token", "told"),
    [
        ("a/b/c", TOKEN, "must be NAME or OWNER/NAME"),
        ("bad name", TOKEN, "must be NAME or OWNER/NAME"),
        ("detector", "", "needs a token that may write: set HF_TOKEN"),
        ("detector", "unknown", "takes, but it answers with status 401"),
        ("detector", "reads", "it may only read"),
        ("detector", "narrow", "without the permission repo.write for me"),
        ("club/detector", TOKEN, "it is of me, who may not write for club"),
        ("strangers/detector", TOKEN, "it is of me, who may not write for strangers"),
    ],
)
def test_a_push_that_would_fail_is_refused_before_training(
    name: str,
    token: str,
    told: str,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    words = ["--dataset", "sample", "--model", "tiny", "--output", str(tmp_path / "output")]
    assert main([*words, "--push-to-hub", name]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert TOKEN not in error
    assert not (tmp_path / "output").exists()


def test_a_hub_that_cannot_be_reached_is_told_before_training(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"cannot be reached .* when the run has ended"):
        Push("detector", public=False).check()


def test_public_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "sample", "--public"]) == 2
    assert "--public is for --push-to-hub NAME" in capsys.readouterr().err


@pytest.mark.parametrize("token", [TOKEN, "fine"])
def test_a_name_without_an_owner_is_the_accounts_own(
    token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert Push("detector", public=False).check() == "me/detector"


def test_an_organisation_that_lets_the_account_write_is_taken(hub: Hub) -> None:
    assert Push("team/detector", public=True).check() == "team/detector"


@pytest.mark.parametrize(
    ("private", "told"), [(True, "is there and private"), (False, "is there and public")]
)
def test_the_visibility_of_a_repository_that_is_there_must_be_the_wanted_one(
    private: bool, told: str, hub: Hub
) -> None:
    place(hub)
    hub.private |= {"me/detector"} if private else set()
    with pytest.raises(InputError, match=told):
        Push("detector", public=private).check()
    assert Push("detector", public=not private).check() == "me/detector"


def test_all_that_a_user_needs_is_uploaded_and_nothing_of_this_machine(hub: Hub, run: RunFolder) -> None:
    assert push(run) == f"hub      {hub.url}/me/detector (private)"
    there = hub.root / "models" / "me" / "detector"
    adapter, merged = (files(run.folder / name) for name in ("adapter", "merged"))
    assert files(there) == {
        *merged,
        *(f"adapter/{name}" for name in adapter),
        "README.md",
        "thresholds.json",
        "evaluation.json",
    }
    assert hub.private == {"me/detector"}
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        mine = run.folder / ("merged" if "/" not in name else "") / name
        assert (there / name).read_bytes() == mine.read_bytes()
    for path in there.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert (
                str(Path(read_json(run.folder / "lineage.json")["dataset"]["source"]).parent)
                not in path.read_text()
            )
            assert TOKEN not in path.read_text()
    page = (there / "README.md").read_text()
    assert 'model="me/detector"' in page
    assert yaml.safe_load(page.split("---\n")[1])["license"] == "mit"
    assert "the model card of me/detector" in (there / "adapter" / "README.md").read_text()


def test_the_snippets_of_the_card_on_the_hub_run_with_another_cache(
    hub: Hub, run: RunFolder, tmp_path: Path
) -> None:
    push(run, public=True)
    page = (hub.root / "models" / "me" / "detector" / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env(hub, tmp_path / "home") | {"HF_HUB_OFFLINE": "0"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )
    assert done.returncode == 0, done.stderr
    assert "AI_Generated" in done.stdout


def test_without_a_merged_model_the_adapter_is_the_repository(hub: Hub, run: RunFolder) -> None:
    push(run)
    push(run, merged=False)
    there = hub.root / "models" / "me" / "detector"
    assert files(there) - files(run.folder / "adapter") <= {
        "thresholds.json",
        "evaluation.json",
        "chat_template.jinja",
    }
    page = (there / "README.md").read_text()
    assert 'folder = "me/detector"' in page
    assert "pipeline(" not in page
    assert yaml.safe_load(page.split("---\n")[1])["library_name"] == "peft"


def test_a_push_that_fails_is_a_warning_and_the_same_command_pushes(
    hub: Hub,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = [*trained_with(trained.parents[1]), "--push-to-hub", "detector"]
    monkeypatch.setattr(sys, "argv", ["train_fn/train.py", *words])
    hub.full = True
    assert main(words) == 0
    out = capsys.readouterr().out
    (warning,) = [line for line in out.splitlines() if line.startswith("warning  not pushed")]
    assert "the run is whole, push it with: python train_fn/train.py --dataset" in warning
    assert TOKEN not in out
    assert files(hub.root / "models" / "me" / "detector") == set()
    hub.full = False
    assert main(words) == 0
    assert f"hub      {hub.url}/me/detector (private)" in capsys.readouterr().out


def test_a_push_of_what_is_there_makes_no_new_commit(hub: Hub, run: RunFolder) -> None:
    push(run)
    hub.requests.clear()
    assert push(run).startswith("hub ")
    assert not any("/commit/" in line or line.startswith("PUT") for line in hub.requests)
