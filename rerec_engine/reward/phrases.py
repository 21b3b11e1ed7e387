"""The words that may stand between an item and a value in a statement, and how relations are said.

A closed list: `rerec_engine.metrics.truth` reads a statement only where nothing else stands between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rerec_engine.data.description import DatasetDescription
from rerec_engine.graph.titles import normalise

OTHERS = 63
"""The number of all relations from this one on: phrases do not tell them apart, and no mask leaves them out."""
ANY = (1 << 64) - 1
"""The mask of a phrase that says nothing of the relation."""


class Kind(IntEnum):
    """What a phrase does in a statement; `csrc/reward/statements.hpp` has the same numbers."""

    FILLER = 0
    ARTICLE = 1
    NOUN = 2
    """What the items are called."""
    VERB = 3
    """"is", "has": the subject has what follows."""
    NOT = 4
    ONLY = 5
    """"not only" is no negation."""
    NO = 6
    """After a value a verdict ("drama no"), after a verb a negation ("has no drama")."""
    YES = 7
    AND = 8
    OR = 9
    NOR = 10
    BUT = 11
    NEITHER = 12
    RELATION = 13
    """Stands before a value: "directed by"."""
    ACTIVE = 14
    """Stands between a value and an item: "directed"."""
    ROLE_OF = 15
    """Stands before an item: "the director of"."""
    STOP = 16
    """Ends what came before; is told here for what it does to an item after it."""
    AFTER = 17
    """As STOP, but may follow a value in small letters, where any other word makes it part of another thing ("action
    figures")."""


MANY = 1
"""Flag: the verb of several subjects."""
ASKS = 2
"""Flag: before an item the beginning of a question, or of what is being defined: "is A a drama"."""
HIDES = 4
"""Flag: an item after it is not what the sentence is about: "unlike A"."""
RESETS = 8
"""Flag: a relation said as a verb, with which a negation before it ends: "and stars"."""
DOUBTS = 16
"""Flag: before an item it makes what a verb says of it unsure: "maybe A is a drama"."""


class Phrase(NamedTuple):
    """Normalised words, and what they do; mask: bit r for relation r, 64 bits."""

    words: str
    kind: Kind
    flags: int = 0
    mask: int = ANY


_WORDS: tuple[tuple[Kind, int, str], ...] = (
    (Kind.ARTICLE, 0, "the a an"),
    (
        Kind.FILLER,
        0,
        "also well too indeed clearly certainly definitely really truly actually very quite still itself its it"
        " that thats which who he she they another one kind type instead rather purely mainly mostly been be being"
        " having",
    ),
    (
        Kind.FILLER,
        0,
        "classic classics iconic great good solid big popular beloved famous celebrated notable brilliant excellent"
        " wonderful fantastic memorable timeless quintessential masterpiece gem dark romantic",
    ),
    (Kind.FILLER, HIDES, "with by from in"),
    (Kind.VERB, ASKS, "is was"),
    (Kind.VERB, ASKS | MANY, "are were do did"),
    (Kind.VERB, ASKS, "does"),
    (Kind.VERB, 0, "has had features includes"),
    (Kind.VERB, MANY, "have feature include share all both"),
    (Kind.NOT, HIDES, "not isnt wasnt doesnt didnt hasnt hadnt never without lacks lacking"),
    (Kind.NOT, HIDES | MANY, "arent werent dont havent lack"),
    (Kind.ONLY, 0, "only just merely simply"),
    (Kind.NO, HIDES, "no"),
    (Kind.YES, 0, "yes"),
    (Kind.AND, 0, "and"),
    (Kind.OR, 0, "or"),
    (Kind.NOR, 0, "nor"),
    (Kind.BUT, 0, "but"),
    (Kind.NEITHER, 0, "neither"),
    (
        Kind.STOP,
        HIDES,
        "unlike like than except besides if whether unless assuming suppose supposing could would should might may can"
        " cannot cant as between against via per toward towards near beyond among without watching",
    ),
    (
        Kind.AFTER,
        HIDES,
        "of to for on about at into through under over during after before upon behind since where when while because",
    ),
    (
        Kind.STOP,
        DOUBTS,
        "maybe perhaps possibly probably presumably supposedly allegedly think believe guess doubt sure certain",
    ),
    (Kind.AFTER, 0, "so though although then this these those whose story tale piece"),
)  # fmt: skip

_FILLERS = ("comes to mind", "come to mind")
_NOUNS = ("film", "films", "movie", "movies", "flick", "flicks", "item", "items", "product", "products")
_ALIASES = {
    "cinematography": "cinematographer", "photography": "cinematographer", "photographed": "cinematographer",
    "editing": "editor", "edited": "editor", "music": "composer", "composed": "composer", "actor": "star",
    "actress": "star", "cast": "star", "starring": "star", "screenwriter": "writer", "author": "writer",
    "written": "writer", "directed": "director", "produced": "producer", "distributed": "distributor",
    "distribution": "distributor", "published": "publisher", "designed": "designer", "illustrated": "illustrator",
    "manufacturer": "maker", "brand": "maker", "made": "maker", "created": "creator", "set": "place",
    "location": "place", "category": "genre",
}  # fmt: skip
"""Words of a relation's name or role -> the role."""

_ROLES: dict[str, tuple[str, str, str]] = {
    "director": ("directed by, direction by, helmed by", "directed, helmed", "director"),
    "writer": ("written by, penned by, screenplay by, script by, authored by", "wrote, penned", "writer, author"),
    "producer": ("produced by", "produced", "producer"),
    "star": (
        "starring, starred, stars, star, featuring",
        "stars in, starred in, star in, appears in, appeared in, acts in, acted in, plays in, played in",
        "star, actor, actress",
    ),
    "composer": ("music by, scored by, composed by, score by", "composed, scored", "composer"),
    "editor": ("edited by, editing by", "edited", "editor"),
    "cinematographer": (
        "photographed by, shot by, filmed by, lensed by, cinematography by",
        "photographed, shot, filmed",
        "cinematographer",
    ),
    "distributor": ("distributed by, released by", "distributed", "distributor"),
    "publisher": ("published by", "published", "publisher"),
    "designer": ("designed by", "designed", "designer"),
    "illustrator": ("illustrated by", "illustrated", "illustrator"),
    "creator": ("created by", "created", "creator"),
    "maker": ("made by, manufactured by", "makes, made", "maker, brand, manufacturer"),
    "place": ("set in, takes place in", "", "setting"),
    "genre": ("", "", "genre"),
}
"""Role -> what is said before a value, between a value and an item, and as a noun."""
_VERBS = {"stars": 0, "starred": MANY, "star": MANY}
_VAGUE = frozenset("with by from in of the a an".split())
"""Clauses that say nothing of the relation."""


def phrases(relations: Sequence[str], description: DatasetDescription) -> list[Phrase]:
    """All phrases of a dataset, no words twice. relations: the names, each once, in the order of their numbers."""
    found: dict[str, Phrase] = {}
    for kind, flags, words in _WORDS:
        for word in words.split():
            found.setdefault(word, Phrase(word, kind, flags))
    for words in _FILLERS:
        found[words] = Phrase(words, Kind.FILLER)
    nouns = (description.noun, description.items)
    for word in (*nouns, *(noun.split()[-1] for noun in nouns if noun.split()), *_NOUNS):
        found.setdefault(normalise(word), Phrase(normalise(word), Kind.NOUN))
    for number, relation in enumerate(relations[:OTHERS]):
        for phrase in _of_relation(relation, description, 1 << number | 1 << OTHERS):
            known = found.get(phrase.words)
            if known is None:
                found[phrase.words] = phrase
            elif known.kind == phrase.kind and known.mask != ANY:
                found[phrase.words] = known._replace(mask=known.mask | phrase.mask)
    return [phrase for words, phrase in found.items() if words]


def _of_relation(relation: str, description: DatasetDescription, mask: int) -> Iterable[Phrase]:
    """How the relation is said."""
    wording = description.wording(relation)
    clause, role = normalise(wording.clause), normalise(wording.role)
    if clause and clause not in _VAGUE:
        yield Phrase(clause, Kind.RELATION, 0, mask)
    nouns = [role]
    for key in roles_of(relation, role):
        before, between, called = (text.split(", ") if text else [] for text in _ROLES[key])
        for words in before:
            flags = RESETS | _VERBS[words] if words in _VERBS else 0
            yield Phrase(words, Kind.RELATION, flags, mask)
        for words in between:
            yield Phrase(words, Kind.ACTIVE, 0, mask)
        nouns += called
    for noun in dict.fromkeys(nouns):
        if noun and noun not in _VAGUE:
            yield Phrase(noun, Kind.RELATION, 0, mask)
            yield Phrase(f"{noun} of", Kind.ROLE_OF, HIDES, mask)


def roles_of(relation: str, role: str) -> list[str]:
    """The roles, of those that are told apart, that a relation stands for.

    >>> roles_of("musicComposer", "music composer"), roles_of("film.film.directed_by", "director")
    (['composer'], ['director'])
    """
    words = normalise(f"{role} {relation.rpartition('.')[2].replace('_', ' ')}").split()
    return list(dict.fromkeys(_ALIASES.get(w, w) for w in words if _ALIASES.get(w, w) in _ROLES))


class ValueKinds(NamedTuple):
    """Of A attributes, by number."""

    relation: NDArray[np.int32]  # [A], the relation's number, at most OTHERS
    any_case: NDArray[np.bool_]  # [A], the value may be said in small letters whatever the dataset does
    relations: tuple[str, ...]  # the relations' names by number


def value_kinds(relations: Sequence[str], description: DatasetDescription) -> ValueKinds:
    """relations: of each attribute."""
    names = tuple(dict.fromkeys(relations))
    numbers = {name: number for number, name in enumerate(names)}
    small = np.array([not description.wording(name).clause for name in names], dtype=np.bool_)
    of = np.array([numbers[name] for name in relations], dtype=np.int32)
    return ValueKinds(np.minimum(of, np.int32(OTHERS)), small[of], names)
