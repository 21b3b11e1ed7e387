"""English words that the parser of requests knows: roles that relations stand for, negations, verbs of having seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rerec_engine.data.description import plural_of
from rerec_engine.graph.titles import normalise


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ROLES = {
    "genre": _set("genre genres"),
    "director": _set("director directors direct directed directing directs directorial filmmaker"),
    "writer": _set(
        "writer writers written writing wrote writes author authors novelist screenwriter screenplay script penned"
    ),
    "starring": _set(
        "starring stars star starred actor actors actress actresses acting acts cast performance performances performer"
        " featuring features feature featured plays played role roles"
    ),
    "cinematography": _set(
        "cinematography cinematographer cinematographers cinematographic cinematographically camera visual visuals"
        " visually shot filmed lensed"
    ),
    "music": _set("music composer composers composed score scores soundtrack musical"),
    "editing": _set("editor editors editing edited"),
    "producer": _set("producer producers produced producing production"),
    "distributor": _set("distributor distributors distributed distribution studio"),
    "place": _set("set setting place"),
}
"""Role -> words that name it, among them those of the relations that have it: Directed_by, musicComposer, Set_in."""

PERSON_ROLES = ("director", "writer", "starring", "music", "cinematography", "editing", "producer")
"""Roles of people, in the order in which "him" or "her" is tried."""

PREPOSITION_ROLES = {
    "by": ("director", "writer", "music", "producer"),
    "with": ("starring",),
    "in": ("place",),
    "from": ("director", "writer", "distributor", "producer", "place"),
}
"""Roles that a preposition before a value suggests."""

PRONOUNS = _set("him her them his hers theirs he she they")
BEFORE_PRONOUN = _set("by with from without starring featuring of without")
POINTING = _set("same that this")

NEGATIONS = _set(
    "not no without except excluding avoid never nor dont doesnt isnt arent wasnt didnt cant hate dislike minus nothing"
    " none neither skip"
)
NEGATION_PAIRS = frozenset({
    ("other", "than"), ("apart", "from"), ("rather", "than"), ("instead", "of"), ("anything", "but"), ("tired", "of"),
    ("sick", "of"),
})  # fmt: skip
NEGATION_FILLER = _set(
    "a an the any anything something one ones another more again of by with from in to be is was films film movie"
    " movies book books novel novels game games item items product products thing things like want stand fan"
    " interested into really too much made set old starring"
)
"""Words that may stand between a negation and what it excludes."""
ARTICLES = _set("a an the some any")
STOP_WORDS = ARTICLES | _set(
    "i me my mine we us our you your he him his she her it its they them their this that these those there here who"
    " whom whose which what when where why how am is are was were be been being do does did have has had can could will"
    " would shall should may might must and or but nor if so as than then too very just only also of in on at by for"
    " from to into with without about over under between after before up down out off again more most other such own"
    " same no not please thanks thank hello hi hey like something anything someone good great nice best new one ones"
)
"""Words that say nothing of an item."""
ITEM_WORDS = _set(
    "film films movie movies picture pictures book books novel novels game games item items product products thing"
    " things one ones"
)
LIST_FILLER = (
    ARTICLES
    | ITEM_WORDS
    | _set(
        "by with in from at least something anything maybe perhaps even also directed written starring featuring set"
    )
)
"""Words that may stand between "or" and what it goes on with."""

SEEN = _set(
    "watched watching saw seen enjoyed loved liked impressed noticed appreciated admired finished read reading"
    " rewatched"
)
LIKENING = _set("like likes love loves enjoy enjoys remember remembers know knows than me")
"""Words right before a title, besides those of having seen it."""
SEEN_PAIRS = frozenset({
    ("fan", "of"), ("impressed", "by"), ("back", "to"), ("similar", "to"), ("same", "as"),
    ("speaking", "of"), ("favourite", "is"), ("favorite", "is"),
})  # fmt: skip
ASKING = _set("find want wants need recommend suggest looking seeking but instead now prefer")

FRESH = re.compile(
    r"\b(?:completely|entirely|totally|quite) (?:different|else)\b|\bsomething else (?:completely|entirely)\b"
    r"|\bstart (?:over|afresh|again)\b|\bnew (?:topic|request|search)\b|\bforget (?:that|it|all|about)\b"
    r"|\bnever ?mind\b|\bfrom scratch\b"
)
"""Asks for a new start, in the normalised words of a request."""

FOLLOWING = _set(
    "older newer earlier later another more less else also too instead same again other different similar him her them"
    " his their those these"
)
"""Words that tie a request to the answer before it."""
FOLLOWING_WEAK = _set("that one ones not no without except only but and or")
"""The same, in a request that says nothing wanted of its own."""
FOLLOWING_FIRST = _set(
    "by with from set starring in before after featuring directed written about since until what how ok okay but and or"
    " not no nor without only"
)
"""The same, as the first word."""
ON_FROM_TITLE = _set("and but also ok okay or no not what how")
"""First words that tie a request which names a title of its own."""
ADDING = _set("also too additionally both well")

COUNTS = {w: i for i, w in enumerate("one two three four five six seven eight nine ten".split(), 1)}
COUNT = re.compile(
    r"\b(?:give me|show me|recommend|suggest|find me|find|list|name|want|need|top|tell me)\s+(?:me\s+)?(?:up to\s+)?"
    r"(?:the\s+)?(\d{1,2}|" + "|".join(list(COUNTS)[1:]) + r")\b(?!\s*(?:hours?|minutes?|years?)\b)"
)

GENRE_WORDS = {
    "animated": "animation", "cartoon": "animation", "comedic": "comedy", "funny": "comedy", "romantic": "romance",
    "scary": "horror", "dramatic": "drama", "kids": "childrens", "children": "childrens", "child": "childrens",
    "documentary": "documentary", "noir": "film noir", "thrilling": "thriller", "sci fi": "sci fi",
    "science fiction": "sci fi", "scifi": "sci fi", "cowboy": "western", "love story": "romance",
    "whodunit": "mystery", "adventurous": "adventure", "wartime": "war", "film noir": "film noir",
}  # fmt: skip
"""Normalised words -> the normalised genre that they ask for, where the dataset has it."""


COMMON_GENRES = _set(
    "horror western thriller comedy drama romance fantasy mystery documentary musical animation biography noir"
    " adventure"
)
"""Genres that are told as unknown where the dataset has no such value."""


def role_of(relation: str) -> str:
    """The role of a dataset's relation, or its own words where it has none.

    >>> role_of("musicComposer"), role_of("Directed_by"), role_of("Colour")
    ('music', 'director', 'colour')
    """
    words = normalise(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", relation).replace("_", " ")).split()
    return next((role for role, known in ROLES.items() if known & set(words)), " ".join(words))


def role_words(relations: Sequence[str]) -> dict[str, str]:
    """Word -> role, for the roles of these relations."""
    roles = {role_of(relation) for relation in relations}
    known = {word: role for role in roles for word in ROLES.get(role, ())}
    single = [role for role in roles if " " not in role]
    return {**{plural_of(role): role for role in single}, **{role: role for role in single}, **known}
