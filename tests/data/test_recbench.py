from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.assemble import Prepared, check_shares
from rerec_engine.data.recbench import RecBenchOptions, RecBenchSources, find_query_files, prepare_recbench
from rerec_engine.errors import UserError
from rerec_engine.types import Query

SHARES = check_shares(0.1, 0.1)
EXPLICIT: dict[str, Any] = {
    "source_user": "7",
    "condition_num": 2,
    "movieCount": 2,
    "movieSubset": ["Film 1 (1991)", "Film 2 (1992)"],
    "movieSubsetId": [101, 102],
    "sharedRelationships": [["Starring", "Ann Able"], ["Genre", "War"]],
    "direct_description_query": "War films with Ann Able?",
    "situational_description_query": "I would love a war film in which Ann Able plays.",
    "data_idx": 5,
}


def write_release(folder: Path, **files: list[Any]) -> RecBenchSources:
    """60 films, film i has MovieLens id 100 + i; Ann Able plays in films 1..8, every other film is a war film."""
    (folder / "movies.dat").write_text(
        "".join(f"{100 + i}::Film {i} ({1990 + i})::{'War' if i % 2 else 'Drama'}\n" for i in range(60))
        + "200::Twin (1950)::Drama\n201::Twin (1980)::Drama\n"
    )
    rows = [f"{100 + i}\tstarring\tdbr:Ann_Able" for i in range(1, 9)]
    (folder / "item_attributes.tsv").write_text("movielens_id\trelation\tattribute\n" + "\n".join(rows) + "\n")
    stamps = [f"7::{100 + i}::5::{1000 - i}" for i in range(20)] + ["9::130::3::5", "9::131::3::4"]
    (folder / "ratings.dat").write_text("\n".join(stamps) + "\n")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    return RecBenchSources(
        find_query_files(folder), folder / "movies.dat", folder / "item_attributes.tsv", folder / "ratings.dat"
    )


def all_queries(prepared: Prepared) -> list[Query]:
    return [query for queries in prepared.splits.values() for query in queries]


def test_a_release_row_becomes_a_query(tmp_path: Path) -> None:
    prepared = prepare_recbench(write_release(tmp_path, ExplicitQuery=[EXPLICIT]), RecBenchOptions(), SHARES)
    (query,) = all_queries(prepared)
    extra = prepared.extra_info[query.id]
    assert (query.id, query.category, query.condition_num) == ("explicit-5", "explicit", 2)
    assert extra["all_ground_truth_ids"] == [1, 2]
    assert extra["all_ground_truth"] == ["Film 1 (1991)", "Film 2 (1992)"]
    assert extra["conditions"] == ["Starring: Ann Able", "Genre: War"]
    assert len(query.ground_truth) == 1
    assert query.ground_truth[0] in (1, 2)
    assert len(set(query.candidates)) == 20
    assert set(query.candidates) & {1, 2} == set(query.ground_truth)
    assert not set(query.candidates) & set(range(1, 9)) - set(query.ground_truth)  # all of them star Ann Able
    assert query.history == (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 0)[1:]  # by time, ground truth left out
    assert not set(query.history) & set(query.candidates)
    assert query.request == EXPLICIT["situational_description_query"]
    assert query.request in query.messages[0]["content"]
    assert (prepared.items.source_ids[:2], prepared.user_ids) == (["100", "101"], ["7", "9"])
    assert prepared.description.noun == "movie"
    assert prepared.interactions.shape == (2, 62)


def test_options(tmp_path: Path) -> None:
    sources = write_release(tmp_path, ExplicitQuery=[EXPLICIT])
    options = RecBenchOptions(text="direct", open=True, history=0)
    (query,) = all_queries(prepare_recbench(sources, options, SHARES))
    assert query.candidates == query.history == ()
    assert query.ground_truth == (1, 2)
    assert "War films with Ann Able?" in query.messages[0]["content"]
    seeds = [all_queries(prepare_recbench(sources, RecBenchOptions(seed=s), SHARES))[0].candidates for s in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_every_drop_has_its_reason(tmp_path: Path) -> None:
    rows = [
        EXPLICIT,
        {**EXPLICIT, "data_idx": 6},
        {**EXPLICIT, "data_idx": 7, "situational_description_query": " "},
        {**EXPLICIT, "data_idx": 8, "movieSubset": ["Gone (1901)"], "movieSubsetId": [999]},
        {**EXPLICIT, "data_idx": 9, "movieSubset": ["Twin"], "movieSubsetId": []},
        {**EXPLICIT, "data_idx": 10, "movieSubset": [], "movieSubsetId": []},
        {**EXPLICIT, "data_idx": 11, "movieSubset": ["Film 3", "Gone (1901)"], "movieSubsetId": []},
        {**EXPLICIT, "data_idx": 12, "movieSubset": ["Film \ufffd (1991)"], "movieSubsetId": [101]},
    ]
    groups = [
        {"query & ground true": [{}, {"query": "Nice?", "movie subset": ["film 4"]}, {"query": "", "movie subset": []}]}
    ]
    sources = write_release(tmp_path, ExplicitQuery=rows, DemographicsBasedQuery=groups)
    prepared = prepare_recbench(sources, RecBenchOptions(), SHARES)
    counts = prepared.counts
    counts.check()
    assert counts.read_by_kind["explicit"] == len(rows)
    assert counts.dropped("explicit") == {
        "duplicate": 1,
        "no query text": 1,
        "ground truth not in catalogue": 1,
        "ambiguous title": 1,
        "empty ground truth": 1,
    }
    assert counts.dropped("demographics") == {"no query text": 1}
    assert counts.notes["of these not in the catalogue"] == 1
    assert sorted(query.id for query in all_queries(prepared)) == [
        "demographics-0-0", "explicit-11", "explicit-12", "explicit-5",
    ]  # fmt: skip


BROKEN = [
    ({"movieSubsetId": [101]}, "2 titles but 1 ids"),
    ({"movieSubset": "Film 1"}, "must be a list"),
    (
        {"movieSubsetId": [101, 103]},
        "item 103 is 'Film 3 (1993)', but the title 'Film 2 (1992)' is that of 'Film 2 (1992)'",
    ),
    ({"sharedRelationships": [["Starring"]]}, "shared relationship"),
    ({"data_idx": None}, "data_idx"),
    ({"movieSubset": ["Film 3 (1993)", "Film 2"], "movieSubsetId": [], "data_idx": 5}, "explicit-5 occurs twice"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_broken_row_is_named_or_counted(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    sources = write_release(tmp_path, ExplicitQuery=[EXPLICIT, {**EXPLICIT, "data_idx": 6, **change}])
    line = next(
        n
        for n, text in enumerate((tmp_path / "ExplicitQuery.json").read_text().split("\n"), 1)
        if text == " {" and n > 2
    )
    with pytest.raises(UserError) as caught:
        prepare_recbench(sources, RecBenchOptions(), SHARES)
    assert f"ExplicitQuery.json:{line}: " in str(caught.value)
    assert message in str(caught.value)
    prepared = prepare_recbench(sources, RecBenchOptions(skip_bad=True), SHARES)
    prepared.counts.check()
    assert prepared.counts.dropped("explicit") == {"broken row": 1}


@pytest.mark.parametrize("text", ["", "{}", "[1, ", '[{"a": 1} {"b": 2}]', "[{]", "[" * 100_000])
def test_broken_json_names_the_line(tmp_path: Path, text: str) -> None:
    sources = write_release(tmp_path, ExplicitQuery=[EXPLICIT])
    (tmp_path / "ExplicitQuery.json").write_text(text)
    with pytest.raises(UserError, match=r"ExplicitQuery\.json:1: "):
        prepare_recbench(sources, RecBenchOptions(skip_bad=True), SHARES)


def test_books_have_titles_alone(tmp_path: Path) -> None:
    (tmp_path / "books.tsv").write_text("id\ttitle\n" + "".join(f"B{i:03}\tBook Number {i}\n" for i in range(40)))
    row = {k: v for k, v in EXPLICIT.items() if not k.startswith("movie")}
    content = [{**row, "bookSubset": ["Book Number 7"], "bookSubsetId": []}]
    (tmp_path / "ExplicitQuery.json").write_text(json.dumps(content))
    sources = RecBenchSources(find_query_files(tmp_path), tmp_path / "books.tsv")
    prepared = prepare_recbench(sources, RecBenchOptions(), SHARES)
    (query,) = all_queries(prepared)
    assert query.ground_truth == (7,)
    assert prepared.description.items == "books"
    assert "the one book" in query.messages[0]["content"]


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Prepared:
    ml1m = shared_data / "ml-1m"
    sources = RecBenchSources(
        find_query_files(shared_data / "recbenchplus"),
        ml1m / "movies.dat",
        shared_data / "ml-1m-dbpedia" / "item_attributes.tsv",
        ml1m / "train.txt",
    )
    return prepare_recbench(sources, RecBenchOptions(), SHARES)


def test_real_counts_are_those_of_the_files(real: Prepared, shared_data: Path) -> None:
    real.counts.check()
    for kind in ("Explicit", "Implicit", "Misinformed"):
        lines = (shared_data / "recbenchplus" / "decoded" / f"decoded_{kind}.jsonl").read_text().splitlines()
        complete = sum(json.loads(line)["complete"] for line in lines)
        category = kind.lower()
        assert real.counts.read_by_kind[category] == len(lines)
        assert real.counts.kept_by_kind[category] == complete
        assert real.counts.dropped(category) == {"incomplete label": len(lines) - complete}
        others = sum(bool(json.loads(line)["gt_other"]) for line in lines)
        assert (
            real.counts.notes[f"{category} rows with titles outside the catalogue, or undecided (gt_other)"] == others
        )
    assert real.counts.read_by_kind["demographics"] == 279
    assert real.counts.kept_by_kind["demographics"] == 279
    assert real.counts.kept_by_kind["attributes (item_attributes.tsv)"] == 41_349
    assert len(real.graph) == 15_058
    assert real.interactions.nnz == 801_218
    assert sum(real.counts.kept_by_kind[c] for c in ("explicit", "implicit", "misinformed", "demographics")) == len(
        all_queries(real)
    )


def test_real_rows_are_joined_rightly(real: Prepared, shared_data: Path) -> None:
    """The ids of a decoded row, looked up in movies.dat without any of the package's code."""
    titles = {}
    for line in (shared_data / "ml-1m" / "movies.dat").read_bytes().decode("latin-1").split("\n"):
        if line:
            number, title, _ = line.split("::")
            titles[int(number)] = title
    wanted = {}
    for line in (shared_data / "recbenchplus" / "decoded" / "decoded_Implicit.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["complete"]:
            wanted[f"implicit-{row['id']}"] = ({titles[i] for i in row["gt_item_ids"]}, row["query"])
    found = {query.id: query for query in all_queries(real) if query.category == "implicit"}
    assert found.keys() == wanted.keys()
    for name, query in found.items():
        truth, text = wanted[name]
        assert set(real.extra_info[name]["all_ground_truth"]) == truth
        assert text.strip() in query.messages[0]["content"]


def test_real_candidates_and_splits(real: Prepared) -> None:
    place: dict[frozenset[int], str] = {}
    hard, positions = 0, set()
    for split, queries in real.splits.items():
        for query in queries:
            truth = frozenset(real.extra_info[query.id]["all_ground_truth_ids"])
            assert place.setdefault(truth, split) == split
            assert len(set(query.candidates)) == 20
            assert set(query.candidates) & truth == set(query.ground_truth)
            positions.add(query.candidates.index(query.ground_truth[0]))
            mine = set(real.graph.ids_of(query.ground_truth[0]))
            akin = sum(bool(mine & set(real.graph.ids_of(item))) for item in query.candidates) - 1
            hard += akin >= 10
    total = len(all_queries(real))
    assert positions == set(range(20))
    assert hard > 0.95 * total
    assert all(0.08 * total < len(real.splits[split]) < 0.12 * total for split in ("val", "test"))


def test_prompts_can_be_made_anew(tmp_path: Path, check_prompts: Callable[[Prepared], None]) -> None:
    sources = write_release(tmp_path, ExplicitQuery=[EXPLICIT])
    for options in (RecBenchOptions(), RecBenchOptions(open=True, history=0)):
        check_prompts(prepare_recbench(sources, options, SHARES))
