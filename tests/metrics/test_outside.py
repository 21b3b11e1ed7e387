"""Other people's models: the command against a stand-in server, killed and gone on, and files of answers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError
from rerec_engine.evaluate import main

pytest.importorskip("openai", reason="the openai client is missing: pip install .[test]")


@pytest.fixture(scope="module")
def dataset(mini_demo: Path) -> Dataset:
    return load_dataset(mini_demo)


@pytest.fixture
def say(dataset: Dataset) -> Callable[[dict[str, Any]], str]:
    """The right item to every second query of test, to the others a wrong one."""
    queries = {query.messages[-1]["content"]: (i, query) for i, query in enumerate(dataset.queries("test"))}

    def say(body: dict[str, Any]) -> str:
        number, query = queries[body["messages"][-1]["content"]]
        right = query.ground_truth[0]
        item = right if number % 2 == 0 else next(item for item in query.candidates if item not in query.ground_truth)
        return f"Because.\n\\boxed{{{dataset.titles[item]}}}"

    return say


def words(url: str, data: Path, *more: str) -> list[str]:
    return ["--server", url, "--model", "stand-in", "--data", str(data), "--max-new-tokens", "64", *more]


def test_a_server_has_the_same_table_and_json(
    mini_demo: Path, dataset: Dataset, stand_in: Any, say: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = stand_in(say)
    main(words(server.url, mini_demo, "--baselines", "--output", str(tmp_path / "out.json")))
    written = json.loads((tmp_path / "out.json").read_text())
    queries = dataset.queries("test")
    assert [row["id"] for row in written["rows"]] == [query.id for query in queries]
    assert (written["accuracy"]["mean"], written["format_rate"]["mean"]) == (0.5, 1)
    assert written["baselines"]["figures"]["chance"]["all"]["lead"]["mean"] == pytest.approx(0.5 - 1 / 6)
    spent = written["server"]
    assert (spent["prompt_tokens"], spent["kept"], spent["too_long"], spent["unanswered"]) == (7 * 20, 0, [], {})
    assert spent["settings"] == {"max_tokens": 64, "temperature": 0}
    told = " ".join(capsys.readouterr().out.split())
    assert "test: 20 queries, greedy" in told
    assert re.search(r"140 prompt and \d+ completion tokens; \d+ s, \d", told)

    # what was kept is a file of answers, of this split too
    main(["--predictions", spent["answers"], "--data", str(mini_demo), "--output", str(tmp_path / "again.json")])
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["rows"] == written["rows"]
    assert again["mean_length"] == written["mean_length"]
    assert "test: 20 queries, from a file" in capsys.readouterr().out

    # and the command goes on from there, but not with other settings
    main(words(server.url, mini_demo, "--output", str(tmp_path / "out.json")))
    assert len(server.asked) == 20
    with pytest.raises(UserError, match=r"another run \(temperature: 0.0, now 0.5\)"):
        main(words(server.url, mini_demo, "--temperature", "0.5", "--output", str(tmp_path / "out.json")))


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(mini_demo: Path, stand_in: Any, say: Any, tmp_path: Path) -> None:
    release = threading.Event()
    count = iter(range(100))

    def slow(body: dict[str, Any]) -> str:
        if next(count) >= 7:
            release.wait(60)
        return str(say(body))

    server = stand_in(slow)
    log = tmp_path / "log.jsonl"
    more = ("--concurrency", "2", "--answers", str(log), "--output", str(tmp_path / "out.json"))
    command = [sys.executable, "-m", "rerec_engine.evaluate", *words(server.url, mini_demo, *more)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(server.asked) < 9 and process.poll() is None:
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGKILL)
    release.set()
    kept = len(log.read_text().splitlines()) - 1
    assert kept == 7
    assert not (tmp_path / "out.json").exists()
    before = len(server.asked)
    main(words(server.url, mini_demo, *more))
    assert len(server.asked) == before + 20 - kept
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["accuracy"]["mean"], written["server"]["kept"]) == (0.5, kept)


def test_answers_are_kept_here_where_nothing_else_is_said(
    mini_demo: Path, stand_in: Any, say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = stand_in(say)
    words = ["--server", server.url, "--model", "a/b: c", "--data", str(mini_demo), "--limit", "3"]
    main(words)
    assert [path.name for path in tmp_path.iterdir()] == ["a-b-c.test.answers.jsonl"]
    words[-1] = "5"  # further queries of the same split
    main(words)
    assert len(server.asked) == 5


def test_what_has_no_answer_is_told(
    mini_demo: Path, stand_in: Any, say: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = iter(range(100))

    def faulty(body: dict[str, Any]) -> Any:
        number = next(count)
        if number == 3:
            return 400, {"error": {"message": "maximum context length is 9"}}
        return {"choices": []} if 5 <= number < 8 else say(body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rerec_engine.metrics.server.PAUSE", 0.01)
        more = ("--concurrency", "1", "--skip-bad", "--output", str(tmp_path / "out.json"))
        main(words(stand_in(faulty).url, mini_demo, *more))
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["queries"] == 19
    assert len(written["server"]["too_long"]) == len(written["server"]["unanswered"]) == 1
    assert written["format_rate"]["mean"] == pytest.approx(18 / 19)
    told = " ".join(capsys.readouterr().out.split())
    assert "too long for the model, counted as without an answer: 1" in told
    assert "unanswered and left out: 1 (an answer without a message" in told


def test_a_file_of_answers_to_a_split(
    mini_demo: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = dataset.queries("test")
    path = tmp_path / "answers.jsonl"
    lines = [{"id": q.id, "response": f"\\boxed{{{dataset.titles[q.ground_truth[0]]}}}"} for q in queries[:5]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    base = ["--predictions", str(path), "--data", str(mini_demo), "--output", str(tmp_path / "out.json")]
    with pytest.raises(UserError, match=r"no answer to query .* and 14 more"):
        main(base)
    main([*base, "--limit", "4"])
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["queries"], written["accuracy"]["mean"], written["mean_length"]) == (4, 1, None)
    assert " tokens," not in capsys.readouterr().out
    main([*base, "--skip-bad", "--baselines"])
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["queries"], written["skipped"]["unanswered"]) == (5, 15)
    assert len(written["baselines"]["hits"]["chance"]) == 5
    assert "left out: 15 unanswered" in capsys.readouterr().out


def test_a_file_of_texts_and_rankings_beside_what_needs_no_model(
    mini_demo: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = dataset.queries("test")
    path = tmp_path / "lists.jsonl"
    right = [query.ground_truth[0] for query in queries]
    others = [next(i for i in query.candidates if i not in query.ground_truth) for query in queries]
    titles = dataset.titles
    lines: list[dict[str, Any]] = [
        {"id": queries[0].id, "response": f"\\boxed{{{titles[others[0]]}; {titles[right[0]]}}}"},
        {"id": queries[1].id, "items": [right[1], others[1], right[1]]},
        {"id": queries[2].id, "titles": ["No Such Film", titles[others[2]], titles[right[2]].upper()]},
        {"id": queries[3].id, "items": [dataset.item_count]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    base = ["--predictions", str(path), "--data", str(mini_demo), "--output", str(tmp_path / "out.json"), "--ranking"]
    with pytest.raises(UserError, match=r"lists\.jsonl: query '[^']+': .*skip_bad leaves such rows out"):
        main([*base, "--limit", "4"])
    main([*base, "--skip-bad", "--baselines"])
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["skipped"] == {"broken": 1, "repeated": 0, "unknown": 0, "unanswered": 16}
    ranking = written["ranking"]
    assert [row["lists"]["lists.jsonl"] for row in ranking["rows"]] == [
        [others[0], right[0]],
        [right[1], others[1]],
        [-1, others[2], right[2]],
    ]
    figures = ranking["systems"]["lists.jsonl"]["groups"]["all"]["measures"]
    assert figures["HR@1"]["mean"] == pytest.approx(1 / 3)
    assert figures["MRR@10"]["mean"] == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    assert ranking["systems"]["popularity"]["groups"]["all"]["queries"] == 3
    assert ranking["systems"]["popularity"]["lead"] is not None
    told = capsys.readouterr().out
    assert "left out: 1 broken" in told
    assert "test: 3 queries, candidates ranked" in told


def test_a_server_s_lists_are_ranked(mini_demo: Path, stand_in: Any, say: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    main(words(stand_in(say).url, mini_demo, "--ranking", "--limit", "6", "--output", str(out)))
    written = json.loads(out.read_text())
    name, *others = written["ranking"]["systems"]
    assert not others
    assert name in words("", mini_demo)
    assert written["ranking"]["queries"] == 6
    assert {len(row["lists"][name]) for row in written["ranking"]["rows"]} <= {0, 1}
