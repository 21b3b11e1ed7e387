"""One row of a split file, in verl's columns, to and from a `Query`.

    data_source   string
    prompt        list of {role, content}
    ability       string
    reward_model  {style: "rule", ground_truth: list of titles}
    extra_info    {index, split, id, request, asked, profile, category, condition_num, candidates, candidate_ids,
                   ground_truth_ids, user_id, history, history_ids, perhaps named, named_ids, ...}

Titles are there for other readers, ids for this one. Both must agree; a row with titles alone is resolved by the
catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from rerec_engine.types import Message, Query

COLUMNS = ("data_source", "prompt", "ability", "reward_model", "extra_info")
_TEXTS, _IDS = pa.list_(pa.string()), pa.list_(pa.int64())
EXTRA_FIELDS: dict[str, pa.DataType] = {
    "index": pa.int64(),
    "split": pa.string(),
    "id": pa.string(),
    "request": pa.string(),
    "asked": _TEXTS,
    "profile": pa.string(),
    "category": pa.string(),
    "condition_num": pa.int64(),
    "candidates": _TEXTS,
    "candidate_ids": _IDS,
    "ground_truth_ids": _IDS,
    "user_id": pa.int64(),
    "history": _TEXTS,
    "history_ids": _IDS,
}
NAMED_FIELDS: dict[str, pa.DataType] = {"named": _TEXTS, "named_ids": _IDS}
"""Of a dataset in which some query has `named` items."""


EMPTY = "empty ground truth"


class RowError(ValueError):
    """A fault of one row: `reason` is what a report counts by, the message says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ItemResolver:
    """The catalogue as rows need it: exact titles by dictionary, other forms by `match(title, candidates) -> int`."""

    def __init__(self, titles: Sequence[str], match: Callable[[str, Sequence[int] | None], int]) -> None:
        self.titles = titles
        self._exact = {title: item for item, title in enumerate(titles)}
        self._match = match

    def item(self, title: str, candidates: Sequence[int] | None = None) -> int:
        """The item of a title, -1 for none or an ambiguous one."""
        exact = self._exact.get(title, -1)
        return exact if exact >= 0 else self._match(title, candidates)


def split_ground_truth(text: str, items: ItemResolver) -> list[str]:
    """Titles of a ground truth in one string: a title of the catalogue, or several joined by ";" (ReRec's parquet)."""
    if items.item(text) >= 0:
        return [text]
    return [part.strip() for part in text.split(";") if part.strip()]


def parse_row(row: Mapping[str, Any], items: ItemResolver, *, users: int, default_id: str) -> Query:
    """The row as a `Query`; raises `RowError` for any fault."""
    extra = _mapping(row.get("extra_info"), "extra_info")
    model = _mapping(row.get("reward_model"), "reward_model")
    candidates = _items(extra.get("candidates"), extra.get("candidate_ids"), "candidates", items)
    _unrepeated(candidates, "candidates", items)
    truth = model.get("ground_truth")
    titles = split_ground_truth(truth, items) if isinstance(truth, str) else truth
    ground_truth = _items(titles, extra.get("ground_truth_ids"), "ground_truth", items, candidates or None)
    if not ground_truth:
        raise RowError(EMPTY, "reward_model.ground_truth is empty")
    _unrepeated(ground_truth, "ground_truth", items)
    check_candidates(ground_truth, candidates, items.titles)
    user = _integer(extra.get("user_id"), "user_id", -1)
    if not -1 <= user < users:
        raise RowError("user out of range", f"user_id must be in -1..{users - 1}, got {user}")
    messages = _messages(row.get("prompt"))
    return Query(
        id=_string(extra.get("id"), "id", default_id),
        messages=messages,
        ground_truth=ground_truth,
        candidates=candidates,
        category=_string(extra.get("category"), "category", ""),
        condition_num=_integer(extra.get("condition_num"), "condition_num", 0),
        user_id=user,
        history=_items(extra.get("history"), extra.get("history_ids"), "history", items),
        request=_string(extra.get("request"), "request", last_of_user(messages)),
        asked=_strings(extra.get("asked"), "asked"),
        profile=_string(extra.get("profile"), "profile", ""),
        marks=_marks(extra),
        named=_items(extra.get("named"), extra.get("named_ids"), "named", items),
    )


def last_of_user(messages: Sequence[Message]) -> str:
    """The last message of the user, whole: the request of a row that has no field for it."""
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), messages[-1]["content"])


def check_candidates(ground_truth: Sequence[int], candidates: Sequence[int], titles: Sequence[str]) -> None:
    outside = [item for item in ground_truth if item not in candidates] if candidates else []
    if outside:
        raise RowError(
            "ground truth not among candidates", f"ground truth {titles[outside[0]]!r} is not among the candidates"
        )


def to_row(query: Query, index: int, split: str, titles: Sequence[str], data_source: str) -> dict[str, Any]:
    """The row of a query; the inverse of `parse_row`."""
    named = {"named": [titles[item] for item in query.named], "named_ids": list(query.named)} if query.named else {}
    return {
        "data_source": data_source,
        "prompt": [{"role": m["role"], "content": m["content"]} for m in query.messages],
        "ability": "recommendation",
        "reward_model": {"style": "rule", "ground_truth": [titles[item] for item in query.ground_truth]},
        "extra_info": {
            "index": index,
            "split": split,
            "id": query.id,
            "request": query.request or None,
            "asked": list(query.asked),
            "profile": query.profile or None,
            "category": query.category,
            "condition_num": query.condition_num,
            "candidates": [titles[item] for item in query.candidates],
            "candidate_ids": list(query.candidates),
            "ground_truth_ids": list(query.ground_truth),
            "user_id": query.user_id,
            "history": [titles[item] for item in query.history],
            "history_ids": list(query.history),
            **named,
        },
    }


def row_schema(further: Mapping[str, pa.DataType]) -> pa.Schema:
    """The file's schema; `further` are the fields that extra_info has beyond `EXTRA_FIELDS`."""
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    return pa.schema(
        [
            ("data_source", pa.string()),
            ("prompt", pa.list_(message)),
            ("ability", pa.string()),
            ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", _TEXTS)])),
            ("extra_info", pa.struct([*EXTRA_FIELDS.items(), *further.items()])),
        ]
    )


def _marks(extra: Mapping[str, Any]) -> tuple[str, ...]:
    """Of made requests: their form where their category does not tell it, and whether it is said in unseen words."""
    form = extra.get("form")
    own = (form,) if isinstance(form, str) and form not in ("", extra.get("category")) else ()
    return (*own, "unseen wording") if extra.get("unseen_wording") is True else own


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RowError("broken row", f"{name} must be a struct, got {type(value).__name__}")
    return value


def _string(value: object, name: str, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        raise RowError("broken row", f"extra_info.{name} must be a string, got {type(value).__name__}")
    return value


def _integer(value: object, name: str, default: int) -> int:
    if value is None or value != value:
        return default
    if isinstance(value, float) and value.is_integer():  # pandas, of a column with gaps
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RowError("broken row", f"extra_info.{name} must be an integer, got {type(value).__name__}")
    return value


def _strings(value: object, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise RowError("broken row", f"extra_info.{name} must be a list of strings")
    return tuple(value)


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise RowError("no prompt", "prompt must be a list of at least one message")
    messages = []
    for entry in value:
        role, content = (entry.get("role"), entry.get("content")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(role, str) or not isinstance(content, str):
            raise RowError("no prompt", "each message of prompt must hold a role and a content, both strings")
        messages.append(Message(role=role, content=content))
    if not any(message["content"].strip() for message in messages):
        raise RowError("no prompt", "prompt holds no text")
    return tuple(messages)


def _items(
    titles: object, ids: object, name: str, items: ItemResolver, candidates: Sequence[int] | None = None
) -> tuple[int, ...]:
    titles, ids = titles or [], ids or []
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        raise RowError("broken row", f"{name} must be a list of titles")
    if not isinstance(ids, list) or not all(isinstance(item, int) for item in ids):
        raise RowError("broken row", f"the ids of {name} must be a list of integers")
    if not ids:
        return tuple(_resolve(title, name, items, candidates) for title in titles)
    for item in ids:
        if not 0 <= item < len(items.titles):
            raise RowError("item out of range", f"{name}: item must be in 0..{len(items.titles) - 1}, got {item}")
    if titles and len(titles) != len(ids):
        raise RowError("ids and titles disagree", f"{name} has {len(titles)} titles and {len(ids)} ids")
    for title, item in zip(titles, ids, strict=False):
        if items.titles[item] != title and items.item(title, [item]) != item:
            raise RowError("ids and titles disagree", f"{name}: item {item} is {items.titles[item]!r}, not {title!r}")
    return tuple(ids)


def _resolve(title: str, name: str, items: ItemResolver, candidates: Sequence[int] | None) -> int:
    item = items.item(title, candidates)
    if item < 0:
        raise RowError("title in no catalogue", f"{name}: {title!r} is in no catalogue, or ambiguous")
    return item


def _unrepeated(ids: Sequence[int], name: str, items: ItemResolver) -> None:
    seen: set[int] = set()
    for item in ids:
        if item in seen:
            raise RowError(f"repeated {name}", f"{name} holds {items.titles[item]!r} twice")
        seen.add(item)
