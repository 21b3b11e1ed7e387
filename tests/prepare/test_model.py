from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.errors import UserError
from rerec_engine.model import gguf
from rerec_engine.model.gguf import Converted, Facts
from rerec_engine.prepare import Model, main, run


def test_what_the_file_holds_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def convert(file: Path, output: Path) -> Converted:
        asked.append((file, output))
        facts = Facts("llama", "gpt2", "smollm", False, 8192, None, {"Q4_1": 210, "F32": 61})
        return Converted(output, facts, 134_515_008, 1.23, 19.15, ("the file has no chat template",))

    monkeypatch.setattr(gguf, "convert", convert)
    main(["model", "--gguf", "a.gguf", "--output", str(tmp_path / "made")])
    assert capsys.readouterr().out.splitlines() == [
        "llama, 134.5 M parameters, tensors: 210 Q4_1, 61 F32",
        "license: the file names none",
        "pre-tokenizer smollm: texts come back whole; English takes 1.23 bits a byte (perplexity 19.1)",
        "the file has no chat template",
        f"written to {tmp_path / 'made'}",
    ]
    assert asked == [(Path("a.gguf"), tmp_path / "made")]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="no gguf: pip install 'rerec-engine[gguf]'")
    with pytest.raises(UserError, match=r"nowhere\.gguf: no such file"):
        run(Model(tmp_path / "nowhere.gguf", tmp_path / "made"))
