"""Titles and attribute values that a text names, with where it names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rerec_engine.assistant.lexicon import GENRE_WORDS, LIKENING, SEEN, SEEN_PAIRS, role_of, role_words
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.description import DatasetDescription, plural_of
from rerec_engine.graph.titles import normalise
from rerec_engine.graph.titles import words as title_words

_LONGEST, _LONGEST_TITLE = 12, 40  # words of a value, and of a title, looked for in a request
_BEYOND = 3  # words that a request may say more than the title has: articles, the year
_OPENING, _CLOSING = tuple("\"'“‘«"), tuple("\"'”’»")
_TOKEN = re.compile(r"\(\d{4}\)|[^\W_]+(?:['’.:&-]+[^\W_]+)*")
_END = re.compile(r"[.;!?](?!\s*[,:])")
_CLOSED = re.compile(r"[)\]\"”'’]+")
_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")
_SURNAME = 4  # letters
_NAMESAKES = 3  # people of one surname that a surname alone may mean


class Word(NamedTuple):
    """A normalised word. stem: without a possessive 's. start, end: characters of its token. upper: has a capital."""

    text: str
    stem: str
    start: int
    end: int
    upper: bool


class Mention(NamedTuple):
    """words[first:stop] name a title (one item) or a value (its attributes, one a relation, or several namesakes)."""

    first: int
    stop: int
    is_title: bool
    ids: tuple[int, ...]


class Reading(NamedTuple):
    """A text's words, and what they name, in the text's order and without overlap. filler: the dataset's own words that
    ask for nothing: what an item is called, and how its relations are said."""

    text: str
    words: list[Word]
    mentions: list[Mention]
    filler: frozenset[str] = frozenset()

    @property
    def titles(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(i for m in self.mentions if m.is_title for i in m.ids))

    @property
    def attributes(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(a for m in self.mentions if not m.is_title for a in m.ids))

    def sentence_starts(self) -> list[int]:
        """The first word of each word's sentence; a mark within a title ends none."""
        inside = {i for m in self.mentions if m.is_title for i in range(m.first + 1, m.stop)}
        starts = [0] * len(self.words)
        for i in range(1, len(self.words)):
            ends = i not in inside and _END.search(self.gap(i - 1, i))
            starts[i] = i if ends else starts[i - 1]
        return starts

    def gap(self, left: int, right: int) -> str:
        """The characters between two words."""
        return self.text[self.words[left].end : self.words[right].start]


def words_of(text: str) -> tuple[str, ...]:
    """The normalised words of a text, as requests and values are compared.

    >>> words_of("Amélie_Poulain, 2001")
    ('amelie', 'poulain', '2001')
    """
    return tuple(normalise(text).split())


class Index:
    """Finds what texts name. Longer names win; a title's words name no value.

    A title of one word counts only with its year, in quotation marks, or with a capital where it is spoken of as an
    item ("I loved Azul", "like Azul", "the designer of Azul"); one of two words only with a capital or a digit: "It"
    and "the room" are ordinary words. A person's last name counts where it stands alone with a capital and few people
    have it; a value of one word that is no genre or the like (said right before the noun: "a party game"), and that the
    dataset writes with a capital, needs a capital or a preposition.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._values: dict[tuple[str, ...], list[int]] = {}
        self._genres: set[int] = set()
        self._surnames: dict[str, dict[tuple[str, ...], list[int]]] = {}
        graph = dataset.attributes
        roles = {relation: role_of(relation) for relation in dict.fromkeys(graph.relations)}
        longest = max((len(_TOKEN.findall(title)) for title in dataset.titles), default=0)
        self._longest_title = min(longest + _BEYOND, _LONGEST_TITLE)
        self._role_words = frozenset(role_words(list(roles)))
        self._filler = self._role_words | _said(dataset.description, roles)
        for a, (relation, value) in enumerate(zip(graph.relations, graph.values, strict=True)):
            role, words = roles[relation], words_of(_BRACKETS.sub("", value))
            for name in dict.fromkeys((value, _BRACKETS.sub("", value))):
                key = words_of(name)
                if key and (len(key) > 1 or name == value):
                    self._values.setdefault(key, []).append(a)
            if role == "genre" or value.islower() or not dataset.description.wording(relation).clause:
                self._genres.add(a)
            elif role not in ("place", "distributor") and len(words) > 1 and len(words[-1]) >= _SURNAME:
                self._surnames.setdefault(words[-1], {}).setdefault(words, []).append(a)

    def read(self, text: str) -> Reading:
        """What the text names."""
        tokens = list(_TOKEN.finditer(text))
        words: list[Word] = []
        first_word = []  # of each token
        for token in tokens:
            first_word.append(len(words))
            words += [Word(w.text, w.stem, token.start(), token.end(), w.upper) for w in title_words(token[0])]
        first_word.append(len(words))
        mentions: list[Mention] = []
        free = [True] * len(tokens)
        for start, stop in _spans(len(tokens), self._longest_title):
            if all(free[start:stop]) and (item := self._title(text, tokens, start, stop, free)) >= 0:
                mentions.append(Mention(first_word[start], first_word[stop], True, (item,)))
                free[start:stop] = [False] * (stop - start)
        open_ = [False] * len(words)
        for i, is_free in enumerate(free):
            open_[first_word[i] : first_word[i + 1]] = [is_free] * (first_word[i + 1] - first_word[i])
        for start, stop in _spans(len(words), _LONGEST):
            if all(open_[start:stop]) and (found := self._value(text, words, start, stop)):
                mentions.append(Mention(start, stop, False, tuple(dict.fromkeys(found))))
                open_[start:stop] = [False] * (stop - start)
        return Reading(text, words, sorted(m for m in mentions if m.stop > m.first), self._filler)

    def _value(self, text: str, words: Sequence[Word], start: int, stop: int) -> list[int]:
        """The attributes that the span names."""
        span = words[start:stop]
        plain = tuple(w.text for w in span)
        found = self._values.get(plain) or self._values.get((*plain[:-1], span[-1].stem))
        genre = self._genre(" ".join(plain))
        if stop - start > 1:
            return found or genre
        if genre:
            return genre
        upper = span[0].upper
        if found:
            before = words[start - 1].text if start else ""
            return found if upper or before in ("in", "by", "with", "from", "starring", "featuring") else []
        alone = not any(_adjacent(text, words, i) for i in (start - 1, start) if i >= 0)
        opens = start == 0 or any(c in ".!?" for c in text[words[start - 1].end : span[0].start])
        if not upper or opens or not alone or words[start - 1].text in ("of", "the"):
            return []
        named = self._surnames.get(span[0].text) or self._surnames.get(span[0].stem) or {}
        return [a for ids in named.values() for a in ids] if len(named) <= _NAMESAKES else []

    def _genre(self, words: str) -> list[int]:
        """The genres that the words ask for, in any form: comedies, animated, science fiction."""
        forms = [words, GENRE_WORDS.get(words, "")]
        if words.endswith("s"):
            forms += [words[:-1], words[:-3] + "y" if words.endswith("ies") else ""]
        for form in forms:
            if found := [a for a in self._values.get(tuple(form.split()), ()) if a in self._genres]:
                return found
        return []

    def _title(self, text: str, tokens: Sequence[re.Match[str]], start: int, stop: int, free: Sequence[bool]) -> int:
        """The item that the span names, or -1. free: whether a token is in no title that was found before."""
        begin, end = tokens[start].start(), tokens[stop - 1].end()
        years = [i for i in range(start, stop) if tokens[i][0].startswith("(")]
        if years and years != [stop - 1]:
            return -1
        dated = len(years)
        words = stop - start - dated
        span = text[begin:end]
        quoted = text[:begin][-1:] in _OPENING and text[end:][:1] in _CLOSING
        plain = span == span.lower() and not any(c.isdigit() for c in span)
        if words < 1 or (words == 2 and plain and not quoted):
            return -1
        if words == 1 and not (dated or quoted) and not self._stands_for_an_item(text, tokens, start, free):
            return -1
        item = self._dataset.catalogue.match(span)
        closed = _CLOSED.match(text, end)
        if item < 0 and closed:  # of "Ink (Black)" the tokens end before the bracket
            whole = self._dataset.catalogue.match(text[begin : closed.end()])
            item = whole if whole >= 0 and words_of(self._dataset.titles[whole]) == words_of(span) else -1
        return item

    def _stands_for_an_item(self, text: str, tokens: Sequence[re.Match[str]], at: int, free: Sequence[bool]) -> bool:
        """Whether a word with a capital, which is no value, is spoken of as an item: seen or liked, likened to, what a
        role is said of ("the designer of Azul"), or in a list with another title."""
        if not self._may_be_a_title(text, tokens, at):
            return False
        before = [token[0].lower() for token in tokens[max(0, at - 4) : at]]
        if (before and before[-1] in SEEN | LIKENING) or tuple(before[-2:]) in SEEN_PAIRS:
            return True
        opens = at == 1 or (at > 1 and any(c in ".!?" for c in text[tokens[at - 2].end() : tokens[at - 1].start()]))
        if opens and before[-1] in ("about", "of"):  # "Of Azul I was told"
            return True
        if before and before[-1] in ("of", "with", "as") and self._role_words & {*before}:
            return True
        if before[-1:] == ["and"] and at > 1 and not free[at - 2]:
            return True
        after = [token[0] for token in tokens[at + 1 : at + 3]]
        paired = len(after) == 2 and after[0] == "and" and self._may_be_a_title(text, tokens, at + 2)
        return paired and self._dataset.catalogue.match(after[1]) >= 0

    def _may_be_a_title(self, text: str, tokens: Sequence[re.Match[str]], at: int) -> bool:
        """Whether a word has a capital, is long enough and no value or surname, and no further capital follows."""
        word = tokens[at][0]
        known = words_of(word)
        if not word[0].isupper() or len(word) < _SURNAME or known in self._values or not known:
            return False
        if known[0] in self._surnames:
            return False
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if following is None or following[0] == "I" or not following[0][0].isupper():
            return True
        return bool(text[tokens[at].end() : following.start()].strip())


def _said(description: DatasetDescription, relations: Iterable[str]) -> frozenset[str]:
    """The words of the dataset's noun, and of its relations' clauses and roles."""
    wordings = [description.wording(relation) for relation in relations]
    texts = [description.noun, description.items]
    texts += [text for wording in wordings for text in (wording.clause, wording.role, plural_of(wording.role))]
    return frozenset(word for text in texts for word in words_of(text))


def _adjacent(text: str, words: Sequence[Word], left: int) -> bool:
    """Whether words left and left + 1 both have a capital and only space between."""
    if left + 1 >= len(words):
        return False
    between = text[words[left].end : words[left + 1].start]
    return words[left].upper and words[left + 1].upper and not between.strip()


def _spans(length: int, longest: int) -> Iterator[tuple[int, int]]:
    """All spans of at most `longest`, longest first, then from the left."""
    for size in range(min(length, longest), 0, -1):
        for start in range(length - size + 1):
            yield start, start + size
