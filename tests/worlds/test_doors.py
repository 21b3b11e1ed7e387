from __future__ import annotations

import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.worlds.doors import write_made


@pytest.mark.parametrize(
    ("options", "category"),
    [({"prepare": "world"}, "explicit"), ({"prepare": "next-item", "history": 2}, "sequential")],
)
def test_a_dataset_by_the_name_of_its_command(folder, tmp_path, small, options, category):
    write_made(tmp_path / "d", {**small, "movielens": str(folder), "min_ratings": 1, **options})
    assert load_dataset(tmp_path / "d").queries("test")[0].category == category


def test_the_demo_is_the_default(tmp_path, small):
    write_made(tmp_path / "d", {**small, "films": 40, "books": 40, "users": 30})
    assert load_dataset(tmp_path / "d").description.invented


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prepare": "song"}, "prepare: one of demo, world, next-item, got 'song'"),
        ({"movielens": "x"}, "`prepare demo` has no option 'movielens'"),
        ({"prepare": "next-item", "movielens": "x", "taste": "told"}, "`prepare next-item` has no option 'taste'"),
        ({"prepare": "world"}, "`prepare world` needs movielens"),
    ],
)
def test_what_is_amiss_is_told(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        write_made(tmp_path / "d", options)
