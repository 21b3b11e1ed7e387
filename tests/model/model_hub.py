"""A stand-in for the Hugging Face Hub that gives models out."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def commit_of(folder: Path) -> str:
    """As long as git's."""
    return hashlib.sha1(str(folder).encode()).hexdigest()


@dataclass
class ModelHub:
    """models: by name, the folder of each revision. gated: names that are given to nobody. lists: tells
    which files a model has. asked: the paths."""

    url: str = ""
    models: dict[str, dict[str, Path]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    lists: bool = True
    asked: list[str] = field(default_factory=list)

    def fetched(self) -> set[str]:
        """Names of the files that were sent."""
        return {path.rpartition("/")[2] for path in self.asked if path.startswith("GET ") and "/resolve/" in path}

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of what lies there."""
        parts = path.partition("?")[0].strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        if len(parts) < 4 or (api and not self.lists):
            return 404, {}, b"{}"
        owner, model, what, *rest = parts[2:] if api else parts
        name = f"{owner}/{model}"
        if name not in self.models:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        revisions = self.models[name]
        by_commit = {commit_of(folder): folder for folder in revisions.values()}
        folder = revisions.get(rest[0]) or by_commit.get(rest[0])
        if folder is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if what == "tree":
            files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
            told = [
                {"type": "file", "path": str(file.relative_to(folder)), "size": file.stat().st_size, "oid": "0" * 40}
                for file in files
            ]
            return 200, {"content-type": "application/json"}, json.dumps(told).encode()
        if what == "revision":
            told_model: dict[str, Any] = {"id": name, "sha": commit_of(folder), "siblings": []}
            return 200, {"content-type": "application/json"}, json.dumps(told_model).encode()
        file = folder / "/".join(rest[1:])
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit_of(folder)}, b""
        body = file.read_bytes()
        tag = hashlib.sha1(body).hexdigest()
        return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": commit_of(folder), "Accept-Ranges": "bytes"}, body


def serve(state: ModelHub) -> ThreadingHTTPServer:
    """Answer until it is shut down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            state.asked.append(f"{self.command} {self.path}")
            status, headers, body = state.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
