"""Files and directories take their place whole, or not at all."""

from __future__ import annotations

import json
import os

import pytest

from rerec_engine import files
from rerec_engine.errors import UserError
from rerec_engine.files import clear_leftovers, replacing, replacing_directory, write_json, write_text


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, [1])
    with pytest.raises(TypeError):
        write_json(path, object())
    with pytest.raises(KeyError), replacing(path) as temporary:
        {}[temporary.write_text("half")]
    assert json.loads(path.read_text()) == [1]
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere/a\.txt: cannot write: No such file"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")


def test_a_directory_takes_the_place_of_an_older_one(tmp_path):
    path = tmp_path / "made" / "data"
    for text in ("old", "new"):
        with replacing_directory(path) as temporary:
            (temporary / text).write_text(text)
    assert os.listdir(path) == ["new"]
    with pytest.raises(KeyError), replacing_directory(path) as temporary:
        {}[(temporary / "half").write_text("half")]
    assert os.listdir(path) == ["new"]
    assert os.listdir(path.parent) == ["data"]


def test_another_files_error_is_its_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), replacing(tmp_path / "a.txt"):
        (tmp_path / "source").read_text()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", [None, "inside", b"inside"])
def test_a_full_disk_is_told_of_the_directory_that_was_asked_for(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkdir("data")

    def fill(folder):
        place = name and os.path.join(os.fsencode(folder) if isinstance(name, bytes) else folder, name)
        raise OSError(28, "No space left on device", place)

    message = "^data: cannot write: No space left on device$"
    with pytest.raises(UserError, match=message), replacing_directory("data") as temporary:
        fill(temporary)
    assert os.listdir() == ["data"]


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "file" / "far" / "below"):
        with pytest.raises(UserError, match=f"^{path}: cannot write: "), replacing_directory(path):
            pass
    assert os.listdir(tmp_path) == ["file"]


def test_another_directorys_error_is_its_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), replacing_directory(tmp_path / "a"):
        (tmp_path / "source").read_text()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("knows", [True, False])
def test_a_drives_own_memory_is_flushed_where_the_system_can(tmp_path, monkeypatch, knows):
    flushed, synced = [], []

    def fcntl(descriptor, command):
        flushed.append(command)
        if not knows:
            raise OSError(45, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(files.fcntl, "fcntl", fcntl)
    monkeypatch.setattr(os, "fsync", synced.append)
    write_text(tmp_path / "a.txt", "x")
    assert flushed == [51, 51]  # the file, and the directory's entries
    assert len(synced) == (0 if knows else 2)


def test_what_killed_processes_left_goes_and_an_old_directory_without_a_new_one_comes_back(tmp_path):
    for name in (".a.txt.12.tmp", ".notes", ".a.12.tmpl", "b.12.tmp"):
        (tmp_path / name).write_text("x")
    for name in (".made.12.tmp", ".made.12.old", ".data.34.old", "made"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    clear_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.12.tmpl", ".notes", "b.12.tmp", "data", "made"]
    assert (tmp_path / "data" / "file").read_text() == ".data.34.old"
    assert (tmp_path / "made" / "file").read_text() == "made"
