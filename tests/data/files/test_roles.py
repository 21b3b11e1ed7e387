from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.data.files.roles import find_roles, parse_pairs
from rerec_engine.errors import UserError


@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        ("items", "sku name year designer price description", "id=sku title=name year=year text=description"),
        ("items", "price title parent_asin asin", "id=parent_asin title=title"),
        ("items", "movieId title genres", "id=movieId title=title"),
        ("items", "Handle Title Body_(HTML) Vendor Variant_SKU", "id=Variant_SKU title=Title text=Body_(HTML)"),
        ("items", "product_id product_name release_date", "id=product_id title=product_name year=release_date"),
        ("items", "item label", "id=item title=label"),
        ("items", "ID Name YearPublished", "id=ID title=Name year=YearPublished"),
        ("interactions", "customer sku date", "user=customer item=sku time=date"),
        ("interactions", "reviewerID asin overall unixReviewTime", "user=reviewerID item=asin time=unixReviewTime"),
        ("interactions", "userId movieId rating timestamp", "user=userId item=movieId time=timestamp"),
        ("interactions", "Order_ID Email Created_at Lineitem_sku", "user=Email item=Lineitem_sku time=Created_at"),
        ("interactions", "StockCode InvoiceDate CustomerID", "user=CustomerID item=StockCode time=InvoiceDate"),
        ("attributes", "relation value item", "item=item relation=relation value=value"),
        ("attributes", "a b c", "item=a relation=b value=c"),
        ("attributes", "head_id:x relation_id tail_id", "item=head_id:x relation=relation_id value=tail_id"),
    ],
    ids=range(15),
)  # fmt: skip
def test_columns_by_their_names(kind: str, columns: str, expected: str) -> None:
    roles = find_roles(Path("f"), kind, columns.split(), {})
    assert roles.columns == parse_pairs(expected.split(), "--x")
    assert all(told.endswith("(guessed from the name)") for _, told in roles.all_told()) or kind == "attributes"


def test_the_ids_are_those_that_both_files_have() -> None:
    columns = ["id", "sku", "title"]
    assert find_roles(Path("f"), "items", columns, {}).columns["id"] == "id"
    assert find_roles(Path("f"), "items", columns, {}, ["customer", "SKU"]).columns["id"] == "sku"


def test_the_caller_decides() -> None:
    given = {"id": "Nr", "title": "2", "brand": "Marke"}
    roles = find_roles(Path("f"), "items", ["Nr", "Titel", "Marke", "id"], given)
    assert roles.columns == {"id": "Nr", "title": "Titel"}
    assert roles.renamed == {"Marke": "brand"}
    assert roles.told("id") == "id"


@pytest.mark.parametrize(
    ("kind", "columns", "given", "message"),
    [
        ("items", "sku x", {}, "f: which column is the title.* --item-columns title=COLUMN .*sku, x"),
        ("interactions", "a b", {}, "which column is the user.* --interaction-columns user=COLUMN item=COLUMN"),
        ("items", "sku name", {"year": "9"}, "--item-columns: there is no column '9'"),
    ],
)  # fmt: skip
def test_a_column_that_is_missing(kind: str, columns: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_roles(Path("f"), kind, columns.split(), given)
