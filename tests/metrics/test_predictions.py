from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerec_engine.errors import UserError
from rerec_engine.metrics.predictions import GroupQuery, Reply, read_answers, read_group_queries

QUERIES = {i: GroupQuery(i, "text", ("Heat (1995)",)) for i in ("0-0", "0-1")}


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def batch_line(query_id: str, text: str) -> dict[str, object]:
    return {"custom_id": query_id, "response": {"body": {"choices": [{"message": {"content": text}}]}}}


def test_query_ids_leave_empty_entries_out(tmp_path: Path) -> None:
    entry = {"query": "q", "reason": "r", "movie subset": ["Heat (1995)"]}
    groups = [{"query & ground true": [{}, entry, {}, entry]}, {"query & ground true": [entry | {"query": "é"}]}]
    path = tmp_path / "q.json"
    path.write_text(json.dumps(groups, ensure_ascii=False), encoding="latin-1")
    queries = read_group_queries(path)
    assert list(queries) == ["0-0", "0-1", "1-0"]
    assert queries["1-0"] == GroupQuery("1-0", "é", ("Heat (1995)",))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "expected a JSON list"),
        ([], "holds no query"),
        ([{"x": 1}], "group 0 has no list"),
        ([{"query & ground true": [{"query": "q", "movie subset": []}]}], "query 0-0 has no list of titles"),
        ([{"query & ground true": [{"query": "q"}]}], "query 0-0 has no list of titles"),
        ([{"query & ground true": [{"movie subset": ["a"]}]}], "query 0-0 has no text"),
        ([{"query & ground true": ["q"]}], "query 0-0 is no JSON object"),
    ],
)
def test_broken_query_file_is_named(tmp_path: Path, groups: object, message: str) -> None:
    with pytest.raises(UserError, match=f"q.json: {message}"):
        read_group_queries(write(tmp_path / "q.json", groups))


@pytest.mark.parametrize("form", ["lines", "list", "batch"])
def test_the_three_forms_read_the_same(tmp_path: Path, form: str) -> None:
    plain = [{"id": "0-1", "response": "b", "reasoning": "because"}, {"id": "0-0", "response": "a"}]
    if form == "lines":
        path = write(tmp_path / "a.jsonl", *plain, "")
    elif form == "list":
        path = write(tmp_path / "a.json", plain)
    else:
        path = write(tmp_path / "a.jsonl", batch_line("0-1", "b"), batch_line("0-0", "a"))
    answers = read_answers(path, QUERIES)
    assert {i: r.text for i, r in answers.replies.items()} == {"0-0": "a", "0-1": "b"}
    assert list(answers.replies) == ["0-0", "0-1"]
    assert answers.skipped.total() == 0


GOOD = {"id": "0-0", "response": "Heat"}


@pytest.mark.parametrize(
    ("line", "message", "kind"),
    [
        ('{"id": "0-1", "respo', "is no JSON", "broken"),
        ("[" * 100_000, "is no JSON", "broken"),
        ("7", "expected a JSON object, got int", "broken"),
        ({"response": "x"}, "neither 'id' nor 'custom_id'", "broken"),
        ({"id": "0-1"}, "no text under 'response'", "broken"),
        ({"id": "0-1", "response": None}, "no text under 'response'", "broken"),
        ({"custom_id": "0-1", "response": {"body": {"choices": []}}}, "holds no body", "broken"),
        ({"id": "9-9", "response": "x"}, "id '9-9' is in no query", "unknown"),
        (GOOD, "id '0-0' has an answer already", "repeated"),
    ],
)
def test_bad_row_is_named_or_counted(tmp_path: Path, line: object, message: str, kind: str) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, "", line)
    with pytest.raises(UserError, match=rf"a\.jsonl:3: .*{message}"):
        read_answers(path, QUERIES)
    answers = read_answers(path, QUERIES, skip_bad=True)
    assert answers.replies == {"0-0": Reply("Heat")}
    assert vars(answers.skipped) == {"broken": 0, "unknown": 0, "repeated": 0, "unanswered": 1} | {kind: 1}


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ({"id": "0-1", "items": ["B01", 7]}, Reply("", items=("B01", "7"))),
        ({"id": "0-1", "titles": ["Heat", "Alien \ud83d"]}, Reply("", titles=("Heat", "Alien ?"))),
        ({"id": "0-1", "items": []}, Reply("", items=())),
        ({"id": "0-1", "response": "Heat", "items": [1]}, Reply("Heat")),
        ({"id": "0-1", "items": [True]}, "expected a list of item ids under 'items'"),
        ({"id": "0-1", "titles": ["Heat", 7]}, "expected a list of titles under 'titles'"),
        ({"id": "0-1", "titles": "Heat"}, "expected a list of titles under 'titles'"),
        ({"id": "0-1"}, "no text under 'response', nor a list under 'items' or 'titles'"),
    ],
)
def test_a_row_may_hold_a_ranking(tmp_path: Path, line: object, reply: Reply | str) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, line)
    if isinstance(reply, str):
        with pytest.raises(UserError, match=rf"a\.jsonl:2: .*{reply}"):
            read_answers(path, QUERIES, rankings=True)
        return
    assert read_answers(path, QUERIES, rankings=True).replies == {"0-0": Reply("Heat"), "0-1": reply}
    if not reply.text:
        with pytest.raises(UserError, match="no text under 'response'"):
            read_answers(path, QUERIES)


def test_query_without_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.jsonl: no answer to query '0-1' "):
        read_answers(write(tmp_path / "a.jsonl", GOOD), QUERIES)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_file_that_answers_nothing_is_refused(tmp_path: Path, skip_bad: bool) -> None:
    with pytest.raises(UserError, match="no answer to query '0-0' and 1 more|answers none"):
        read_answers(write(tmp_path / "a.jsonl", ""), QUERIES, skip_bad)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl: no such file"):
        read_answers(tmp_path / "nowhere.jsonl", QUERIES)
