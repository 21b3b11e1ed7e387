"""Which chat template holds, and that a saved tokenizer keeps it with its switches."""

from __future__ import annotations

import json

import pytest
from chat_templates import CHATML, GEMMA, THINKING, tokenizer_with
from transformers import AutoTokenizer

from rerec_engine.errors import UserError
from rerec_engine.model.chat import Chat
from rerec_engine.model.policy import load_policy
from rerec_engine.model.source import Loading
from rerec_engine.model.templates import set_template, with_switches

ASKED = [{"role": "user", "content": "A drama"}]
SEVERAL = {"default": CHATML, "plain": "{{ messages[-1]['content'] }}"}


@pytest.mark.parametrize(
    ("own", "named", "prompt"),
    [
        (CHATML, None, "<|im_start|>user\nA drama<|im_end|>\n<|im_start|>assistant\n"),
        (SEVERAL, None, "<|im_start|>user\nA drama<|im_end|>\n<|im_start|>assistant\n"),
        (SEVERAL, "plain", "A drama"),
        (None, "FILE", "<start_of_turn>user\nA drama<end_of_turn>\n<start_of_turn>model\n"),
        (SEVERAL, "FILE", "<start_of_turn>user\nA drama<end_of_turn>\n<start_of_turn>model\n"),
    ],
)
def test_the_template_that_is_named_is_saved(own, named, prompt, tmp_path):
    (tmp_path / "gemma.jinja").write_text(GEMMA)
    tokenizer = tokenizer_with(own)
    set_template(tokenizer, str(tmp_path / "gemma.jinja") if named == "FILE" else named, {}, "m")
    assert Chat(tokenizer, "m").render(ASKED) == prompt
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False) == prompt
    if own is SEVERAL:
        assert again.chat_template["plain"] == SEVERAL["plain"]


@pytest.mark.parametrize(
    ("own", "named", "message"),
    [
        (None, None, "the tokenizer has no chat template: set model.chat_template (--chat-template) to a file that"),
        ({"a": "x", "b": "y"}, None, "the tokenizer has no default chat template: set model.chat_template "),
        (SEVERAL, "other", "'other' is neither a file nor one of the tokenizer's templates (default, plain)"),
        (CHATML, "other", "'other' is neither a file nor a named template"),
    ],
)
def test_no_such_template_is_one_line(own, named, message):
    with pytest.raises(UserError, match="^m: ") as raised:
        set_template(tokenizer_with(own), named, {}, "m")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "x.jinja").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="not readable as a chat template"):
        set_template(tokenizer_with(None), str(tmp_path / "x.jinja"), {}, "m")


@pytest.mark.parametrize(
    ("template", "switches", "text"),
    [
        ("{{ thinking }}", {"thinking": False}, "False"),
        ("\n{{ a }}{{ b }}", {"a": 'it\'s "x" é\n', "b": None}, '\nit\'s "x" é\nNone'),
        ("{% for i in [1] %}{{ deep['x'][0] }}{% endfor %}", {"deep": {"x": [1.5]}}, "1.5"),
        ("{% macro show() %}{{ budget }}{% endmacro %}{{ show() }}", {"budget": 7}, "7"),
        ("{{ bos_token }}{{ tools }}", {"bos_token": "<s>", "tools": []}, "<s>[]"),
        ("  {% if a %}yes{% endif %}", {"a": True}, "yes"),
    ],
)
def test_switches_are_the_templates_variables(template, switches, text, tmp_path):
    """As they are handed to apply_chat_template, and after a tokenizer has been saved."""
    tokenizer = tokenizer_with(template)
    handed = tokenizer.apply_chat_template(ASKED, tokenize=False, **switches)
    set_template(tokenizer, None, switches, "m")
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert each.apply_chat_template(ASKED, tokenize=False) == handed == text


def test_a_caller_may_still_choose_another_value():
    tokenizer = tokenizer_with(THINKING)
    set_template(tokenizer, None, {"enable_thinking": False}, "m")
    how = {"add_generation_prompt": True, "tokenize": False}
    assert "<think>" in tokenizer.apply_chat_template(ASKED, **how)
    assert "<think>" not in tokenizer.apply_chat_template(ASKED, **how, enable_thinking=True)


@pytest.mark.parametrize("name", ["messages", "add_generation_prompt", "a b", "", "x %}{{ 1"])
def test_what_is_no_switch(name):
    with pytest.raises(UserError, match=r"^model\.chat_template_kwargs: .* is no variable of a chat template"):
        with_switches("", {name: 1}, {})


def test_a_loaded_policy_and_a_saved_one_have_the_settings(saved, tmp_path):
    loading = Loading(chat_template=str(tmp_path / "t.jinja"), chat_template_kwargs={"enable_thinking": False})
    (tmp_path / "t.jinja").write_text(THINKING)
    policy = load_policy(str(saved), "cpu", loading=loading)
    policy.save(tmp_path / "final")
    again = load_policy(str(tmp_path / "final"), "cpu")
    assert again.encode_prompt(ASKED) == policy.encode_prompt(ASKED)
    assert again.chat.render(ASKED).endswith("<think>\n\n</think>\n\n")
    assert json.loads((tmp_path / "final" / "config.json").read_text())["model_type"] == "qwen2"
