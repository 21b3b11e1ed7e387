from __future__ import annotations

import math
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from rerec_engine.errors import UserError
from rerec_engine.model.policy import load_policy
from rerec_engine.model.selfcheck import prove_policy

pytest.importorskip("gguf", reason="no gguf: pip install 'rerec-engine[gguf]'")

from tiny_gguf import tiny_llama, vocabulary, write_tiny_gguf

from rerec_engine.model import gguf
from rerec_engine.model.gguf import convert, read_facts


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_llama())


@pytest.fixture(scope="module")
def made(file: Path, tmp_path_factory: pytest.TempPathFactory) -> gguf.Converted:
    return convert(file, tmp_path_factory.mktemp("made") / "tiny", most_bits=math.inf)


def test_the_weights_are_those_of_the_file(made: gguf.Converted) -> None:
    model, policy = tiny_llama(), load_policy(str(made.output), "cpu")
    ids = torch.arange(3, 40)[None]
    torch.testing.assert_close(policy.model(ids).logits, model(ids).logits)
    assert made.parameters == sum(p.numel() for p in model.parameters())
    assert policy.model.dtype == torch.float32
    assert not hasattr(policy.model.config, "quantization_config")


def test_the_directory_trains_and_ends_as_the_file_says(made: gguf.Converted) -> None:
    policy = load_policy(str(made.output), "cpu")
    assert prove_policy(policy).logprob_max < 1e-3
    assert (policy.end_ids, policy.pad_id, policy.turn_end) == ((2,), 2, 2)
    assert policy.tokenizer.model_max_length == 2048
    text = policy.tokenizer.decode(policy.encode_prompt([{"role": "user", "content": "a film of 1995"}]))
    assert text == "<|im_start|>user\na film of 1995<|im_end|>\n<|im_start|>assistant\n"


def test_a_full_disk_is_a_line_and_what_was_there_stays(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "made"
    convert(file, output, most_bits=math.inf)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name in ("model.safetensors", "tokenizer.json"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[name]) - 1, hard))  # stands in for it
        try:
            with pytest.raises(UserError, match=f"^{output}: cannot write: .*File too large"):
                convert(file, output, most_bits=math.inf)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_digits_are_cut_as_the_named_rule_cuts_them(made: gguf.Converted) -> None:
    tokenizer = load_policy(str(made.output), "cpu").tokenizer
    assert tokenizer.tokenize("the 1995,  1") == ["t", "h", "e", "Ġ", "1", "9", "9", "5", ",", "ĠĠ", "1"]


def test_facts_are_told(file: Path, made: gguf.Converted) -> None:
    facts = read_facts(file)
    assert facts == made.facts
    assert (facts.architecture, facts.pre_tokenizer, facts.license, facts.context) == ("llama", "smollm", "mit", 2048)
    assert facts.quantisation == {"F32": 20}


def test_a_first_token_is_set_where_the_file_wants_one(tmp_path: Path) -> None:
    file = write_tiny_gguf(tmp_path / "bos.gguf", tiny_llama(), bos=True, pre="llama-bpe")
    made = convert(file, tmp_path / "made", most_bits=math.inf)
    tokenizer = load_policy(str(made.output), "cpu").tokenizer
    assert tokenizer("the")["input_ids"] == [1, *tokenizer("the", add_special_tokens=False)["input_ids"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre": "klingon"}, "its pre-tokenizer 'klingon' is not known here"),
        ({"pre": None}, "the file does not name its pre-tokenizer"),
        ({"model": "t5"}, "its vocabulary is of the kind 't5'"),
        ({}, r"the model takes \d+\.\d\d bits a byte of English \(at most 2\)"),
        ({"template": "{{ raise_exception('no') }}"}, "its tokenizer is not read as it was meant"),
    ],
)
def test_what_would_be_silently_wrong_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    file = write_tiny_gguf(tmp_path / "tiny.gguf", tiny_llama(), **changes)
    with pytest.raises(UserError, match=rf"tiny\.gguf: {message}"):
        convert(file, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_file_that_is_none_is_one_line(tmp_path: Path, file: Path) -> None:
    short, other = tmp_path / "short.gguf", tmp_path / "other.gguf"
    short.write_bytes(file.read_bytes()[:3000])
    other.write_bytes(b"PK\x03\x04")
    for path, message in ((short, "cannot be read as GGUF"), (other, "is no GGUF file"), (tmp_path, "no such file")):
        with pytest.raises(UserError, match=message) as error:
            convert(path, tmp_path / "made")
        assert "\n" not in str(error.value)


def test_no_template_is_told(tmp_path: Path) -> None:
    file = write_tiny_gguf(tmp_path / "bare.gguf", tiny_llama(), template=None)
    told = convert(file, tmp_path / "made", most_bits=math.inf).told
    assert "the file has no chat template: the commands need --chat-template" in told


def test_a_rule_under_which_the_text_is_likelier_is_told(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def liked(_model: object, tokenizer: Any) -> tuple[float, float]:
        return (1.0 if "19" in tokenizer.tokenize(gguf.TEXT) else 1.5), 10.0

    monkeypatch.setattr(gguf, "bits_per_byte", liked)
    (told,) = convert(file, tmp_path / "made").told
    assert "warning: cut as 'gpt-2' the text takes 1.00 bits a byte, as 'smollm', which the file names, 1.50" in told
    assert load_policy(str(tmp_path / "made"), "cpu").tokenizer.tokenize("19") == ["1", "9"]


def test_every_token_of_the_file_is_one_of_the_tokenizer(made: gguf.Converted) -> None:
    tokenizer = load_policy(str(made.output), "cpu").tokenizer
    assert tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) == vocabulary()


@pytest.mark.slow
def test_a_published_file_speaks_english(tmp_path: Path) -> None:
    place = os.environ.get("REREC_GGUF")
    if place is None:
        pytest.skip("no published GGUF: set REREC_GGUF to SmolLM2-135M-Instruct.Q4_1.gguf")
    made = convert(place, tmp_path / "made")
    assert made.bits < 1.4
    assert made.told == ()
    policy = load_policy(str(made.output), "cpu")
    assert policy.turn_end == policy.pad_id == policy.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert prove_policy(policy).logprob_max < 1e-3
