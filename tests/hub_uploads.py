"""What the stand-in for the Hub answers to who uploads: accounts, new repositories, files by LFS, and commits."""

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub import Hub

ACCOUNT = {
    "name": "me",
    "orgs": [{"name": "team", "roleInOrg": "write"}, {"name": "club", "roleInOrg": "read"}],
}


def account(role: str, **token: Any) -> dict[str, Any]:
    """What whoami says of a token of that role."""
    return {**ACCOUNT, "auth": {"accessToken": {"role": role, **token}}}


class Uploads:
    """A part of the handler of requests."""

    hub: "Hub"

    def body(self) -> bytes:
        """The request's content, of known length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def account(self) -> Any:
        """Whose token the request has; None without one that is known."""
        return self.hub.accounts.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def take(self, words: list[str], body: bytes) -> bool:
        """Whether it was an upload's request, which is answered."""
        match words:
            case ["lfs", oid]:
                assert hashlib.sha256(body).hexdigest() == oid
                self.hub.blobs[oid] = body
                self._send_json({})
            case ["api", "whoami-v2"] if self.account():
                self._send_json(self.account())
            case ["api", "whoami-v2"]:
                self._refuse(401, "Unauthorized")
            case ["api", "validate-yaml"]:
                self._send_json({"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "models", *name, "preupload", _]:
                self._modes(self.hub.root.joinpath("models", *name), json.loads(body))
            case [owner, name, "info", "lfs", "objects", "batch"] if name.endswith(".git") and owner:
                self._batch(json.loads(body))
            case ["api", "models", *name, "commit", _]:
                self._commit(self.hub.root.joinpath("models", *name), body)
            case _:
                return False
        return True

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or self.account()['name']}/{asked['name']}"
        folder = self.hub.root / "models" / name
        there = folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if not there and (asked.get("private") or asked.get("visibility") == "private"):
            self.hub.private.add(name)
        self._send(409 if there else 200, json.dumps({"url": f"{self.hub.url}/{name}"}).encode(), {})

    def _modes(self, folder: Path, asked: dict[str, Any]) -> None:
        files = []
        for file in asked["files"]:
            path = file["path"]
            large = path.endswith(".safetensors")
            data = (folder / path).read_bytes() if (folder / path).exists() else None
            blob = b"" if data is None else data if large else b"blob %d\0" % len(data) + data
            oid = (hashlib.sha256 if large else hashlib.sha1)(blob).hexdigest()
            mode = "lfs" if large else "regular"
            known = None if data is None else oid
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": known})
        self._send_json({"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}}}
            for each in asked["objects"]
            if each["oid"] not in self.hub.blobs
        ]
        self._send_json({"transfer": "basic", "objects": objects})

    def _commit(self, folder: Path, body: bytes) -> None:
        if self.hub.full:
            return self._refuse(507, "Full")
        for line in body.splitlines():
            key, value = json.loads(line).values()
            path = folder / value.get("path", "")
            if key == "deletedFile":
                path.unlink()
            elif key == "deletedFolder":
                shutil.rmtree(path)
            elif key != "header":
                path.parent.mkdir(parents=True, exist_ok=True)
                data = (
                    self.hub.blobs[value["oid"]] if key == "lfsFile" else base64.b64decode(value["content"])
                )
                path.write_bytes(data)
        url = f"{self.hub.url}/{'/'.join(folder.parts[-2:])}/commit/1"
        return self._send_json({"commitUrl": url, "commitOid": "1" * 40})
