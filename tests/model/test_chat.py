"""What a chat template takes, found by trying, and what it says of turns and reasoning."""

from __future__ import annotations

import copy

import pytest
from chat_templates import CHATML, GEMMA, MISTRAL, NO_SYSTEM, OPENED, PARTS, THINKING, tokenizer_with

from rerec_engine.errors import UserError
from rerec_engine.model import chat as module
from rerec_engine.model.chat import Chat, joined, without_system
from rerec_engine.model.policy import make_policy
from rerec_engine.model.templates import set_template


def messages(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


SYSTEM = messages(("system", "Be brief."), ("user", "A drama"))
ASKED = messages(("user", "A drama"))
TWICE = messages(("user", "A drama"), ("user", "from 1995"))
REPLY_FIRST = messages(("assistant", "a"), ("user", "b"))
PICKY = "{% if 'x1' in messages[0].content %}{{ raise_exception('not that') }}{% endif %}{{ messages[0].content }}"
TURNS = messages(("system", "Be brief."), ("user", "A drama"), ("assistant", "Heat"), ("user", "older"))
PUT = "takes no system message: its text is put before the first user message"
JOINED = "wants the roles in turn: neighbouring messages of one role are joined"


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_told", set())


@pytest.mark.parametrize(
    ("template", "asked", "text", "told"),
    [
        (CHATML, SYSTEM, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nA drama<|im_end|>\n", []),
        (GEMMA, ASKED, "<start_of_turn>user\nA drama<end_of_turn>\n", []),
        (GEMMA, SYSTEM, "<start_of_turn>user\nBe brief.\n\nA drama<end_of_turn>\n", [PUT]),
        (GEMMA, TWICE, "<start_of_turn>user\nA drama\n\nfrom 1995<end_of_turn>\n", [JOINED]),
        (
            GEMMA,
            [*SYSTEM, *TWICE],
            "<start_of_turn>user\nBe brief.\n\nA drama\n\nA drama\n\nfrom 1995<end_of_turn>\n",
            [PUT, JOINED],
        ),
        (
            GEMMA,
            TURNS,
            "<start_of_turn>user\nBe brief.\n\nA drama<end_of_turn>\n<start_of_turn>model\nHeat<end_of_turn>\n"
            "<start_of_turn>user\nolder<end_of_turn>\n",
            [PUT],
        ),
        (MISTRAL, SYSTEM, "Be brief.[INST] A drama [/INST]", []),
        (MISTRAL, TWICE, "[INST] A drama\n\nfrom 1995 [/INST]", [JOINED]),
        (MISTRAL, [SYSTEM[0], *SYSTEM], "Be brief.\n\nBe brief.[INST] A drama [/INST]", [JOINED]),
        (PARTS, SYSTEM, "system: Be brief.\nuser: A drama\n", []),
        (NO_SYSTEM, SYSTEM, "user: Be brief.\n\nA drama\n", [PUT]),
    ],
)
def test_the_form_that_a_template_takes(template, asked, text, told, capsys):
    """The right text, made once, and what was changed told once."""
    chat, given = Chat(tokenizer_with(template), "m"), copy.deepcopy(asked)
    for _ in range(2):
        assert chat.render(asked, header=False) == text
    assert given == asked
    assert capsys.readouterr().err.splitlines() == [f"m: the chat template {line}" for line in told]
    assert chat.encode(asked) == chat.tokenizer(chat.render(asked), add_special_tokens=False)["input_ids"]


def test_prompts_of_a_template_that_takes_all_are_those_of_transformers():
    tokenizer = tokenizer_with(CHATML, "<|im_start|>", "<|im_end|>")
    own = tokenizer.apply_chat_template(TURNS, add_generation_prompt=True, tokenize=True, return_dict=True)
    assert Chat(tokenizer, "m").encode(TURNS) == own["input_ids"]


@pytest.mark.parametrize(
    ("template", "asked", "message"),
    [
        ("", ASKED, "gives no tokens"),
        ("{% if messages | length > 1 %}x{% endif %}", ASKED, "gives no tokens"),
        ("hello", ASKED, "leaves out what is said"),
        ("{{ messages[0]['content'] }}", REPLY_FIRST, "leaves out what the last message (user) says"),
        ("{% if %}", ASKED, "refuses messages of the roles user: Expected an expression"),
        ("{{ messages[0].content.nothing.at_all }}", ASKED, "refuses messages of the roles user: "),
        (GEMMA, REPLY_FIRST, "refuses messages of the roles assistant, user: Conversation roles must alternate"),
        (PICKY, messages(("user", "x1")), "fails: not that"),
    ],
)
def test_what_no_form_helps_is_one_line(template, asked, message):
    with pytest.raises(UserError) as raised:
        Chat(tokenizer_with(template), "m").encode(asked)
    assert str(raised.value).startswith(f"m: the chat template {message}")
    assert "\n" not in str(raised.value)


def test_a_message_that_is_left_out_is_told(capsys):
    last = "{{ messages[-1]['content'] }}"
    assert Chat(tokenizer_with(last), "m").render(TURNS) == "older"
    told = "m: the chat template leaves out messages: of system, user, assistant, user the system and the user and the "
    assert capsys.readouterr().err == told + "assistant\n"


def test_changes_of_messages():
    assert joined(TWICE) == messages(("user", "A drama\n\nfrom 1995"))
    assert joined(TURNS) == TURNS
    assert without_system(messages(("system", "a"))) == messages(("user", "a"))
    late = messages(("user", "a"), ("system", "b"), ("assistant", "c"), ("user", "d"))
    assert without_system(late) == messages(("user", "b\n\na"), ("assistant", "c"), ("user", "d"))


@pytest.mark.parametrize(
    ("template", "tokens", "end", "written"),
    [
        (CHATML, ("<|im_start|>", "<|im_end|>"), "<|im_end|>", "<|im_end|>"),
        (CHATML, (), None, "<|im_end|>"),
        (GEMMA, ("<end_of_turn>",), "<end_of_turn>", "<end_of_turn>"),
        (MISTRAL, (), "<|end|>", "<|end|>"),
        (PARTS, (), None, ""),
        (CHATML.replace("<|im_end|>", "\n\nUser:"), (), None, "User:"),
        (CHATML.replace("+ '<|im_end|>", "+ '\n<|im_end|><|end|>"), ("<|im_end|>",), "<|im_end|>", "<|im_end|><|end|>"),
        ("{{ raise_exception('no') }}", (), None, ""),
    ],
)
def test_the_end_of_a_turn(template, tokens, end, written):
    tokenizer = tokenizer_with(template, *tokens)
    found = Chat(tokenizer, "m").turn_end()
    assert found == (None if end is None else tokenizer.convert_tokens_to_ids(end), written)


def test_the_turns_end_is_among_the_ends_of_a_response_and_told(tiny_policy, tmp_path, capsys):
    model = tiny_policy().model
    tokenizer = tokenizer_with(CHATML, "<|im_end|>")
    end, own = tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id
    model.resize_token_embeddings(len(tokenizer))
    policy = make_policy(model, tokenizer, "m")
    assert (policy.end_ids, policy.turn_end) == (tuple(sorted((own, end))), end)
    told = f"m: the chat template ends a turn with '<|im_end|>', token {end}: it ends responses too\n"
    assert capsys.readouterr().err == told
    assert set(model.generation_config.eos_token_id) == {own, end}
    make_policy(model, tokenizer, "m")
    assert capsys.readouterr().err == ""
    assert tiny_policy().turn_end == own
    make_policy(model, tokenizer_with(CHATML), "n")
    told = "n: the chat template ends a turn with '<|im_end|>', which is no token: it ends no response\n"
    assert capsys.readouterr().err == told


def test_only_the_first_rank_tells(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    Chat(tokenizer_with(GEMMA), "m").encode(SYSTEM)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("template", "switches", "opens"),
    [
        (CHATML, {}, False),
        (THINKING, {}, False),
        (THINKING, {"enable_thinking": False}, False),
        (OPENED, {}, True),
    ],
)
def test_a_header_that_opens_a_block_of_reasoning(template, switches, opens):
    tokenizer = tokenizer_with(template)
    set_template(tokenizer, None, switches, "m")
    chat = Chat(tokenizer, "m")
    assert chat.opens_reasoning() == opens
    assert chat.render(ASKED).endswith("</think>\n\n") == bool(switches)


@pytest.mark.parametrize(
    ("saved", "switches", "closed"),
    [
        ({}, {}, False),
        ({}, {"enable_thinking": False}, True),
        ({"enable_thinking": False}, {}, True),
        ({"enable_thinking": False}, {"enable_thinking": True}, False),
        ({}, {"something_else": 1}, False),
    ],
)
def test_switches_of_one_prompt_go_before_those_of_the_model(saved, switches, closed):
    tokenizer = tokenizer_with(THINKING)
    set_template(tokenizer, None, saved, "m")
    chat = Chat(tokenizer, "m")
    before = chat.render(ASKED)
    assert chat.switched(switches).render(ASKED).endswith("</think>\n\n") == closed
    assert chat.render(ASKED) == before
    assert (chat.switched(switches) is chat) == (not switches)


@pytest.mark.parametrize("name", ["messages", "conversation", "tokenize", "chat_template", "return_dict", "a-b", ""])
def test_what_is_no_variable_of_a_template_is_no_switch(name):
    with pytest.raises(UserError, match="is no variable of a chat template that can be set"):
        Chat(tokenizer_with(CHATML), "m").switched({name: True})
