"""A response read: the items of its box with their evidence, and what is to be said about them."""

from __future__ import annotations

from collections.abc import Sequence

from rerec_engine import _core
from rerec_engine.assistant.exchange import Answer, Ask, Item
from rerec_engine.assistant.grounding import evidence_of, unmet_by
from rerec_engine.assistant.stream import before_box
from rerec_engine.data.dataset import Dataset
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model import thinking


def read_box(catalogue: Catalogue, response: str, candidates: Sequence[int] = ()) -> list[tuple[int, str]]:
    """The entries of a response's last box in rank order, read as the reward reads them: (item, text) each.

    Item -1: the text names none of the catalogue, or several. No entry: no answer.
    """
    entries = _core.read_answer(response, catalogue.core, catalogue.candidate_ids(candidates), _core.Which.last)
    return [(item, text.decode("utf-8", errors="replace")) for item, text in entries]


def read_response(dataset: Dataset, ask: Ask, response: str, top_k: int | None = None, opened: bool = False) -> Answer:
    """The answer that a response holds. top_k: at most so many items, and no more than were asked for. opened: whether
    the prompt opened a block of reasoning, in which no answer is looked for."""
    said = thinking.answer(response, opened)
    entries = read_box(dataset.catalogue, said, ask.candidates)
    notes = [] if entries else ["the response holds no answer in a box"]
    items = items_of(dataset, ask, [item for item, _ in entries])
    unknown = tuple(text for item, text in entries if item < 0)
    if unknown:
        notes.append(f"in no catalogue, so left out: {'; '.join(unknown)}")
    outside = [item.title for item in items if not item.among_candidates]
    if outside and ask.candidates:
        notes.append(f"not among the candidates: {'; '.join(outside)}")
    shown = items[: min(top_k or len(items), ask.request.count or len(items))]
    unmet = unmet_by(dataset, ask.request, [item.item_id for item in shown], ask.candidates)
    notes += ask.request.notes
    thoughts = thinking.thoughts(response, opened)
    return Answer(ask, response, before_box(said), shown, unknown, tuple(notes), unmet, thinking=thoughts)


def items_of(dataset: Dataset, ask: Ask, ids: Sequence[int]) -> tuple[Item, ...]:
    """The items that were named, in that order, each once, with attributes and evidence. A negative id is none."""
    items = []
    for item in dict.fromkeys(item for item in ids if item >= 0):
        attributes = tuple(dataset.attributes.attributes_of(item))
        evidence, missed = evidence_of(dataset, ask.request, item)
        wanted = {c.text for c in ask.request.wanted}
        asked = tuple(dict.fromkeys(e.value for e in evidence if e.condition in wanted))
        asked = tuple(v for v in dict.fromkeys(v for _, v in attributes) if v in asked)
        items.append(Item(item, dataset.titles[item], item in ask.candidates, attributes, asked, evidence, missed))
    return tuple(items)
