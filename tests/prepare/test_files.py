from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine import prepare
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.options import EmbeddingOptions, FilesOptions
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import UserError
from rerec_engine.worlds.options import CatalogueRequestOptions

GAMES = Path(__file__).parents[1] / "data" / "files" / "games"
FEW = CatalogueRequestOptions(train_queries=30, val_queries=10, test_queries=10, candidates=8, traces=30)
SMALL = EmbeddingOptions("attributes", dim=8)


def run(output: Path, **options: object) -> str:
    task = prepare.Files(
        output,
        GAMES / "games.csv",
        GAMES / "orders.csv",
        options=FilesOptions(noun="board game", **options),  # type: ignore[arg-type]
        requests=FEW,
        embedding=SMALL,
    )
    return prepare.run(task)


def test_a_shop_becomes_a_dataset(tmp_path: Path) -> None:
    told = run(tmp_path / "games")
    assert "  designer     attribute, cells split at ';', 36 values" in told
    assert "  price        number, 8.99 to 149.9 euros" in told
    dataset = load_dataset(tmp_path / "games")
    assert (dataset.item_count, dataset.interactions.shape, dataset.interactions.nnz) == (60, (90, 60), 874)
    item = dataset.item_of("00123")
    assert (dataset.titles[item], dataset.years[item], dataset.source_ids[item]) == ("Bohnanza", 1997, "00123")
    assert dataset.texts[item] == "Beans are planted in the order in which they are drawn, or traded away."
    assert dataset.attributes.attributes_of(item) == [
        ("designer", "Uwe Rosenberg"),
        ("category", "Negotiation"),
        ("category", "Card Game"),
        ("category", "Farming"),
    ]
    players = dataset.numbers["players"]
    assert (players.low[item], players.high[item], players.ranges) == (2, 7, True)
    assert dataset.description.numbers["price"].unit == "euros"
    assert (dataset.description.noun, dataset.description.items) == ("board game", "board games")
    assert dataset.user_of("cust0066") == dataset.user_ids.index("cust0066")
    assert len(dataset.queries("train")) == 30
    report = json.loads((tmp_path / "games/prepare_report.json").read_text())
    assert report["rows"]["interactions (orders.csv)"] == {"read": 874, "kept": 874, "dropped": {}}
    columns = report["settings"]["columns"]["interactions orders.csv: commas, UTF-8"]
    assert columns["date"] == "time (guessed from the name): ISO dates"
    vocabulary = (tmp_path / "games/vocabulary.json").is_file()
    assert vocabulary == (tmp_path / "games/warm_start.parquet").is_file()
    traces = read_traces(tmp_path / "games/warm_start.parquet") if vocabulary else []
    texts = [m["content"] for t in traces for m in t.prompt] + [t.response for t in traces]
    for split in dataset.splits:
        texts += [message["content"] for query in dataset.queries(split) for message in query.messages]
    words = " ".join([*texts, told, json.dumps(report)]).lower()
    assert "movie" not in words
    assert "film" not in words


def test_prompts_too_long_to_train_on_are_told_with_the_remedy(tmp_path: Path) -> None:
    told = run(tmp_path / "games", form="chat", facts="all").splitlines()[-1]
    assert told.startswith("train prompts, a token taken as 4 characters: of 30 counted, ")
    assert told.endswith(" keeps all")


def test_the_order_of_columns_does_not_matter_nor_their_form(tmp_path: Path) -> None:
    """The same catalogue as parquet, its columns turned round, without orders: embedded by its attributes."""
    run(tmp_path / "csv")
    lines = (GAMES / "games.csv").read_text().splitlines()
    assert lines[0] == "sku,name,year,designer,category,players,price,description"
    table = pa.csv.read_csv(GAMES / "games.csv")
    table = table.set_column(0, "sku", pa.array([line.split(",")[0] for line in lines[1:]]))
    pq.write_table(table.select(table.column_names[::-1]), tmp_path / "games.parquet")
    prepare.run(prepare.Files(tmp_path / "turned", tmp_path / "games.parquet", requests=FEW, embedding=SMALL))
    one, other = load_dataset(tmp_path / "csv"), load_dataset(tmp_path / "turned")
    assert (one.titles, one.years, one.source_ids) == (other.titles, other.years, other.source_ids)
    assert {*one.attributes.attributes_of(7)} == {*other.attributes.attributes_of(7)}
    np.testing.assert_array_equal(one.numbers["players"].low, other.numbers["players"].low)
    assert other.interactions.shape[0] == 0
    assert np.abs(np.linalg.norm(other.item_embeddings, axis=1) - 1).max() < 1e-5
    assert other.description.noun == "item"


def test_requests_for_people_like_the_users(tmp_path: Path) -> None:
    """Also anew, over the directory alone."""
    people = ("23,F,student,France", "47,M,baker,Italy")
    rows = [f"cust{n:04},{people[n % 2]}" for n in range(120)]
    (tmp_path / "people.csv").write_text("\n".join(["customer,age,sex,job,country", *rows, ""]))
    requests = replace(FEW, kinds="demographics,explicit", train_queries=60)
    task = prepare.Files(
        tmp_path / "data",
        GAMES / "games.csv",
        GAMES / "orders.csv",
        users=tmp_path / "people.csv",
        options=FilesOptions(noun="board game"),
        requests=requests,
        embedding=SMALL,
    )
    assert "occupation (guessed from the name)" in prepare.run(task)
    prepare.run(prepare.Requests(tmp_path / "again", tmp_path / "data", options=requests))
    for name in ("data", "again"):
        dataset = load_dataset(tmp_path / name)
        told = {"18-24 years old, female, student, from France", "45-49 years old, male, baker, from Italy"}
        assert {*dataset.profiles} == told
        assert dataset.profiles[dataset.user_of("cust0002")].startswith("18-24")
        words = " ".join(query.request for query in dataset.queries("train") if query.category == "demographics")
        assert any(said in words for said in ("a woman from France", "a student, 18 to 24 years old", "a male baker"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_columns": ("id=nothing",)}, r"games.csv: --item-columns: there is no column 'nothing' \(it has sku"),
        ({"item_columns": ("sku",)}, "--item-columns: expected NAME=COLUMN, got 'sku'"),
        ({"split": ("tags=;",)}, "games.csv: there is no column 'tags'"),
        ({"interaction_columns": ("time=customer", "user=customer")}, "orders.csv: column 'customer' holds no times"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, options: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_ids_alone(tmp_path: Path) -> None:
    """As LightGCN's authors have Last.fm."""
    (tmp_path / "data1.txt").write_text("424\t4076\t993\n1311\t1574\t957\n")
    with pytest.raises(UserError, match=r"data1.txt: of the items there are ids alone.*; HetRec 2011 \(grouplens.org"):
        prepare.run(prepare.Files(tmp_path / "x", preset="lastfm", source=tmp_path))


def test_no_items() -> None:
    with pytest.raises(UserError, match="give --items FILE"):
        prepare.run(prepare.Files(Path("x")))
