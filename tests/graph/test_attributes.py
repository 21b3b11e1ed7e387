from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.graph.attributes import AttributeGraph

ITEMS = 7
triples = st.lists(
    st.tuples(st.integers(0, ITEMS - 1), st.sampled_from(["genre", "starring"]), st.sampled_from("abcde")), max_size=40
)


@given(triples, st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=4))
def test_agrees_with_networkx(edges: list[tuple[int, str, str]], chosen: list[int]) -> None:
    graph = AttributeGraph.from_triples(edges, ITEMS)
    oracle = nx.Graph()
    oracle.add_nodes_from(range(ITEMS))
    oracle.add_edges_from((item, (relation, value)) for item, relation, value in edges)
    assert graph.item_attributes.nnz == oracle.number_of_edges()
    assert len(graph) == oracle.number_of_nodes() - ITEMS
    for item in range(ITEMS):
        assert sorted(graph.attributes_of(item)) == sorted(oracle[item])
    shared = set.intersection(*(set(oracle[item]) for item in chosen))
    ids = graph.shared_by(chosen)
    assert {(graph.relations[a], graph.values[a]) for a in ids} == shared
    expected = [item for item in range(ITEMS) if shared <= set(oracle[item])]
    assert graph.items_with(ids).tolist() == expected
    assert graph.count_shared(ids).tolist() == [len(shared & set(oracle[item])) for item in range(ITEMS)]


def test_same_value_in_two_relations_is_two_attributes() -> None:
    graph = AttributeGraph.from_triples([(0, "director", "Lee"), (0, "starring", "Lee"), (1, "director", "Lee")], 2)
    assert graph.find("director", "Lee") != graph.find("starring", "Lee") != -1
    assert graph.items_with([graph.find("starring", "Lee")]).tolist() == [0]
    assert graph.find("writer", "Lee") == -1


def test_repeats_are_dropped_and_values_stay_one() -> None:
    graph = AttributeGraph.from_triples([(0, "genre", "War")] * 300, 1)
    assert graph.item_attributes.dtype == np.int8
    assert graph.item_attributes.toarray().tolist() == [[1]]


def test_no_attribute_is_had_by_every_item() -> None:
    assert AttributeGraph.from_triples([], 3).items_with([]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("item", [-1, 3])
def test_refuses_items_out_of_range(item: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.2"):
        AttributeGraph.from_triples([(item, "genre", "War")], 3)
    with pytest.raises(ValueError, match=r"0\.\.2"):
        AttributeGraph.from_triples([], 3).attributes_of(item)


def test_refuses_a_table_that_does_not_fit() -> None:
    matrix = sp.csr_matrix(np.ones((2, 2), np.int8))
    with pytest.raises(ValueError, match="columns"):
        AttributeGraph(("genre",), ("War",), matrix)
    with pytest.raises(ValueError, match="twice"):
        AttributeGraph(("genre", "genre"), ("War", "War"), matrix)
    with pytest.raises(ValueError, match="relations"):
        AttributeGraph(("genre",), ("War", "Drama"), matrix)
    with pytest.raises(ValueError, match="at least one"):
        AttributeGraph(("genre", "genre"), ("War", "Drama"), matrix).shared_by([])
