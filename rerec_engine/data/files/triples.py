"""Attributes as a file of triples: item, relation, value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.files.cells import clean_column, is_missing
from rerec_engine.data.files.columns import Attribute
from rerec_engine.data.files.items import clean_ids
from rerec_engine.data.files.roles import Roles
from rerec_engine.data.files.table import Rows, Table, whole
from rerec_engine.data.tables import attribute_label

NO_VALUE = "no value"


def read_triples(table: Table, roles: Roles, item_ids: pa.Array, rows: Rows) -> list[Attribute]:
    """By relation. Raises UserError for a row without item or relation, or of an item that is not in the catalogue,
    unless such are skipped; one whose value stands for nothing is dropped and counted."""
    items = clean_ids(table.column(roles.columns["item"]))
    item = whole(pc.index_in(items, value_set=item_ids.cast(items.type))).fill_null(-1).to_numpy(zero_copy_only=False)
    relations = clean_column(table.column(roles.columns["relation"])).dictionary_encode()
    values = clean_column(table.column(roles.columns["value"])).dictionary_encode()
    relation = relations.indices.fill_null(-1).to_numpy(zero_copy_only=False)

    def reason(row: int) -> str:
        if not items[row].is_valid or relation[row] < 0:
            return f"the {'item' if relation[row] >= 0 else 'relation'} is empty"
        return f"item {items[row]} is not in the catalogue"

    broken = (item < 0) | (relation < 0)
    table.without_broken(broken, reason, rows)
    texts = values.dictionary.to_pylist()
    missing = np.array([*map(is_missing, texts), True])
    code = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    empty = missing[code] & ~broken
    table.tell_dropped(empty, NO_VALUE, rows)
    good = ~(broken | empty)
    rows.counts.keep(rows.kind, int(good.sum()))
    found = []
    for number, name in enumerate(relations.dictionary.to_pylist()):
        mine = good & (relation == number)
        kept, codes = np.unique(code[mine], return_inverse=True)
        labels = [attribute_label(texts[own]) for own in kept.tolist()]
        found.append(Attribute(name, labels, item[mine].astype(np.int64), codes.astype(np.int64)))
    return [attribute for attribute in found if len(attribute.rows)]
