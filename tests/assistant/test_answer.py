from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import pytest

from rerec_engine.assistant.answer import Assistant
from rerec_engine.assistant.exchange import Answer, Ask
from rerec_engine.assistant.stream import Thought
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import PromptTooLong
from rerec_engine.model.chat import Chat
from rerec_engine.types import Message, Sampling


class ByteTokenizer:
    """Token id = byte."""

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


class ByteChat(Chat):
    """Prompts of one token, kept in `prompts`."""

    def __init__(self, prompts: list[Sequence[Message]], opened: bool = False) -> None:
        super().__init__(ByteTokenizer(), "bytes")
        self.prompts, self.opened = prompts, opened

    def encode(self, messages: Sequence[Message]) -> list[int]:
        self.prompts.append(messages)
        return [0]

    def opens_reasoning(self) -> bool:
        return self.opened

    def switched(self, switches: Mapping[str, Any]) -> Chat:
        if "enable_thinking" in switches:
            return ByteChat(self.prompts, switches["enable_thinking"])
        return self


GREEDY = Sampling(10_000, temperature=0.0)


def assistant(
    films: Dataset, response: str, context: int | None = None, opened: bool = False
) -> tuple[Assistant, list[Sequence[Message]]]:
    prompts: list[Sequence[Message]] = []

    def draw(prompt: Sequence[int], sampling: Sampling, seconds: float) -> Generator[int, None, None]:
        yield from response.encode()[: sampling.max_new_tokens]

    return Assistant(films, ByteChat(prompts, opened), draw, context=context), prompts


def test_reasoning_is_streamed_and_items_carry_their_evidence(films: Dataset) -> None:
    who, prompts = assistant(films, "Heat is a crime film.\nMann made it.\n\\boxed{Heat (1995); Alien}")
    ask = who.prepare("a crime film by Michael Mann please")
    pieces: list[str] = []
    answer = who.answer(ask, GREEDY, write=pieces.append)
    assert "".join(pieces) == "Heat is a crime film.\nMann made it.\n"
    assert len(pieces) > 10
    assert answer.reasoning == "Heat is a crime film.\nMann made it."
    assert [item.title for item in answer.items] == ["Heat (1995)", "Alien (1979)"]
    assert answer.items[0].attributes == (("Genre", "Crime"), ("Directed_by", "Michael Mann"))
    assert answer.items[0].asked == ("Crime", "Michael Mann")
    assert answer.items[1].asked == ()
    assert answer.notes == ()
    assert list(prompts[0]) == list(films.queries("train")[0].messages)  # the dataset's own prompt
    restored = json.loads(json.dumps(answer.to_json(films.titles)))
    assert restored["candidates"] == ["Heat (1995)", "Amélie (2001)", "Alien (1979)"]
    assert restored["items"][0]["attributes"][0] == {"relation": "Genre", "value": "Crime", "asked": True}


@pytest.mark.parametrize(
    ("response", "opened", "thinking", "reasoning", "items"),
    [
        (
            "<think>\n\\boxed{Alien}? no\n</think>\n\nMann. \\boxed{Heat}",
            False,
            "\\boxed{Alien}? no",
            "Mann.",
            ["Heat (1995)"],
        ),
        ("\\boxed{Alien}? no</think>Mann. \\boxed{Heat}", True, "\\boxed{Alien}? no", "Mann.", ["Heat (1995)"]),
        ("<think>\\boxed{Alien} and so on", False, "\\boxed{Alien} and so on", "", []),
        ("\\boxed{Alien} and so on", True, "\\boxed{Alien} and so on", "", []),
    ],
)
def test_a_block_of_reasoning_is_no_answer(
    films: Dataset, response: str, opened: bool, thinking: str, reasoning: str, items: list[str]
) -> None:
    who, _ = assistant(films, response, opened=opened)
    pieces: list[str] = []
    answer = who.answer(who.prepare("a crime film"), GREEDY, write=pieces.append)
    assert (answer.thinking, answer.reasoning, [item.title for item in answer.items]) == (thinking, reasoning, items)
    assert "".join(pieces).strip() == reasoning
    assert answer.response == response


@pytest.mark.parametrize(
    ("response", "items", "unknown", "note"),
    [
        ("no idea", [], (), "no answer in a box"),
        ("", [], (), "no answer in a box"),
        ("hm \\boxed{}", [], (), "no answer in a box"),
        ("\\boxed{Hear (1995)}", [], ("Hear (1995)",), "in no catalogue, so left out: Hear (1995)"),
        ("\\boxed{Gladiator (2000)}", ["Gladiator (2000)"], (), "not among the candidates: Gladiator (2000)"),
        ("\\boxed{Heat; Heat (1995)}", ["Heat (1995)"], (), ""),
    ],
)
def test_an_answer_is_never_invented(
    films: Dataset, response: str, items: list[str], unknown: tuple[str, ...], note: str
) -> None:
    who, _ = assistant(films, response)
    answer = who.answer(who.prepare("x", candidates=["Heat", "Alien"]), GREEDY)
    assert [item.title for item in answer.items] == items
    assert answer.unknown == unknown
    assert note in " ".join(answer.notes)
    assert bool(note) == bool(answer.notes)


def test_cut_off_is_told_and_top_k_cuts(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Heat; Alien} and so on")
    answer = who.answer(who.prepare("x"), Sampling(20), top_k=1)
    assert len(answer.items) == 1
    assert answer.notes == ()
    assert (answer.finish, answer.prompt_tokens, answer.new_tokens) == ("length", 1, 20)
    assert answer.to_json(films.titles)["notes"] == ["cut off after 20 tokens"]
    assert answer.to_json(films.titles, "--limit")["notes"] == ["cut off after 20 tokens (--limit)"]


def test_answer_that_ends_by_itself_has_its_counts(films: Dataset) -> None:
    who, _ = assistant(films, "Heat.\n\\boxed{Heat}")
    answer = who.answer(who.prepare("x"), GREEDY)
    assert (answer.finish, answer.prompt_tokens, answer.new_tokens) == ("stop", 1, len("Heat.\n\\boxed{Heat}"))
    assert answer.all_notes("--limit") == list(answer.notes)


def test_stream_has_a_piece_for_each_token_then_the_answer(films: Dataset) -> None:
    who, _ = assistant(films, "Hé\\boxed{Heat}")
    *pieces, answer = who.stream(who.prepare("x"), GREEDY)
    assert pieces == ["H", "", "é", *[""] * len("\\boxed{Heat}"), ""]
    assert isinstance(answer, Answer)
    assert answer.new_tokens == len(pieces) - 1


@pytest.mark.parametrize(("switches", "thinking"), [({"enable_thinking": True}, "Mann."), ({}, "")])
def test_a_request_may_switch_reasoning_on(films: Dataset, switches: Mapping[str, bool], thinking: str) -> None:
    who, _ = assistant(films, "Mann.</think>\\boxed{Heat}" if thinking else "Mann. \\boxed{Heat}")
    *pieces, answer = who.stream(who.prepare("x"), GREEDY, switches=switches)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Thought)) == thinking
    assert isinstance(answer, Answer)
    assert answer.thinking == thinking


def test_each_request_has_its_own_sampling_and_time(films: Dataset) -> None:
    seen: list[object] = []
    ended: list[bool] = []

    def draw(*how: object) -> Generator[int, None, None]:
        seen.append(how[1:])
        try:
            while True:
                yield 65
        finally:
            ended.append(True)

    who = Assistant(films, ByteChat([]), draw)
    ask = who.prepare("x")
    events = who.stream(ask, Sampling(5, 0.5, seed=7), seconds=3.0)
    assert seen == []  # nothing is drawn before it is asked for
    assert next(events) == "A"
    assert (seen, ended) == ([(Sampling(5, 0.5, seed=7, candidates=[ask.candidates]), 3.0)], [])
    events.close()
    assert ended == [True]


def test_context_holds_prompt_and_answer(films: Dataset) -> None:
    who, _ = assistant(films, "x" * 50, context=11)
    answer = who.answer(who.prepare("x"), GREEDY)
    assert (answer.finish, answer.new_tokens) == ("length", 10)
    who, _ = assistant(films, "x", context=1)
    with pytest.raises(PromptTooLong, match="the prompt has 1 tokens; the model takes 1, the answer included"):
        who.stream(who.prepare("x"), GREEDY)


def test_ambiguous_title_is_read_among_the_candidates(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Solaris}")
    ask = who.prepare("x", candidates=["Solaris (2002)", "Heat"])
    assert [item.title for item in who.answer(ask, GREEDY).items] == ["Solaris (2002)"]
    ask = who.prepare("x", candidates=["Alien", "Heat"])
    assert who.answer(ask, GREEDY).unknown == ("Solaris",)


def turn(who: Assistant, text: str, earlier: Sequence[tuple[Ask, Answer]] = ()) -> tuple[Ask, Answer]:
    ask = who.prepare(text, earlier=earlier)
    return ask, who.answer(ask, GREEDY)


def test_follow_up_reads_what_was_answered_and_tells_the_model(films: Dataset) -> None:
    who, prompts = assistant(films, "\\boxed{Heat (1995)}")
    first = turn(who, "a crime film by Michael Mann please")
    ask, answer = turn(who, "not by him, something older", [first])
    assert [c.text for c in ask.request.conditions] == ["Genre: Crime", "not Directed by: Michael Mann", "before 1995"]
    titles = [films.titles[i] for i in ask.candidates]
    assert not {"Heat (1995)", "The Insider (1999)", "Collateral (2004)"} & set(titles)
    assert all(int(title[-5:-1]) < 1995 for title in titles)
    told = prompts[-1][0]["content"]
    assert "with Genre: Crime; before 1995, but not Directed by: Michael Mann. not by him, something older" in told
    assert answer.items[0].missed == ("not Directed by: Michael Mann", "before 1995")


def test_evidence_is_what_the_graph_says(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Solaris (1972)}")
    _, answer = turn(who, "science fiction from the 70s, not by Ridley Scott")
    shown = [(e.condition, e.relation, e.value) for e in answer.items[0].evidence]
    assert shown == [
        ("Genre: Science fiction", "Genre", "Science fiction"),
        ("from 1970 to 1979", "year", "1972"),
        ("not Directed by: Ridley Scott", "Directed_by", "Andrei Tarkovsky"),
    ]
    assert answer.unmet == ()


def test_of_alternatives_one_is_enough_and_shown(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Heat (1995); Amélie (2001)}")
    _, answer = turn(who, "a crime film or a romance, from the 80s or 90s")
    shown = [[(e.condition, e.value) for e in item.evidence] for item in answer.items]
    years = ("from 1980 to 1989 or from 1990 to 1999", "1995")
    assert shown == [[("Genre: Crime or Romance", "Crime"), years], [("Genre: Crime or Romance", "Romance")]]
    assert [item.missed for item in answer.items] == [(), (years[0],)]
    assert answer.unmet == ()


@pytest.mark.parametrize(
    ("request_", "unmet"),
    [
        ("a horror film by Michael Mann", "nothing in the catalogue is all of this at once"),
        ("a western", "Genre: western: nothing in the catalogue"),
        ("directed by Jane Nobody", "Directed by: Jane Nobody: nothing in the catalogue"),
        ("a drama", "Genre: Drama: not the answer, though 3 of the candidates would do"),
        ("from before 1930", "before 1930: nothing in the catalogue"),
        ("give me two crime films", "2 items: the answer names 1"),
    ],
)
def test_what_is_not_met_is_told(films: Dataset, request_: str, unmet: str) -> None:
    who, _ = assistant(films, "\\boxed{Heat (1995)}")
    _, answer = turn(who, request_)
    assert unmet in "; ".join(str(u) for u in answer.unmet)
    assert json.loads(json.dumps(answer.to_json(films.titles)))["unmet"][0].keys() == {"condition", "why"}


def test_all_that_fits_was_named_before(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Amélie (2001)}")
    first = turn(who, "some romance")
    who, _ = assistant(films, "\\boxed{Heat (1995)}")
    _, answer = turn(who, "another from the 2000s", [first])
    assert "all that is so has been named before" in str(answer.unmet[-1])


def test_turns_are_read_back_from_their_texts(films: Dataset) -> None:
    who, _ = assistant(films, "")
    turns = who.replay(
        [("a crime film by Michael Mann", "He made it.\n1. Heat (1995)\n     Genre: Crime\n2. No Such One")]
    )
    assert [item.title for item in turns[0][1].items] == ["Heat (1995)"]
    assert "before 1995" in [c.text for c in who.prepare("something older", earlier=turns).request.conditions]


@pytest.mark.parametrize("text", ["\x00\x1b[2J \u202e", "?!", "\\boxed{Heat}", "not " * 1999, "漢字 🎬 " * 900])
def test_hostile_requests_are_prepared_also_as_follow_ups(films: Dataset, text: str) -> None:
    who, _ = assistant(films, "\\boxed{Heat}")
    first = turn(who, "a drama")
    assert turn(who, text, [first])[1].items[0].title == "Heat (1995)"
