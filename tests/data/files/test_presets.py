"""Small files in the form that each source has: its columns, quoting, HTML and gaps."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, read_catalogue
from rerec_engine.data.files.presets import PRESETS, find_files
from rerec_engine.data.options import FilesOptions
from rerec_engine.errors import UserError


def read(name: str, folder: Path, **options: Any) -> FileCatalogue:
    found = find_files(PRESETS[name], folder)
    sources = FileSources(found.items, found.interactions, users=found.users, preset=found.preset, folder=folder)
    read = read_catalogue(sources, FilesOptions(**options))
    read.counts.check()
    assert sum(read.counts.read_by_kind.values()) > 0
    return read


def lines(folder: Path, name: str, rows: list[dict[str, Any]], python: bool = False) -> None:
    text = "".join((f"{row!r}" if python else json.dumps(row)) + "\n" for row in rows)
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


def attributes(read: FileCatalogue, item: int = 0) -> list[tuple[str, str]]:
    return read.knowledge.attributes.attributes_of(item)


def told(read: FileCatalogue) -> dict[str, str]:
    return {column: what for lines in read.told.values() for column, what in lines}


def test_amazon_2023(tmp_path: Path) -> None:
    meta = {
        "main_category": "Toys & Games", "title": "Catan &amp; Extension", "average_rating": 4.7, "rating_number": 12,
        "features": ["Trade &amp; build"], "description": ["A game.", "<b>For four</b><br />players"], "price": 44.99,
        "images": [{"thumb": "https://x/y.jpg", "variant": "MAIN"}], "videos": [], "store": "CATAN Studio",
        "categories": ["Toys & Games", "Games", "Board Games"], "parent_asin": "B00U26V4VQ", "bought_together": None,
        "details": {"Brand": "Catan", "Item model number": "3071", "Best Sellers Rank": {"Toys": 5}},
    }  # fmt: skip
    other = {**meta, "title": "Azul", "price": None, "parent_asin": "0001", "store": None, "details": {}}
    third = {**meta, "title": "Go", "price": "from 12.99", "parent_asin": "0002", "categories": [], "description": []}
    lines(tmp_path, "meta_Toys_and_Games.jsonl.gz", [meta, other, third])
    review = {
        "rating": 5.0, "title": "Great", "text": "I<br />like it", "images": [], "asin": "B00ZZZ", "user_id": "AHV6QC",
        "parent_asin": "B00U26V4VQ", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": True,
    }  # fmt: skip
    lines(
        tmp_path,
        "Toys_and_Games.jsonl",
        [review, {**review, "parent_asin": "0002", "timestamp": 1488687728923}, review],
    )
    catalogue = read("amazon-2023", tmp_path)
    assert catalogue.knowledge.titles == ["Catan & Extension", "Azul", "Go"]
    assert catalogue.items.source_ids == ["B00U26V4VQ", "0001", "0002"]
    assert catalogue.knowledge.texts[0] == "A game. For four players"
    assert ("brand", "CATAN Studio") in attributes(catalogue)
    assert ("category", "Board Games") in attributes(catalogue)
    assert catalogue.knowledge.numbers["price"].low.tolist()[::2] == [44.99, 12.99]
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[2, 0]]  # by time
    assert catalogue.counts.dropped("interactions (Toys_and_Games.jsonl)") == {"repeated (user, item)": 1}
    assert catalogue.knowledge.description.noun == "product"


def test_amazon_office_as_minionerec_has_it(tmp_path: Path) -> None:
    items = {
        "0": {"title": 'Tabs, 2", Clear (42)', "description": "['Insert <b>tabs</b>.', '']", "brand": "Smead"},
        "1": {"title": "Pen, Blue", "description": "['', '']", "brand": ""},
        "2": {"title": "Pen, Blue", "description": "", "brand": "Pilot"},
    }
    (tmp_path / "Office_Products.item.json").write_text(json.dumps(items, indent=2))
    head = "user_id,history_item_title,item_title,history_item_id,item_id,history_item_sid,item_sid\n"
    title = """"['Tabs, 2"", Clear (42)']",x"""
    (tmp_path / "valid.csv").write_text(f'{head}A1,{title},"[0, 1]",2,"[\'<a_1>\']",<a_2>\n')
    (tmp_path / "test.csv").write_text(f'{head}A1,{title},"[1, 2]",0,[],<a_2>\nA2,{title},[2],1,[],x\n')
    catalogue = read("amazon-office", tmp_path)
    assert catalogue.knowledge.titles == ['Tabs, 2", Clear (42)', "Pen, Blue [1]", "Pen, Blue [2]"]
    assert catalogue.knowledge.texts == ["Insert tabs.", None, None]
    assert catalogue.user_ids == ["A1", "A2"]
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 1, 2], [2, 1]]
    kind = "interactions (valid.csv, test.csv)"
    assert catalogue.counts.to_json()["rows"][kind] == {  # type: ignore[index]
        "read": 8, "kept": 5, "dropped": {"repeated (user, item)": 3}
    }  # fmt: skip
    (tmp_path / "test.csv").write_text(f"{head}A1,{title},[7],0,[],<a_2>\n")
    with pytest.raises(UserError, match=r"test.csv:2: item 7 is not in the catalogue"):
        read("amazon-office", tmp_path)


def test_lastfm(tmp_path: Path) -> None:
    """HetRec's files: tabs, latin-1, names with quotes."""
    (tmp_path / "artists.dat").write_bytes(
        'id\tname\turl\tpictureURL\n1\tMALICE MIZER\thttp://x/1\thttp://y/1.jpg\n2\t"Weird Al" Yankovic\thttp://x/2\t\n'
        "3\tSigur Rós\thttp://x/3\thttp://y/3.jpg\n".encode("latin-1")
    )
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n2\t1\t13883\n2\t3\t11690\n4\t3\t1\n")
    (tmp_path / "tags.dat").write_text("tagID\ttagValue\n1\tmetal\n2\tpost-rock\n")
    (tmp_path / "user_taggedartists.dat").write_text(
        "userID\tartistID\ttagID\tday\tmonth\tyear\n2\t3\t2\t1\t4\t2009\n4\t3\t2\t1\t4\t2009\n2\t1\t1\t1\t4\t2009\n"
    )
    catalogue = read("lastfm", tmp_path)
    assert catalogue.knowledge.titles == ["MALICE MIZER", '"Weird Al" Yankovic', "Sigur Rós"]
    assert attributes(catalogue, 2) == [("tag", "post-rock")]
    assert attributes(catalogue, 0) == []
    assert told(catalogue)["url"] == told(catalogue)["pictureURL"] == "left out: links"
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 2], [2]]


def test_lastfm_without_artists(tmp_path: Path) -> None:
    """As LightGCN's authors have it: ids alone, no header."""
    (tmp_path / "data1.txt").write_text("424\t4076\t993\n1311\t1574\t957\n")
    (tmp_path / "test1.txt").write_text("424\t1574\t57\n")
    catalogue = read("lastfm", tmp_path)
    assert catalogue.knowledge.titles == ["Artist 4076", "Artist 1574"]
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 1], [1]]
    assert catalogue.items.source_ids == ["4076", "1574"]


@pytest.mark.parametrize("form", ["csv", "dat"])
def test_movielens(tmp_path: Path, form: str) -> None:
    if form == "csv":
        (tmp_path / "movies.csv").write_text(
            "movieId,title,genres\n1,Toy Story (1995),Adventure|Comedy\n"
            '2,"American President, The (1995)",Drama|Comedy\n'
            "3,Green (2015),(no genres listed)\n"
        )
        (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,4.0,964982703\n1,1,4.0,964981247\n")
    else:
        (tmp_path / "movies.dat").write_bytes(
            "1::Toy Story (1995)::Adventure|Comedy\n2::American President, The (1995)::Drama|Comedy\n3::Été (2015)::"
            "(no genres listed)\n".encode("latin-1")
        )
        (tmp_path / "ratings.dat").write_text("1::2::4::964982703\n1::1::4::964981247\n")
        (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    catalogue = read("movielens", tmp_path)
    assert catalogue.knowledge.titles[1] == "American President, The (1995)"
    assert catalogue.knowledge.years == [1995, 1995, 2015]
    assert attributes(catalogue, 1) == [("genre", "Comedy"), ("genre", "Drama")]
    assert attributes(catalogue, 2) == []
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 1]]
    if form == "dat":
        assert catalogue.knowledge.profiles == ["under 18 years old, female, school student"]
        assert catalogue.counts.dropped("users (users.dat)") == {"without interactions": 1}


@pytest.mark.parametrize(
    "head",
    [
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
        "item_id:token\tmovie_name:token_seq\trelease_year:float\tgenre:token_seq",
    ],
)
def test_recbole(tmp_path: Path, head: str) -> None:
    rows = "1\tHeat\t1995.0\tCrime War\n2\tunkonwn\tunkonwn\tunknown\n3\tHeat\t1972\tCrime\n"
    (tmp_path / "ml.item").write_text(f"{head}\n{rows}")
    (tmp_path / "ml.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n9\t3\t1\t8.5e8\n")
    (tmp_path / "ml.user").write_text("user_id:token\tage:token\tgender:token\toccupation:token\n9\t24\tM\tother\n")
    catalogue = read("recbole", tmp_path, skip_bad=True)
    assert catalogue.knowledge.profiles == ["18-24 years old, male"]
    assert catalogue.knowledge.titles == ["Heat (1995)", "unkonwn", "Heat (1972)"]
    assert catalogue.knowledge.years == [1995, None, 1972]
    assert [value for _, value in attributes(catalogue)] == ["Crime", "War"]


def test_steam(tmp_path: Path) -> None:
    """Lines as Python writes them; "Free To Play" is a price."""
    game = {
        "publisher": "Kotoshiro", "genres": ["Action", "Indie"], "app_name": "Lost Summoner Kitty",
        "title": "Lost Summoner Kitty", "url": "http://store/app/761140/", "release_date": "2018-01-04",
        "tags": ["Strategy", "Indie"], "discount_price": 4.49, "reviews_url": "http://x", "specs": ["Single-player"],
        "price": 4.99, "early_access": False, "id": "761140", "developer": "Kotoshiro's",
    }  # fmt: skip
    free = {
        **game,
        "id": "70",
        "app_name": "Half\u2122",
        "price": "Free To Play",
        "release_date": "Soon..",
        "early_access": True,
    }
    lines(tmp_path, "steam_games.json.gz", [game, free, {"url": "x", "app_name": None, "id": "3"}], python=True)
    review = {"username": "Chaos", "hours": 0.1, "product_id": "70", "date": "2017-12-17", "text": 'it\'s "ok"'}
    lines(
        tmp_path,
        "steam_reviews.json.gz",
        [review, {**review, "date": "2016-01-01", "product_id": "761140"}],
        python=True,
    )
    catalogue = read("steam", tmp_path)
    assert catalogue.knowledge.titles == ["Lost Summoner Kitty", "Half™"]
    assert catalogue.knowledge.years == [2018, None]
    assert catalogue.knowledge.numbers["price"].low.tolist() == [4.99, 0]
    assert ("feature", "early access") in attributes(catalogue, 1)
    assert ("tag", "Indie") in attributes(catalogue)
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 1]]
    assert catalogue.counts.dropped("items (steam_games.json.gz)") == {"no title": 1}


def test_goodreads(tmp_path: Path) -> None:
    """Every number is text there, gaps are empty."""
    book = {
        "isbn": "", "text_reviews_count": "1", "series": [], "country_code": "US", "language_code": "eng",
        "popular_shelves": [{"count": "3", "name": "to-read"}, {"count": "1", "name": "history"}], "asin": "",
        "is_ebook": "false", "average_rating": "4.00", "kindle_asin": "", "similar_books": [], "format": "Hardcover",
        "description": "A &quot;true&quot; story", "link": "https://x",
        "authors": [{"author_id": "604031", "role": ""}],
        "publisher": "Crown", "num_pages": "256", "publication_day": "1", "isbn13": "", "publication_month": "10",
        "publication_year": "1984", "url": "https://y", "image_url": "https://z", "book_id": "5333265",
        "ratings_count": "3", "work_id": "5400751", "title": "W.C. Fields", "title_without_series": "W.C. Fields",
    }  # fmt: skip
    lines(
        tmp_path, "goodreads_books_history.json.gz", [book, {**book, "book_id": "7", "num_pages": "", "publisher": ""}]
    )
    read_book = {
        "user_id": "8842281e", "book_id": "7", "review_id": "x", "is_read": False, "rating": 0,
        "date_added": "Fri Dec 08 00:46:28 -0800 2017", "date_updated": "", "read_at": "", "started_at": "",
    }  # fmt: skip
    earlier = {**read_book, "book_id": "5333265", "date_added": "Tue Aug 22 11:56:31 -0700 2017"}
    lines(tmp_path, "goodreads_interactions_history.json.gz", [read_book, earlier])
    catalogue = read("goodreads", tmp_path)
    assert catalogue.knowledge.titles == ["W.C. Fields [5333265]", "W.C. Fields [7]"]
    assert catalogue.knowledge.years == [1984, 1984]
    assert catalogue.knowledge.numbers["pages"].low[0] == 256
    assert catalogue.knowledge.texts[0] == 'A "true" story'
    assert [own.tolist() for own in catalogue.knowledge.histories] == [[0, 1]]


def test_a_folder_without_its_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of artists.dat, user_artists.dat, data1.txt, test1.txt is there"):
        find_files(PRESETS["lastfm"], tmp_path)
    with pytest.raises(UserError, match="no such directory"):
        find_files(PRESETS["lastfm"], tmp_path / "gone")
