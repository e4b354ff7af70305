"""A W&B server in short: takes runs and artifacts, keeps what it was sent, and never looks at the key."""

import gzip
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ARTIFACT = "/artifact/"


@dataclass
class Received:
    """History rows and exit codes by run id; the name and the variables of every GraphQL call. Of artifacts, the
    names of those that are whole, of those that a run was made from, and the size of each file, by its name."""

    url: str = ""
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    committed: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)


@contextmanager
def serve(known: dict[str, int] | None = None, seconds: float = 0.0) -> Iterator[Received]:
    """Serve until the block ends. `known` maps ids of runs that the server has already to their last step;
    an answer takes `seconds`."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            time.sleep(seconds)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            answer = json.dumps(self.answer(body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_GET = do_POST  # noqa: N815

        def answer(self, body: bytes) -> dict[str, Any]:
            if self.path == "/graphql":
                query = json.loads(body)
                name = re.match(r"\s*(?:query|mutation)\s*(\w*)", query["query"])[1]
                received.calls.append((name, query.get("variables") or {}))
                variables = query.get("variables") or {}
                told = reply(name, variables, known or {}, received.url)
                return {"data": told or reply_artifact(name, variables, received)}
            if self.path.endswith("/file_stream"):
                sent, run = json.loads(body), self.path.split("/")[-2]
                lines = sent.get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
                received.history.setdefault(run, []).extend(json.loads(line) for line in lines)
                if sent.get("complete"):
                    received.exit_codes[run] = sent["exitcode"]
            if self.path.startswith(ARTIFACT):
                received.sizes[self.path.removeprefix(ARTIFACT)] = len(body)
            return {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


def reply(name: str, variables: dict[str, Any], known: dict[str, int], url: str) -> dict[str, Any]:
    """The least that the client asks for."""
    entity = {"id": "e", "name": "someone"}
    if name == "RunResumeStatus":
        run = variables["name"]
        tail = [json.dumps([json.dumps({"_step": known[run]})])] if run in known else []
        bucket = {
            "id": "b",
            "name": run,
            "historyLineCount": 1,
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": tail[0] if tail else "[]",
            "eventsTail": "[]",
            "summaryMetrics": "{}",
            "config": "{}",
            "tags": [],
            "wandbConfig": '{"t": 1}',
        }
        return {"model": {"id": "p", "name": "p", "entity": entity, "bucket": bucket if tail else None}}
    if name == "UpsertBucket":
        project = {"id": "p", "name": variables.get("project"), "entity": entity}
        bucket = {
            "id": "b",
            "name": variables.get("name"),
            "displayName": "",
            "config": "{}",
            "project": project,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}
    if name == "CreateRunFiles":
        files = [{"name": file, "uploadUrl": f"{url}/file"} for file in variables["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
    return {}


def reply_artifact(name: str, variables: dict[str, Any], received: Received) -> dict[str, Any]:
    """What the client asks for to upload an artifact. The id of one is its name."""
    given = variables.get("input") or variables
    upload = {"id": "f", "name": "-", "displayName": "-", "uploadHeaders": []}
    if name == "ServerFeaturesQuery":
        return {"serverInfo": {"features": []}}
    if name == "CreateArtifact":
        sequence = {"id": "s", "latestArtifact": None}
        found = {"id": given["artifactCollectionName"], "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": found}}
    if name == "CreateArtifactManifest":
        file = {**upload, "uploadUrl": f"{received.url}/manifest"}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}
    if name == "CreateArtifactFiles":
        nodes = [
            {
                **upload,
                "name": file["name"],
                "uploadUrl": f"{received.url}{ARTIFACT}{file['name']}",
                "storagePath": "-",
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in given["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}
    if name == "CommitArtifact":
        received.committed.add(given["artifactID"])
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "-"}}}
    if name == "UseArtifact":
        received.used.add(given["artifactID"])
        about = {"digest": "-", "description": "", "state": "COMMITTED", "createdAt": "2026-11-23T00:00:00"}
        return {"useArtifact": {"artifact": {"id": given["artifactID"], "metadata": None, **about}}}
    return {}
