"""Are the reasons true? Statements "item has value" of a response, in plain Python: the specification of
`csrc/reward/statements.cpp`, which the reward engine runs.

A statement is an item and an attribute's value in one line, with nothing between them but words of a closed list
(`rerec_engine.reward.phrases`), commas, brackets and other values. Any other word, symbol or end of a sentence ends
what came before: a statement that is not sure is none. The value belongs to

- the item before it: "A is a drama", "A (1990) drama yes, Norway no", "A and B are both comedies by X";
- the item right after it: "the drama A", "X directed A", and, where no item is before them, all values before a colon:
  "starring X, Y; photographed by Z: A".

Not, never, isn't, neither and the like before a value deny it; yes and no after it tell whether it fits the request and
say nothing of the item. An item of which the sentence does not speak ("unlike A", "instead of A", "is A ..") has a
value only in brackets right behind it; one that is in doubt ("maybe A is ..") has none behind a verb. A relation said
right before the value ("directed by X") must be the graph's. No statement has a value that is an item's name too in a
list of items ("A, Ed Wood, B"), that begins a sentence of its own ("but X was .."), or behind which a symbol stands, or
a "no" of a list.

A statement is true where the graph has it (denied: has it not). It is left out where the item has no value of the
relation at all, and where several items of one name disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rerec_engine.data.description import DatasetDescription
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.metrics.names import SYMBOL, ItemMention, Names, Token, Value, listed, plain, tokens
from rerec_engine.reward.phrases import (
    ANY,
    ASKS,
    DOUBTS,
    HIDES,
    MANY,
    OTHERS,
    RESETS,
    Kind,
    Phrase,
    phrases,
    value_kinds,
)

_GAP = frozenset(" \t,;:()[]\"'`-*_/|")
_ENDS = frozenset(".!?")
_CLAUSES = frozenset(((Kind.BUT, Kind.VERB), (Kind.BUT, Kind.NOT), (Kind.AND, Kind.NOT)))
"""Before and after the subject of another sentence: "A is a drama, but X was ..", "and X isn't .."."""
_BESIDE = " \"'`*_"
"""What may stand between a word and the item that it belongs to."""
_LINE = re.compile("[^\r\n]*[\r\n]?")


class Statement(NamedTuple):
    """An item is said to have one of the attributes, or (denied) not to. true: by the graph."""

    item: int
    attributes: tuple[int, ...]
    denied: bool
    true: bool


class _Element(NamedTuple):
    """What tokens[first:stop] are: an item, a value, a phrase, or nothing that is known."""

    first: int
    stop: int
    end: int
    item: ItemMention | None = None
    value: Value | None = None
    phrase: Phrase | None = None

    @property
    def kind(self) -> Kind | None:
        return self.phrase.kind if self.phrase else None

    @property
    def is_unknown(self) -> bool:
        return not (self.item or self.value) and self.kind in (None, Kind.STOP, Kind.AFTER)


class _Before(NamedTuple):
    """A value at tokens[first:stop] whose item is still to come."""

    first: int
    stop: int
    attributes: tuple[int, ...]
    mask: int
    denied: bool


@dataclass
class _State:
    """What the words so far say of the value to come."""

    fresh: bool = True  # nothing but values and phrases since the line or sentence began
    items: list[ItemMention] = field(default_factory=list)  # named together
    hidden: int = 0  # ASKS or HIDES: the sentence does not speak of them
    doubt: bool = False  # a verb hides them: "maybe A is .."
    listing: bool = False  # nothing but "and", "or", articles and commas since the last of them
    joined: bool = False  # "and" or "nor" since the last of them
    either: bool = False  # "or" since the last of them
    together: bool = False  # some of them are joined
    many: bool = False  # a verb of several subjects was said
    neither: bool = False
    bracket: bool = False  # right behind the item
    role: int = 0  # mask of "the director of A"
    mask: int = ANY
    direct: bool = False  # the relation was said right before
    denied: bool = False
    choice: bool = False  # "or" or "nor" since the last value
    over: bool = False  # a denied value was said: what follows is unsure
    before: list[_Before] = field(default_factory=list)  # values that may be of the item to come


class TruthReader:
    """Reads and judges the statements of texts. titles, years [N]; graph: what is true."""

    def __init__(
        self,
        titles: Sequence[str],
        years: Sequence[int | None],
        graph: AttributeGraph,
        description: DatasetDescription,
    ) -> None:
        kinds = value_kinds(graph.relations, description)
        self.names = Names(titles, years, graph.values, kinds.any_case.tolist())
        self.relation = kinds.relation.tolist()
        self.phrases = {tuple(p.words.split()): p for p in phrases(kinds.relations, description)}
        self.longest_phrase = max(map(len, self.phrases))
        matrix = graph.item_attributes
        spans = zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
        self.has = [frozenset(matrix.indices[a:b][matrix.data[a:b] != 0].tolist()) for a, b in spans]
        self.told = [_mask(self.relation[a] for a in own) for own in self.has]

    def read(self, text: str) -> list[list[Statement]]:
        """The statements of each line; a line ends with "\\n" or "\\r"."""
        return [self.read_line(line) for line in _LINE.findall(text) if line]

    def read_line(self, line: str) -> list[Statement]:
        text = plain(line.rstrip("\r\n"))
        words = tokens(text)
        items = self.names.items_in(text, words)
        return _LineReader(self, text, words, items).run() if items else []

    def judge(self, mention: ItemMention, attributes: Sequence[int], mask: int, denied: bool) -> list[Statement]:
        """The statement, or none where the graph does not tell."""
        fits = tuple(a for a in attributes if mask >> self.relation[a] & 1)
        asked = _mask(self.relation[a] for a in fits) or mask & ~(1 << OTHERS)
        if not all(self.told[item] & asked for item in mention.items):
            return []
        answers = {any(a in self.has[item] for a in fits) for item in mention.items}
        if len(answers) != 1:
            return []
        return [Statement(mention.items[0], fits, denied, answers.pop() != denied)]


def _mask(relations: Iterable[int]) -> int:
    mask = 0
    for relation in relations:
        mask |= 1 << relation
    return mask


class _LineReader:
    """One pass over the elements of a line that names items."""

    def __init__(self, reader: TruthReader, text: str, words: Sequence[Token], items: Sequence[ItemMention]) -> None:
        self.reader, self.text, self.words = reader, text, words
        self.items = {item.first: item for item in items}
        self.starts = sorted(self.items)
        self.state = _State()
        self.found: list[Statement] = []

    def run(self) -> list[Statement]:
        end = listed(self.text)
        at = sum(word.start < end for word in self.words)
        last: _Element | None = None
        while at < len(self.words):
            element = self._element(at)
            gap = self.text[end : self.words[at].start]
            self._gap(gap, last)
            if ";" in gap and self.words[at].text in ("a", "an") and element.phrase:
                self._break()
            if element.item:
                self._item(element, element.item, last)
            elif element.value:
                self._value(element, element.value, last)
            elif element.phrase and element.kind not in (Kind.STOP, Kind.AFTER):
                self._phrase(element.phrase, last)
            else:
                self._break()
            at, end, last = element.stop, element.end, element
        return self.found

    def _element(self, at: int) -> _Element:
        """The longest of what begins at token `at`; of a phrase and a value of one length the phrase."""
        item = self.items.get(at)
        if item:
            return _Element(at, item.stop, item.end, item)
        limit = next((start for start in self.starts if start > at), len(self.words))
        value = self.reader.names.value_at(self.text, self.words, at, limit)
        for size in range(min(self.reader.longest_phrase, limit - at), max(value - 1, 0), -1):
            phrase = self.reader.phrases.get(tuple(word.text for word in self.words[at : at + size]))
            if phrase:
                return _Element(at, at + size, self.words[at + size - 1].end, phrase=phrase)
        size = max(value, 1)
        known = self.reader.names.values.get(tuple(word.text for word in self.words[at : at + size]))
        return _Element(at, at + size, self.words[at + size - 1].end, value=known if value else None)

    def _gap(self, gap: str, last: _Element | None) -> None:
        """What stands between two elements."""
        state = self.state
        if any(c not in _GAP for c in gap):
            self.state = _State(fresh=all(c in _GAP or c in _ENDS for c in gap))
            return
        if last and last.item:
            if "(" in gap or "[" in gap:
                state.bracket = True
            elif any(c in ",:-" for c in gap):
                state.hidden, state.doubt = state.hidden & ~ASKS, False
        elif state.bracket and (")" in gap or "]" in gap):
            state.bracket = state.denied = state.over = False
            if state.hidden:
                state.items = []

    def _break(self) -> None:
        self.state = _State(fresh=False)

    def _item(self, element: _Element, item: ItemMention, last: _Element | None) -> None:
        state = self.state
        if state.items and state.listing:
            together = state.joined or state.either
            hidden, neither = state.hidden, state.neither
            if state.either and not neither:
                hidden = hidden or HIDES
            if hidden and not together:
                items, hidden, neither = [item], 0, False
            else:
                items, together = [*state.items, item], together or state.together
            self.state = _State(False, items, hidden, together=together, neither=neither)
        else:
            role = last.phrase.mask if last and last.phrase and last.kind == Kind.ROLE_OF else 0
            neither = last is not None and last.kind == Kind.NEITHER
            hidden = 0 if last and last.kind == Kind.ACTIVE else self._hidden(element.first)
            self.state = _State(False, [item], hidden & (ASKS | HIDES), neither=neither, role=role)
            self.state.doubt = bool(hidden & DOUBTS)
            if last and state.before:
                self._values_before(element, item, last, state)
        self.state.listing = True
        if item.owned:
            self._break()

    def _hidden(self, first: int) -> int:
        """What the word before an item, and before its articles and noun, does to it."""
        for at in range(first, 0, -1):
            if self.text[self.words[at - 1].end : self.words[at].start].strip(_BESIDE):
                return 0
            phrase = self.reader.phrases.get((self.words[at - 1].text,))
            if phrase is None or phrase.kind not in (Kind.ARTICLE, Kind.NOUN):
                return phrase.flags & (ASKS | HIDES | DOUBTS) if phrase else 0
        return 0

    def _values_before(self, element: _Element, item: ItemMention, last: _Element, state: _State) -> None:
        """Statements of values that stand before the item."""
        gap = self.text[last.end : self.words[element.first].start]
        if ":" in gap:
            for value in state.before if state.fresh else ():
                self.found += self.reader.judge(item, value.attributes, value.mask, value.denied)
            return
        value = state.before[-1]
        beside = last.first in (value.first, value.stop) and not gap.strip(_BESIDE)
        if not beside or value.denied:
            return
        if last.phrase and last.kind == Kind.ACTIVE:
            self.found += self.reader.judge(item, value.attributes, last.phrase.mask, False)
        elif (last.value or last.kind == Kind.NOUN) and value.first > 0:
            article = self.words[value.first - 1]
            if article.text == "the" and not self.text[article.end : self.words[value.first].start].strip(" "):
                self.found += self.reader.judge(item, value.attributes, value.mask, False)

    def _value(self, element: _Element, value: Value, last: _Element | None) -> None:
        state = self.state
        after = self._element(element.stop) if element.stop < len(self.words) else None
        gap = self.text[element.end : self.words[element.stop].start if after else None]
        mask = state.mask
        fits = any(mask >> self.reader.relation[a] & 1 for a in value.attributes)
        if (
            (value.number and not state.direct)
            or (value.any_case and state.direct and not fits)
            or (value.title and state.listing and not state.bracket and self.words[element.first].upper)
            or (last and after and (last.kind, after.kind) in _CLAUSES)
            or not self._whole(element, value, last, after, gap)
        ):
            self._break()
            return
        denied, sure = state.denied or state.neither, not state.over
        if state.over and not state.neither:
            sure = state.choice
        if not denied and (state.choice or (after and after.kind == Kind.OR)):
            sure = False
        sure = sure and not self._ticked(gap, after)
        if not state.direct and not fits:
            mask = ANY
        ahead = self._ahead(after, gap)
        told = _Before(element.first, element.stop, value.attributes, mask, denied)
        if not sure or "?" in gap:
            state.before = []
        elif ahead or not state.items:
            state.before = [told] if state.items else [*state.before, told]
        else:
            state.before = []
            for item in self._subjects():
                self.found += self.reader.judge(item, value.attributes, mask, denied)
        state.over = denied
        state.direct = state.listing = state.choice = False

    def _whole(self, element: _Element, value: Value, last: _Element | None, after: _Element | None, gap: str) -> bool:
        """Whether the value is no part of something longer that is not known."""
        words = self.words
        if after and after.is_unknown and not gap.strip(" ") and (value.any_case or words[after.first].upper):
            return after.kind == Kind.AFTER
        beside = last is not None and not self.text[last.end : words[element.first].start].strip(" ")
        return not (last and beside and last.is_unknown and words[last.first].upper and not last.phrase)

    def _ticked(self, gap: str, after: _Element | None) -> bool:
        """Whether a symbol is said of the value, or a "no" of which it is unclear whether it denies it."""
        if gap.lstrip(" ")[:1] == SYMBOL:
            return True
        no = after is not None and after.kind == Kind.NO and not gap.strip(" ")
        return no and after is not None and self.text[after.end : after.end + 1] in (",", ";")

    def _subjects(self) -> list[ItemMention]:
        """Of whom a value after the items tells."""
        state = self.state
        if state.hidden and not state.bracket:
            return []
        if state.bracket:
            return state.items[-1:]
        if state.many or state.neither:
            return state.items
        return [] if state.together else state.items[-1:]

    def _ahead(self, after: _Element | None, gap: str) -> bool:
        """Whether the value is of the item right after it, if of any."""
        if after is None:
            return False
        if after.item:
            return ":" in gap or not gap.strip(_BESIDE)
        if after.kind not in (Kind.ACTIVE, Kind.NOUN) or gap.strip(" ") or after.stop not in self.items:
            return False
        return not self.text[after.end : self.words[after.stop].start].strip(_BESIDE)

    def _phrase(self, phrase: Phrase, last: _Element | None) -> None:
        state, kind = self.state, phrase.kind
        after_value = bool(last and last.value)
        if kind == Kind.NO and not after_value:
            if not (last and last.phrase and (last.kind == Kind.VERB or last.phrase.words == "with")):
                self._break()
                return
            kind = Kind.NOT
        if kind in (Kind.YES, Kind.ACTIVE) and not after_value:
            self._break()
            return
        if kind == Kind.NOT:
            state.denied, state.over = True, False
        elif (
            kind in (Kind.YES, Kind.NO, Kind.BUT)
            or (kind == Kind.ONLY and last and last.kind == Kind.NOT)
            or (state.over and (kind == Kind.VERB or phrase.flags & RESETS))
        ):
            state.denied = state.over = False
        if kind in (Kind.AND, Kind.OR, Kind.NOR):
            state.choice = kind != Kind.AND
            state.joined |= kind != Kind.OR
            state.either |= kind == Kind.OR
        elif kind != Kind.ARTICLE:
            state.listing = False
        state.many |= bool(phrase.flags & MANY)
        if kind == Kind.VERB and state.doubt:
            state.hidden = HIDES
        if kind in (Kind.VERB, Kind.BUT):
            state.mask, state.choice = ANY, False
        if kind == Kind.RELATION:
            state.mask, state.direct = phrase.mask, True
        elif kind == Kind.VERB and state.role:
            state.mask, state.direct, state.hidden, state.role = state.role, True, 0, 0
        elif kind not in (Kind.ARTICLE, Kind.ONLY, Kind.NOT):
            state.direct = False
