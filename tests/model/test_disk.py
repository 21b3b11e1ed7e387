"""Errors of writing are OSErrors, whichever library wrote."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rerec_engine.model.disk import disk_errors
from rerec_engine.model.small_model import corpus_tokenizer


def with_safetensors(folder: Path) -> None:
    save_file({"a": torch.zeros(9999)}, folder / "a.safetensors")


def with_tokenizers(folder: Path) -> None:
    corpus_tokenizer(["Find a drama film"], 300).save_pretrained(folder)


def with_torch(folder: Path) -> None:
    with (folder / "a.pt").open("wb") as file:
        torch.save(torch.zeros(9999), file)


def in_python(folder: Path) -> None:
    (folder / "a").write_text("x" * 9999)


@pytest.mark.parametrize("write", [with_safetensors, with_tokenizers, with_torch, in_python])
def test_a_full_disk_is_an_os_error(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with disk_errors(tmp_path):
        write(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))  # stands in for it
    try:
        with pytest.raises(OSError, match="File too large"), disk_errors(tmp_path):
            write(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), KeyError("x"), OSError(2, "x")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, disk_errors("here"):
        raise error
    assert caught.value is error
