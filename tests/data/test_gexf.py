from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.counts import Counts
from rerec_engine.data.gexf import graph_items, graph_triples, node_items, read_gexf
from rerec_engine.data.sources import SourceItems
from rerec_engine.errors import UserError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two films and a genre that they have; one edge between the films, one between values."""
    graph = nx.Graph()
    graph.add_node("m1", type="Movie", label="Heat (1995)")
    graph.add_node("m2", type="movie", label="Casino (1995)")
    graph.add_node("g1", type="Genre", label="dbr:Crime_film")
    graph.add_node("p1", type="Person", label="Michael Mann")
    graph.add_edge("m1", "g1", relation="genre")
    graph.add_edge("g1", "m2", relation="genre")
    graph.add_edge("p1", "m1")
    graph.add_edge("m1", "m2", relation="similar")
    graph.add_edge("p1", "g1", relation="works in")
    nx.write_gexf(graph, tmp_path / "g.gexf")
    return tmp_path / "g.gexf"


def test_networkx_reads_the_same_graph(path: Path) -> None:
    mine, oracle = read_gexf(path), nx.read_gexf(path)
    assert set(mine.nodes) == set(oracle.nodes)
    assert {frozenset((e.source, e.target)): e.relation for e in mine.edges} == {
        frozenset((a, b)): data.get("relation", "related") for a, b, data in oracle.edges(data=True)
    }
    assert {name: node.type for name, node in mine.nodes.items()} == {
        name: data["type"].casefold() for name, data in oracle.nodes(data=True)
    }


def test_items_and_triples_of_a_graph(path: Path) -> None:
    counts, graph = Counts(), read_gexf(path)
    items = graph_items(path, graph, counts)
    assert items.titles == ["Heat (1995)", "Casino (1995)"]
    assert items.years == [1995, 1995]
    assert items.source_ids == ["m1", "m2"]
    triples = graph_triples(path, graph, items, counts)
    assert sorted(triples) == [(0, "genre", "Crime film"), (0, "related", "Michael Mann"), (1, "genre", "Crime film")]
    counts.check()
    assert counts.dropped("attributes (g.gexf)") == {"between two items": 1, "of no item": 1}


def test_the_type_of_an_edge_is_its_relation(tmp_path: Path) -> None:
    """networkx writes an edge's attribute `type` where GEXF has the edge's direction."""
    graph = nx.Graph()
    graph.add_node("m1", type="movie", label="Heat (1995)")
    graph.add_edge("m1", "Michael Mann", type="director")
    graph.add_edge("m1", "Crime", type="undirected")
    nx.write_gexf(graph, tmp_path / "g.gexf")
    assert [edge.relation for edge in read_gexf(tmp_path / "g.gexf").edges] == ["director", "related"]


def test_the_kind_of_an_edge_is_its_relation(tmp_path: Path) -> None:
    """As GEXF 1.3 has it."""
    (tmp_path / "g.gexf").write_text(
        '<gexf><node id="a"/><node id="b"/><edge source="a" target="b" type="directed" kind="director"/></gexf>'
    )
    assert [edge.relation for edge in read_gexf(tmp_path / "g.gexf").edges] == ["director"]


def test_defaults_of_attributes_hold_where_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "g.gexf").write_text(
        '<gexf><graph><attributes class="node"><attribute id="0" title="Type"><default>mo<![CDATA[vie]]></default>'
        '</attribute></attributes><attributes class="edge"><attribute id="0" title="relation"><default>genre</default>'
        '</attribute></attributes><nodes><node id="m1" label="Heat"/><node id="g1" label="War"><attvalues>'
        '<attvalue for="0" value="genre"/></attvalues></node></nodes><edges><edge source="m1" target="g1"/>'
        '<edge source="m1" target="g1"><attvalues><attvalue for="0" value="mood"/></attvalues></edge></edges>'
        "</graph></gexf>"
    )
    graph = read_gexf(tmp_path / "g.gexf")
    assert [node.type for node in graph.nodes.values()] == ["movie", "genre"]
    assert [edge.relation for edge in graph.edges] == ["genre", "mood"]


def test_a_node_that_stands_for_nothing_is_no_value(tmp_path: Path) -> None:
    graph, counts = nx.Graph(), Counts()
    graph.add_node("Heat (1995)", type="movie")
    graph.add_edge("Heat (1995)", "(no genres listed)", relation="genre")
    nx.write_gexf(graph, tmp_path / "g.gexf")
    read = read_gexf(tmp_path / "g.gexf")
    assert graph_triples(tmp_path / "g.gexf", read, graph_items(tmp_path / "g.gexf", read, counts), counts) == []
    counts.check()
    assert counts.dropped("attributes (g.gexf)") == {"no value": 1}


def test_nodes_are_items_by_title_or_id(path: Path) -> None:
    items = SourceItems()
    items.add("m2", "Another name", None)
    items.add("7", "Heat (1995)", 1995)
    items.add("9", "Michael Mann", None)  # a person's node is no item, whatever its label
    assert node_items(read_gexf(path), items) == {"m1": 1, "m2": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE g [<!ENTITY a "b">]><gexf/>', ":1: a DOCTYPE is not accepted"),
        ("<gexf>\n<graph>", ":2: broken XML"),
        ("<gexf>\n<node/></gexf>", ":2: an element lacks the attribute 'id'"),
        ('<gexf><node id="a"/><edge source="a" target="b"/></gexf>', "an edge names node 'b'"),
        ("<html/>", "no node; is it GEXF"),
    ],
)
def test_a_broken_graph_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.gexf").write_text(text)
    with pytest.raises(UserError, match=rf"g\.gexf.*{message}"):
        read_gexf(tmp_path / "g.gexf")


@given(st.text(st.sampled_from("<>/gexfnod =\"'id&;!")) | st.text())
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("gexf") / "g.gexf"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(UserError, match=r"g\.gexf"):
        read_gexf(path)
