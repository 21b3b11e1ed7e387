"""`prepare fetch`: nothing is fetched before its terms are agreed to."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from rerec_engine.data.files import fetching
from rerec_engine.data.files.fetching import ARCHIVES, Archive
from rerec_engine.errors import UserError
from rerec_engine.prepare import Fetch, main, run


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of the only archive that is known: a file here."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("ml/movies.dat", "1::Heat (1995)::Crime\n")
    (tmp_path / "ml.zip").write_bytes(sink.getvalue())
    known = Archive("http://127.0.0.1:1/ml.zip", hashlib.sha256(sink.getvalue()).hexdigest(), 5.9, "for research")
    monkeypatch.setitem(fetching.ARCHIVES, "ml-1m", known)
    return (tmp_path / "ml.zip").as_uri()


def test_terms_come_first(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = ARCHIVES["ml-1m"]
    told = f"{known.address} (5.9 MB, SHA-256 {known.sha256})\nterms: for research"
    assert (
        run(Fetch("ml-1m", tmp_path / "raw", address=mirror))
        == f"{told}\nnothing was fetched; if you agree, add --agree"
    )
    assert not (tmp_path / "raw").exists()
    main(["fetch", "ml-1m", "--output", str(tmp_path / "raw"), "--agree", "--address", mirror])
    assert capsys.readouterr().out == f"{told}\nmovies.dat written to {tmp_path / 'raw'}\n"
    assert (tmp_path / "raw" / "movies.dat").read_text() == "1::Heat (1995)::Crime\n"


def test_another_file_than_the_known_one_is_refused(mirror: str, tmp_path: Path) -> None:
    (tmp_path / "ml.zip").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"ml\.zip: is not the file that is known"):
        run(Fetch("ml-1m", tmp_path / "raw", agree=True, address=mirror))
    assert list((tmp_path / "raw").iterdir()) == []


def test_without_a_mirror_the_sources_own_address_is_asked(mirror: str, tmp_path: Path) -> None:
    assert mirror.startswith("file://")
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:1/ml\.zip: cannot be fetched"):
        run(Fetch("ml-1m", tmp_path / "raw", agree=True))


def test_what_may_be_fetched_has_its_terms() -> None:
    for archive in ARCHIVES.values():
        assert archive.address.startswith("https://")
        assert len(archive.sha256) == 64
        assert "no redistribution" in archive.terms
