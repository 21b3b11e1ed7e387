from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rerec_engine.data.files.fetching import Archive, fetch
from rerec_engine.errors import UserError


def packed() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("ml/movies.dat", "1::Heat (1995)::Crime\n")
        archive.writestr("ml/../../README", "terms")
        archive.writestr("ml/big", bytes(5000))
    return sink.getvalue()


class Server(HTTPServer):
    """Serves `data`; breaks the first answer off after `cut` bytes; knows ranges or not."""

    data = packed()
    cut = 0
    ranges = True
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        body = self.server.data[start:]
        if self.path == "/gone" or (asked and start >= len(self.server.data)):
            self.send_error(404 if self.path == "/gone" else 416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, self.server.cut = self.server.cut, 0
        self.wfile.write(body[:cut] if cut else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    own = Server(("127.0.0.1", 0), Handler)
    own.asked = []
    thread = threading.Thread(target=own.serve_forever, daemon=True)
    thread.start()
    yield own
    own.shutdown()
    own.server_close()


def archive(server: Server, place: str = "ml.zip", sha256: str = "") -> Archive:
    known = sha256 or hashlib.sha256(server.data).hexdigest()
    return Archive(f"http://127.0.0.1:{server.server_port}/{place}", known, 0.1, "for research")


def test_files_lie_in_the_folder_and_nowhere_else(server: Server, tmp_path: Path) -> None:
    assert fetch(archive(server), tmp_path / "raw" / "ml") == ["movies.dat", "README", "big"]
    assert (tmp_path / "raw/ml/movies.dat").read_text() == "1::Heat (1995)::Crime\n"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["README", "big", "movies.dat"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.cut, server.ranges = 700, ranges
    with pytest.raises(UserError, match=r"ended early; the same command goes on|cannot be fetched"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "download.part").stat().st_size == 700
    assert "big" in fetch(archive(server), tmp_path)
    assert server.asked == [None, "bytes=700-"]


def test_a_download_that_is_whole_already(server: Server, tmp_path: Path) -> None:
    (tmp_path / "download.part").write_bytes(server.data)
    assert "big" in fetch(archive(server), tmp_path)


def test_another_file_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not the file that is known: SHA-256"):
        fetch(archive(server, sha256="0" * 64), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_has_it_not(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="/gone: the server answers 404"):
        fetch(archive(server, "gone"), tmp_path)
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="cannot be fetched"):
        fetch(Archive(f"http://127.0.0.1:{port}/x", "", 1, ""), tmp_path)
