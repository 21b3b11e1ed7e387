from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.assemble import Prepared, check_shares
from rerec_engine.data.rerec_parquet import ParquetOptions, find_parquet, prepare_parquet
from rerec_engine.errors import UserError
from rerec_engine.types import Query

FILMS = [
    "Usual Suspects, The (1995)",
    "Heat (1995)",
    "L'Associé; or not (1982)",
    "Crouching Tiger, Hidden Dragon (2000)",
]
SHARES = check_shares(0.25, 0)


def item_graph() -> nx.Graph:
    graph = nx.Graph()
    for title in FILMS:
        graph.add_node(title, type="movie")
    graph.add_node("g1", type="Genre", label="Crime")
    graph.add_edge(FILMS[0], "g1", relation="genre")
    graph.add_edge("g1", FILMS[1], relation="genre")
    graph.add_edge(FILMS[0], FILMS[1], relation="similar")
    return graph


def row(truth: object, candidates: list[str] | None, name: object = None) -> dict[str, Any]:
    text = "A film?" if candidates is None else "A film? Candidates:\n" + "\n".join(candidates)
    return {
        "data_source": "rerec",
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}],
        "ability": "rec",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": 0, "id": name, "split": "train"},
    }


def write_source(folder: Path, rows: list[dict[str, Any]]) -> Path:
    nx.write_gexf(item_graph(), folder / "item_graph.gexf")
    users = nx.Graph()
    for title in FILMS:
        users.add_node(title, type="movie")
    users.add_edges_from([("u1", FILMS[0]), ("u1", FILMS[2]), ("u2", FILMS[0])])
    nx.write_gexf(users, folder / "user_item.gexf")
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    return folder


def all_queries(prepared: Prepared) -> list[Query]:
    return [query for queries in prepared.splits.values() for query in queries]


def test_parquet_and_graphs(tmp_path: Path) -> None:
    rows = [
        row("Heat (1995);Usual Suspects, The (1995)", FILMS[:3]),
        row("L'Associé; or not (1982)", FILMS),
        row("The Usual Suspects", None),
        row("Heat (1995)", [FILMS[1], FILMS[3]]),
    ]
    prepared = prepare_parquet(find_parquet(write_source(tmp_path, rows)), ParquetOptions(), SHARES)
    prepared.counts.check()
    queries = {query.id: query for query in all_queries(prepared)}
    assert prepared.items.titles == FILMS
    assert queries["train-1"].ground_truth == (1, 0)
    assert queries["train-1"].candidates == (0, 1, 2)
    assert queries["train-2"].ground_truth == (2,)
    assert queries["train-3"].candidates == ()
    assert queries["train-3"].ground_truth == (0,)
    assert [len(prepared.splits[split]) for split in ("train", "val")] == [3, 1]
    assert {query.request for query in queries.values()} == {"A film?"}
    assert queries["train-1"].messages[0] == {"role": "system", "content": "Be brief."}
    assert prepared.graph.attributes_of(1) == [("genre", "Crime")]
    assert prepared.counts.dropped("attributes (item_graph.gexf)") == {"between two items": 1}
    assert prepared.interactions.toarray().tolist() == [[1, 0, 1, 0], [1, 0, 0, 0]]
    assert prepared.user_ids == ["u1", "u2"]
    assert prepared.items.source_ids == FILMS


def test_open_form_and_bad_rows(tmp_path: Path) -> None:
    rows = [
        row("", FILMS),
        row("Heat (1995)", [FILMS[0], FILMS[2]]),
        row("Nothing (1900)", FILMS),
        row("Heat (1995)", [*FILMS, "Gone (1901)"]),
        row("Heat (1995)", FILMS, "x"),
        row("Heat (1995)", FILMS, "x"),
    ]
    sources = find_parquet(write_source(tmp_path, rows))
    with pytest.raises(UserError, match=r"train\.parquet:2: .*not among the candidates"):
        prepare_parquet(sources, ParquetOptions(), SHARES)
    prepared = prepare_parquet(sources, ParquetOptions(skip_bad=True), SHARES)
    prepared.counts.check()
    assert prepared.counts.dropped("train") == {
        "ground truth not among candidates": 1,
        "title in no catalogue": 2,
        "empty ground truth": 1,
        "repeated id": 1,
    }
    prepared = prepare_parquet(sources, ParquetOptions(open=True, skip_bad=True), SHARES)
    assert {query.candidates for query in all_queries(prepared)} == {()}
    assert prepared.counts.kept_by_kind["train"] == 3


def test_prompts_of_others_are_not_made_anew(tmp_path: Path, check_prompts: Callable[[Prepared], None]) -> None:
    sources = find_parquet(write_source(tmp_path, [row("Heat (1995)", FILMS)]))
    with pytest.raises(UserError, match="no other order"):
        check_prompts(prepare_parquet(sources, ParquetOptions(), check_shares(0, 0)))


def test_a_row_without_ground_truth_is_dropped(tmp_path: Path) -> None:
    rows = [row("", FILMS), row("Heat (1995)", FILMS), row(" ; ", FILMS)]
    prepared = prepare_parquet(find_parquet(write_source(tmp_path, rows)), ParquetOptions(), check_shares(0, 0))
    prepared.counts.check()
    assert [query.id for query in prepared.splits["train"]] == ["train-2"]
    assert prepared.counts.dropped("train") == {"empty ground truth": 2}


def test_structs_as_json_in_strings(tmp_path: Path) -> None:
    rows = [row("Heat (1995)", FILMS, name) for name in ("x", "y")]
    for name in ("extra_info", "reward_model"):
        rows[0][name], rows[1][name] = json.dumps(rows[0][name]), json.dumps(rows[1][name])
    prepared = prepare_parquet(find_parquet(write_source(tmp_path, rows)), ParquetOptions(), check_shares(0, 0))
    assert [(query.id, query.ground_truth) for query in prepared.splits["train"]] == [("x", (1,)), ("y", (1,))]


@pytest.mark.parametrize("prompt", ["A film?", "[A film?]", '[{"content": "A film?"}]', "[]"])
def test_a_prompt_in_a_string_is_the_users(tmp_path: Path, prompt: str) -> None:
    sources = find_parquet(write_source(tmp_path, [{**row("Heat (1995)", None), "prompt": prompt}]))
    (query,) = all_queries(prepare_parquet(sources, ParquetOptions(), check_shares(0, 0)))
    assert query.messages == ({"role": "user", "content": prompt},)


def test_messages_as_json_in_a_string(tmp_path: Path) -> None:
    given = row("Heat (1995)", FILMS)
    sources = find_parquet(write_source(tmp_path, [{**given, "prompt": json.dumps(given["prompt"])}]))
    (query,) = all_queries(prepare_parquet(sources, ParquetOptions(), check_shares(0, 0)))
    assert [message["role"] for message in query.messages] == ["system", "user"]
    assert (query.request, query.candidates) == ("A film?", (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("value", "message"),
    [("{'id': 1}", "extra_info is a string, but no JSON"), ("[1]", "extra_info must be a struct, got list")],
)
def test_a_string_that_is_no_struct(tmp_path: Path, value: str, message: str) -> None:
    sources = find_parquet(write_source(tmp_path, [{**row("Heat (1995)", FILMS), "extra_info": value}]))
    with pytest.raises(UserError, match=rf"train\.parquet:1: {message}"):
        prepare_parquet(sources, ParquetOptions(), SHARES)
    assert prepare_parquet(sources, ParquetOptions(skip_bad=True), SHARES).counts.dropped("train") == {"broken row": 1}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "validation-00000-of-00001", "eval_set"])
def test_names_of_the_val_split(tmp_path: Path, name: str) -> None:
    write_source(tmp_path, [row("Heat (1995)", FILMS)])
    pq.write_table(pa.Table.from_pylist([row("Heat (1995)", FILMS)]), tmp_path / f"{name}.parquet")
    assert find_parquet(tmp_path).splits == {"train": tmp_path / "train.parquet", "val": tmp_path / f"{name}.parquet"}


def test_a_graph_without_items_is_refused(tmp_path: Path) -> None:
    write_source(tmp_path, [row("Heat (1995)", FILMS)])
    (tmp_path / "item_graph.gexf").write_text('<gexf><node id="a" label="Heat"/></gexf>')
    with pytest.raises(UserError, match=r"item_graph\.gexf.*give a catalogue"):
        prepare_parquet(find_parquet(tmp_path), ParquetOptions(), SHARES)


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no train, val or test parquet"):
        find_parquet(tmp_path)
    write_source(tmp_path, [row("Heat (1995)", FILMS)])
    (tmp_path / "item_graph.gexf").unlink()
    with pytest.raises(UserError, match="give a graph"):
        prepare_parquet(find_parquet(tmp_path), ParquetOptions(), SHARES)
