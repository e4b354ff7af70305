"""A stand-in for the Hugging Face Hub on this machine, for the real clients (HF_ENDPOINT names it).

Serves `root/datasets/OWNER/NAME/...` and `root/models/OWNER/NAME/...`. A commit's hash is that of the files,
so changing a file makes a new commit. Models are taken too (hub_uploads.py), from the `accounts`.
"""

import hashlib
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_uploads import Uploads


class Hub:
    """`with Hub(root) as hub:` serves until the block ends; `requests` lists what was asked.

    `accounts` are the answers to whoami by token, `private` the models that only these see, `blobs` what was
    uploaded by its hash. While `full`, it takes no commit.
    """

    def __init__(
        self, root: Path, gated: tuple[str, ...] = (), accounts: dict[str, Any] | None = None
    ) -> None:
        self.root = root
        self.gated = gated
        self.accounts = accounts or {}
        self.private: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.full = False
        self.requests: list[str] = []
        self.goes_after: int | None = None  # so many files: in the middle of the next one it is gone
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Hub":
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def env(hub: Hub | str, home: Path) -> dict[str, str]:
    """The environment of a process whose Hub is `hub` (or a URL) and whose cache is `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING_FACE"))}
    url = hub if isinstance(hub, str) else hub.url
    return {
        **kept,
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def commit(folder: Path) -> str:
    """The commit's hash of a served folder."""
    total = hashlib.sha1()
    for path in _files(folder):
        total.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return total.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = str(path.relative_to(folder))
    if path.is_dir():
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
    oid = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"type": "file", "oid": oid[:40], "size": path.stat().st_size, "path": name}


class _Handler(Uploads, BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """The tests' output stays readable."""

    def do_GET(self) -> None:
        data = self.body()
        self.hub.requests.append(f"{self.command} {self.path}")
        words = unquote(urlsplit(self.path).path).strip("/").split("/")
        if self.take(words, data):
            return None
        body = data.decode()
        api, words = words[0] == "api", words[words[0] == "api" :]
        kind = words.pop(0) if words[0] in ("datasets", "models") else "models"
        name, rest = "/".join(words[:2]), words[2:]
        folder = self.hub.root / kind / name
        if not folder.is_dir() or (name in self.hub.private and not self.account()):
            # As the Hub does: who is not logged in learns neither that it exists nor that it does not.
            return self._refuse(401, "RepoNotFound")
        if name in self.hub.gated:
            return self._refuse(403, "GatedRepo")
        sha = commit(folder)
        action, revision, *path = rest if len(rest) > 1 else ("revision", "main")
        if revision not in ("main", sha):
            return self._refuse(404, "RevisionNotFound", sha)
        if not api:
            return self._send_file(folder.joinpath(*path), sha)
        return self._send_json(self._answer(action, folder, folder.joinpath(*path), sha, body), sha)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self, action: str, folder: Path, path: Path, sha: str, body: str) -> Any:
        if action == "tree":
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["False"])[0].lower() in (
                "true",
                "1",
            )
            return [_entry(folder, item) for item in sorted(path.rglob("*") if recursive else path.glob("*"))]
        if action == "paths-info":
            asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
            return [_entry(folder, folder / item) for item in asked if (folder / item).exists()]
        siblings = [{"rfilename": str(item.relative_to(folder))} for item in _files(folder)]
        name = "/".join(folder.parts[-2:])
        private = name in self.hub.private
        return {"id": name, "sha": sha, "siblings": siblings, "tags": [], "private": private}

    def _send_file(self, path: Path, sha: str) -> None:
        if not path.is_file():
            return self._refuse(404, "EntryNotFound", sha)
        data, whole = path.read_bytes(), True
        if self.command == "GET" and self.hub.goes_after is not None:
            whole, self.hub.goes_after = self.hub.goes_after > 0, self.hub.goes_after - 1
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": sha}
        return self._send(200, data, headers, whole)

    def _send_json(self, value: Any, sha: str = "") -> None:
        self._send(
            200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": sha}
        )

    def _refuse(self, status: int, code: str, sha: str | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self._send(status, b"{}", headers | ({"X-Repo-Commit": sha} if sha else {}))

    def _send(self, status: int, data: bytes, headers: dict[str, str], whole: bool = True) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if whole else data[: len(data) // 2])
        self.close_connection = not whole
