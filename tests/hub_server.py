"""A stand-in for the Hugging Face Hub on this machine, as far as `push` asks it.

It makes repositories, keeps what is sent to it, and knows of nothing else. Files that hold more
than text are large ones, which are sent apart from the commit that names them, as on the Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in"
LARGE = (".safetensors", ".parquet", ".png")


@dataclass
class HubRepo:
    """One repository: what it is, and its files as they came."""

    private: bool
    sdk: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0


@dataclass
class HubServer:
    """`fails` has a status for each request whose path holds its key."""

    url: str = ""
    owner: str = "alice"
    repos: dict[tuple[str, str], HubRepo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    """What was sent as a large file, by SHA-256."""
    sent: list[str] = field(default_factory=list)
    """The large files that were sent, each time."""
    asked: list[str] = field(default_factory=list)
    fails: dict[str, int] = field(default_factory=dict)

    def answer(self, path: str, body: bytes, token: str | None) -> tuple[int, Any]:
        """Status and JSON."""
        self.asked.append(path)
        if token != f"Bearer {TOKEN}" and not path.startswith("/large/"):
            return 401, {"error": "Invalid credentials in Authorization header"}
        for part, status in self.fails.items():
            if part in path:
                return status, {"error": f"stand-in says {status}"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.startswith("/large/"):
            return self._large(path.rpartition("/")[2], body)
        if path.endswith("/info/lfs/objects/batch"):
            return 200, {"objects": [self._place(one) for one in json.loads(body)["objects"]]}
        _, _, kinds, namespace, name, *rest = path.split("/")
        repo = self.repos.get((kinds.removesuffix("s"), f"{namespace}/{name}"))
        if repo is None:
            return 404, {"error": "Repository not found"}
        return self._of_repo(repo, f"{namespace}/{name}", rest, body)

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked['organization']}/{asked['name']}"
        kind = asked.get("type") or "model"
        place = "" if kind == "model" else f"{kind}s/"
        told = {"url": f"{self.url}/{place}{name}", "name": name}
        if asked["organization"] != self.owner:
            return 403, {"error": "You don't have the rights to create it under this namespace"}
        if (kind, name) in self.repos:
            return 409, {**told, "error": "You already created it"}
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.repos[kind, name] = HubRepo(private, asked.get("sdk"))
        return 200, told

    def _of_repo(self, repo: HubRepo, name: str, rest: list[str], body: bytes) -> tuple[int, Any]:
        if not rest or rest[0] == "revision":
            return 200, {"id": name, "private": repo.private, "sha": "0" * 40, "siblings": []}
        if rest[0] == "tree":
            files = repo.files.items()
            return 200, [
                {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
                for path, content in files
            ]
        if rest[0] == "preupload":
            return 200, {"files": [self._mode(repo, one) for one in json.loads(body)["files"]]}
        assert rest[0] == "commit", rest
        return self._commit(repo, name, [json.loads(line) for line in body.splitlines()])

    def _mode(self, repo: HubRepo, file: dict[str, Any]) -> dict[str, Any]:
        path = file["path"]
        large = path.endswith(LARGE)
        there = repo.files.get(path)
        oid = None
        if there is not None:
            oid = hashlib.sha256(there).hexdigest() if large else _oid(there)
        mode = "lfs" if large else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _place(self, asked: dict[str, Any]) -> dict[str, Any]:
        oid = asked["oid"]
        if oid in self.large:
            return asked
        return {**asked, "actions": {"upload": {"href": f"{self.url}/large/{oid}"}}}

    def _large(self, oid: str, body: bytes) -> tuple[int, Any]:
        assert hashlib.sha256(body).hexdigest() == oid
        self.large[oid] = body
        self.sent.append(oid)
        return 200, {}

    def _commit(self, repo: HubRepo, name: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        assert lines[0]["key"] == "header"
        for line in lines[1:]:
            told = line["value"]
            if line["key"] == "file":
                repo.files[told["path"]] = base64.b64decode(told["content"])
            elif line["key"] == "lfsFile":
                repo.files[told["path"]] = self.large[told["oid"]]
            else:
                assert line["key"] == "deletedFile", line
                del repo.files[told["path"]]
        repo.commits += 1
        oid = f"{repo.commits:040d}"
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{oid}", "commitOid": oid}


def _oid(content: bytes) -> str:
    """A file's name in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """A stand-in that listens on this machine until the end."""
    hub = HubServer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = self.path.partition("?")[0]
            status, told = hub.answer(path, body, self.headers.get("authorization"))
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 (as the library has it)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
