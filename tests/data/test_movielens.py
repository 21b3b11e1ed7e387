from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rerec_engine.data.assemble import Prepared, check_shares
from rerec_engine.data.movielens import MovieLensOptions, find_movielens, prepare_movielens
from rerec_engine.errors import UserError

SHARES = check_shares(0.1, 0.1)


def write_atomic(folder: Path, **changes: str) -> Path:
    """RecBole files: 60 films; user 1 met films 1..9 in falling order of time, user 2 only two."""
    rows = [f"1\t{i}\t3\t{1000 - i}" for i in range(1, 10)] + ["2\t1\t4\t7", "2\t2\t4\t8"]
    files = {
        "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(rows) + "\n",
        "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        + "".join(f"{i}\tFilm {i}\t{1900 + i}\tWar Drama\n" for i in range(1, 61)),
        "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\twriter\t8\n",
        "link": "item_id:token\tentity_id:token\n1\tm.1\n2\tm.2\n",
        "kg": "head_id:token\trelation_id:token\ttail_id:token\n"
        "m.1\tactor\tm.x\nm.x\tacted\tm.1\nm.2\tsequel\tm.1\nm.8\tr\tm.9\n",
    }
    for suffix, text in {**files, **changes}.items():
        (folder / f"small.{suffix}").write_text(text)
    return folder


def test_atomic_files(tmp_path: Path) -> None:
    prepared = prepare_movielens(find_movielens(write_atomic(tmp_path)), MovieLensOptions(history=4), SHARES)
    prepared.counts.check()
    (test,), (val,), train = prepared.splits["test"], prepared.splits["val"], prepared.splits["train"]
    titles = prepared.items.titles
    assert [titles[item] for item in test.history] == [f"Film {i} ({1900 + i})" for i in (5, 4, 3, 2)]
    assert titles[test.ground_truth[0]] == "Film 1 (1901)"
    assert titles[val.ground_truth[0]] == "Film 2 (1902)"
    assert [titles[q.ground_truth[0]] for q in train] == [f"Film {i} ({1900 + i})" for i in (6, 5, 4, 3)]
    assert "24 years old, male, writer" in test.messages[0]["content"]
    for query in (test, val, *train):
        assert len(set(query.candidates)) == 20
        assert set(query.candidates) & set(range(9)) == set(query.ground_truth)  # negatives were never met
    assert prepared.interactions.toarray()[0, :9].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert (prepared.items.source_ids[:2], prepared.user_ids) == (["1", "2"], ["1", "2"])
    assert {query.request for query in train} == {"Which movie should I watch next?"}
    assert prepared.description.noun == "movie"
    assert prepared.counts.dropped("users") == {"fewer than 6 interactions": 1}
    assert prepared.counts.dropped("attributes (small.kg)") == {"inverse of an item's edge": 1, "of no item": 1}
    assert prepared.graph.attributes_of(1) == [("genre", "War"), ("genre", "Drama"), ("sequel", "m.1")]


def test_queries_are_limited_by_seed(tmp_path: Path) -> None:
    sources = find_movielens(write_atomic(tmp_path))
    limited = prepare_movielens(sources, MovieLensOptions(max_queries=2), SHARES)
    limited.counts.check()
    assert len(limited.splits["train"]) == 2
    assert limited.counts.dropped("targets (train)") == {"over max_queries": 2}
    again = prepare_movielens(sources, MovieLensOptions(max_queries=2), SHARES)
    assert again.splits == limited.splits
    with pytest.raises(UserError, match="at least 1"):
        prepare_movielens(sources, MovieLensOptions(max_queries=0), SHARES)


def test_a_user_who_has_met_nearly_all_is_dropped(tmp_path: Path) -> None:
    """Of 40 films the first met 30, so that 10 are left where 19 negatives are needed; the other met 8."""
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    rows = [f"a7\t{i}\t4\t{i}" for i in range(1, 31)] + [f"b8\t{i}\t4\t{i}" for i in range(1, 9)]
    items = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    films = "".join(f"{i}\tFilm {i}\t{1900 + i}\tWar\n" for i in range(1, 41))
    write_atomic(tmp_path, inter=header + "\n".join(rows) + "\n", item=items + films)
    prepared = prepare_movielens(find_movielens(tmp_path), MovieLensOptions(), SHARES)
    prepared.counts.check()
    assert {query.user_id for queries in prepared.splits.values() for query in queries} == {1}
    assert prepared.counts.dropped("targets (test)") == {"too few negatives": 1}
    assert prepared.counts.dropped("targets (train)") == {"too few negatives": 25}
    assert prepared.counts.examples["targets (test): too few negatives"] == ["user a7 has met all but 10 items"]


@pytest.mark.parametrize(
    ("suffix", "text", "place"),
    [
        ("inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t1\t3\n", r"small\.inter:2: "),
        (
            "inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t99\t3\t5\n",
            r"small\.inter:2: item 99",
        ),
        ("inter", "user\titem\n", r"small\.inter:1: expected the header"),
        (
            "item",
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tA\n",
            r"small\.item:2: ",
        ),
        ("kg", "head_id:token\trelation_id:token\ttail_id:token\nm.1\tr\n", r"small\.kg:2: expected 3 fields"),
        ("link", "item_id:token\tentity_id:token\n99\tm.1\n", r"small\.link:2: item 99"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, suffix: str, text: str, place: str) -> None:
    sources = find_movielens(write_atomic(tmp_path, **{suffix: text}))
    with pytest.raises(UserError, match=place):
        prepare_movielens(sources, MovieLensOptions(), SHARES)


def write_ml1m(folder: Path) -> Path:
    (folder / "movies.dat").write_text("".join(f"{i}::Film {i} ({1900 + i})::War\n" for i in range(1, 61)))
    (folder / "users.dat").write_text("".join(f"{u}::F::25::12::1\n" for u in (11, 12)))
    (folder / "item_map.txt").write_text("".join(f"{i} {60 - i}\n" for i in range(1, 61)))
    (folder / "user_map.txt").write_text("11 1\n12 0\n")
    (folder / "train.txt").write_text("1 59 58 57\n0 0 1\n")
    (folder / "test.txt").write_text("0 2 3\n1\n")
    return folder


def test_internal_ids_are_joined_through_the_maps(tmp_path: Path) -> None:
    prepared = prepare_movielens(find_movielens(write_ml1m(tmp_path)), MovieLensOptions(), check_shares(0, 0))
    prepared.counts.check()
    (query,) = prepared.splits["train"]
    titles = prepared.items.titles
    assert [titles[item] for item in query.history] == ["Film 60 (1960)", "Film 59 (1959)"]
    assert titles[query.ground_truth[0]] in ("Film 58 (1958)", "Film 57 (1957)")
    assert prepared.extra_info[query.id]["all_ground_truth"] == ["Film 58 (1958)", "Film 57 (1957)"]
    assert query.user_id == 0
    assert prepared.user_ids == ["12", "11"]
    assert "25-34 years old, female, programmer" in query.messages[0]["content"]
    assert prepared.counts.dropped("users") == {"no held-out item": 1}
    (tmp_path / "train.txt").write_text("1 59 60\n")
    with pytest.raises(UserError, match=r"train\.txt:1: item 60 is in no id map"):
        prepare_movielens(find_movielens(tmp_path), MovieLensOptions(), SHARES)
    (tmp_path / "user_map.txt").write_text("11 1\n12 2\n")
    with pytest.raises(UserError, match=r"user_map\.txt: internal ids must be 0\.\.1"):
        prepare_movielens(find_movielens(tmp_path), MovieLensOptions(), SHARES)


def test_ratings_dat_is_used_by_time(tmp_path: Path) -> None:
    write_ml1m(tmp_path)
    (tmp_path / "ratings.dat").write_text("".join(f"11::{i}::4::{100 - i}\n" for i in range(1, 8)))
    prepared = prepare_movielens(find_movielens(tmp_path), MovieLensOptions(), SHARES)
    assert prepared.items.titles[prepared.splits["test"][0].ground_truth[0]] == "Film 1 (1901)"


def test_a_folder_without_movielens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither"):
        find_movielens(tmp_path)
    (tmp_path / "u.data").touch()
    with pytest.raises(UserError, match="take `prepare files --preset movielens --source"):
        find_movielens(tmp_path)


@pytest.fixture(scope="module")
def ml100k(shared_data: Path) -> Prepared:
    return prepare_movielens(find_movielens(shared_data / "ml-100k"), MovieLensOptions(max_queries=500), SHARES)


def test_real_ml100k(ml100k: Prepared) -> None:
    counts = ml100k.counts
    counts.check()
    assert counts.read_by_kind["ratings (ml-100k.inter)"] == 100_000
    assert counts.read_by_kind["items (ml-100k.item)"] == 1682
    assert counts.dropped("items (ml-100k.item)") == {"merged with an item of the same title": 18}
    foreign = {"an id of ML-1M, where the catalogue has ML-100K's": 1598}
    assert counts.dropped("links (ml-100k.link)") == foreign
    assert {*ml100k.graph.relations} == {"genre"}
    kept = counts.kept_by_kind["ratings (ml-100k.inter)"]
    assert counts.kept_by_kind["users"] == 943
    assert ml100k.interactions.nnz == kept - 2 * 943  # val and test targets are held out
    targets = sum(counts.read_by_kind[f"targets ({split})"] for split in SHARES)
    assert targets == kept - 3 * 943  # the first three interactions are history alone
    assert {split: len(queries) for split, queries in ml100k.splits.items()} == dict.fromkeys(SHARES, 500)


def test_real_ml100k_targets_come_after_their_history(ml100k: Prepared, shared_data: Path) -> None:
    rows = np.loadtxt(shared_data / "ml-100k" / "ml-100k.inter", skiprows=1, dtype=np.int64)
    first = list(dict.fromkeys(rows[:, 0].tolist()))
    for query in ml100k.splits["test"][:100]:
        own = rows[rows[:, 0] == first[query.user_id]]
        time = {ml100k.items.index[str(item)]: stamp for item, stamp in own[::-1, [1, 3]].tolist()}
        (target,) = query.ground_truth
        assert time[target] == max(time.values())
        assert [time[item] for item in query.history] == sorted(time[item] for item in query.history)
        assert sum(stamp > time[query.history[0]] for stamp in time.values()) <= 10


def test_real_ml1m(shared_data: Path) -> None:
    prepared = prepare_movielens(find_movielens(shared_data / "ml-1m"), MovieLensOptions(), SHARES)
    prepared.counts.check()
    notes = prepared.counts.notes
    assert (notes["interactions (train.txt)"], notes["interactions (test.txt)"]) == (801_218, 197_321)
    assert prepared.counts.kept_by_kind["users"] == 6040
    assert sum(len(queries) for queries in prepared.splits.values()) == 6040
    item = prepared.items.index[
        "2858"
    ]  # American Beauty, the film with the most ratings: 3,428, a fifth of them held out
    assert prepared.items.titles[item] == "American Beauty (1999)"
    assert 0.78 < prepared.interactions.getnnz(axis=0)[item] / 3428 < 0.82


def test_prompts_can_be_made_anew(tmp_path: Path, check_prompts: Callable[[Prepared], None]) -> None:
    check_prompts(prepare_movielens(find_movielens(write_atomic(tmp_path)), MovieLensOptions(), SHARES))
