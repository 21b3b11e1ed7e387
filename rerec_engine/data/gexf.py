"""GEXF graphs, as ReRec publishes them (networkx wrote them), read with the standard library's expat.

Not with networkx: a run-time dependency for one format, and it builds the graph as objects. Expat streams; a DOCTYPE,
the only way to entity expansion, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.cells import is_missing
from rerec_engine.data.sources import SourceItems, Triple
from rerec_engine.data.store import require
from rerec_engine.data.tables import attribute_label, title_year
from rerec_engine.errors import UserError, file_error

ITEM_TYPES = frozenset({"item", "movie", "film", "book"})
_TYPE_FIELDS = ("type", "node_type", "label", "kind", "category")
_RELATION_FIELDS = ("relation", "relationship", "rel", "type", "label")
_DIRECTIONS = frozenset({"directed", "undirected", "mutual"})
"""What GEXF's own `type` of an edge may be; networkx writes an attribute of that name there. GEXF 1.3 has `kind`."""


@dataclass
class Node:
    label: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return next((self.fields[name].casefold() for name in _TYPE_FIELDS if name in self.fields), "")


@dataclass
class Edge:
    source: str
    target: str
    label: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        return next((self.fields[name] for name in _RELATION_FIELDS if self.fields.get(name)), self.label or "related")


@dataclass
class GexfGraph:
    nodes: dict[str, Node]
    edges: list[Edge]


class _Reader:
    def __init__(self) -> None:
        self.graph = GexfGraph({}, [])
        self._titles: dict[str, dict[str, str]] = {"node": {}, "edge": {}}
        self._defaults: dict[str, dict[str, str]] = {"node": {}, "edge": {}}
        self._declared, self._attribute, self._default = "node", "", False
        self._open: list[tuple[str, dict[str, str]]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "attributes":
            self._declared = attributes.get("class", "node")
        elif tag == "attribute" and self._declared in self._titles:
            self._attribute = attributes.get("title", attributes["id"]).casefold()
            self._titles[self._declared][attributes["id"]] = self._attribute
        elif tag == "default" and self._declared in self._titles:
            self._default, self._defaults[self._declared][self._attribute] = True, ""
        elif tag == "node":
            node = Node(attributes.get("label", attributes["id"]), dict(self._defaults["node"]))
            self.graph.nodes[attributes["id"]] = node
            self._open.append(("node", node.fields))
        elif tag == "edge":
            edge = Edge(attributes["source"], attributes["target"], attributes.get("label", ""))
            edge.fields.update(self._defaults["edge"])
            own = attributes.get("kind", attributes.get("type", ""))
            if own and own not in _DIRECTIONS:
                edge.fields["type"] = own
            self.graph.edges.append(edge)
            self._open.append(("edge", edge.fields))
        elif tag == "attvalue" and self._open:
            kind, values = self._open[-1]
            name = attributes.get("for", attributes.get("id", ""))
            values[self._titles[kind].get(name, name)] = attributes["value"]

    def text(self, part: str) -> None:
        if self._default:
            self._defaults[self._declared][self._attribute] += part

    def end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        if tag in ("node", "edge"):
            self._open.pop()
        self._default = self._default and tag != "default"


def read_gexf(path: Path) -> GexfGraph:
    """Nodes and edges with their attributes; UserError with the line for broken XML, a DOCTYPE or a dangling edge."""
    reader, parser = _Reader(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text

    def refuse(*_: object) -> None:
        raise UserError("a DOCTYPE is not accepted")

    parser.StartDoctypeDeclHandler = refuse
    try:
        with require(path).open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise file_error(path, f"broken XML (truncated?): {expat.ErrorString(error.code)}", error.lineno) from None
    except KeyError as error:
        raise file_error(path, f"an element lacks the attribute {error}", parser.CurrentLineNumber) from None
    except UserError as error:
        raise file_error(path, str(error), parser.CurrentLineNumber) from None
    if not reader.graph.nodes:
        raise file_error(path, "no node; is it GEXF?")
    for edge in reader.graph.edges:
        for end in (edge.source, edge.target):
            if end not in reader.graph.nodes:
                raise file_error(path, f"an edge names node {end!r}, which is not there")
    return reader.graph


def graph_items(path: Path, graph: GexfGraph, counts: Counts) -> SourceItems:
    """The graph's item nodes as a catalogue, by the node attribute `type` (item, movie, film, book)."""
    items, kind = SourceItems(), f"items ({path.name})"
    for name, node in graph.nodes.items():
        if node.type in ITEM_TYPES:
            counts.read(kind)
            if items.add(name, node.label, title_year(node.label)):
                counts.keep(kind)
            else:
                counts.drop(kind, "merged with an item of the same title", node.label)
    if not items.titles:
        raise file_error(path, "no node has the type item, movie, film or book: give a catalogue")
    return items


def graph_triples(path: Path, graph: GexfGraph, items: SourceItems, counts: Counts) -> list[Triple]:
    """(item, relation, value) of the edges between an item and another node; other edges are counted drops."""
    item_of, kind = node_items(graph, items), f"attributes ({path.name})"
    triples = []
    for edge in graph.edges:
        counts.read(kind)
        ends = item_of.get(edge.source), item_of.get(edge.target)
        if (ends[0] is None) == (ends[1] is None):
            counts.drop(kind, "between two items" if ends[0] is not None else "of no item")
            continue
        item, other = (ends[0], edge.target) if ends[0] is not None else (ends[1], edge.source)
        assert item is not None
        value = graph.nodes[other].label
        if is_missing(value):
            counts.drop(kind, "no value")
            continue
        triples.append((item, edge.relation, attribute_label(value)))
        counts.keep(kind)
    return triples


def node_items(graph: GexfGraph, items: SourceItems) -> dict[str, int]:
    """Node -> item, by source id or exact title."""
    by_title = {title: item for item, title in enumerate(items.titles)}
    found = {}
    for name, node in graph.nodes.items():
        if node.type and node.type not in ITEM_TYPES:
            continue
        item = by_title.get(node.label, by_title.get(name, items.index.get(name, -1)))
        if item >= 0:
            found[name] = item
    return found
