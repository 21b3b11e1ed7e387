"""`dataset.json` of a dataset directory: what its items are called, the form of its prompts, how relations are said.

    {"noun": "board game", "plural": "board games", "form": "chat",
     "kinds": {"expansion": {"relation": "type", "value": "expansion"}},
     "relations": {"designer": {"clause": "designed by", "role": "designer"}},
     "numbers": {"price": {"unit": "euros"}}, "facts": "asked", "fact_tokens": 60, "order": "fresh"}

Written by `prepare`, for a person to edit; every field may be left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from rerec_engine.data.prompts import FORMS, OPENINGS, PromptForm
from rerec_engine.errors import UserError, file_error
from rerec_engine.types import Message

FILE = "dataset.json"
VOCABULARY = "vocabulary.json"
FACTS = ("none", "asked", "all")
ORDERS = ("fixed", "fresh")
T = TypeVar("T")
AGENTS = {
    "composed": "composer",
    "created": "creator",
    "designed": "designer",
    "directed": "director",
    "distributed": "distributor",
    "edited": "editor",
    "illustrated": "illustrator",
    "made": "maker",
    "performed": "performer",
    "photographed": "cinematographer",
    "produced": "producer",
    "published": "publisher",
    "starring": "star",
    "translated": "translator",
    "written": "writer",
}
"""What was done to an item -> who did it."""
_ACTIVITIES = {"cinematography": "photographed by", "editing": "edited by"}
"""What a relation to people is called -> how it is said."""
DEEDS = {role: deed for deed, role in AGENTS.items() if deed != "starring"}
"""Who -> what was done to the item: "designer" -> "designed"."""
_CLAUSES = {role: f"{deed} by" for role, deed in DEEDS.items()} | {
    "star": "starring",
    "actor": "starring",
    "artist": "by",
    "author": "by",
    "band": "by",
    "brand": "by",
    "developer": "developed by",
    "manufacturer": "made by",
    "music composer": "with music by",
}
_LINKED = re.compile(r".+ (?:at|by|for|from|in|of|on|to|with)|\w+ing")


@dataclass(frozen=True)
class Wording:
    """How a relation is said. clause: what stands between an item and a value ("directed by"); empty: the value stands
    before the noun ("a drama film"). role: what the value is to the item ("director")."""

    clause: str
    role: str


@dataclass(frozen=True)
class Kind:
    """How items of one noun are told: they alone have the relation, or this value of it."""

    relation: str
    value: str = ""


@dataclass(frozen=True)
class Number:
    """How a number is said. unit: after it ("euros", "players"); role: what it is to the item ("price")."""

    unit: str
    role: str


@dataclass(frozen=True)
class DatasetDescription:
    """The words of a dataset. A relation without a wording gets one made from its name."""

    noun: str = "item"
    plural: str = ""
    """Empty: made from the noun."""
    form: str = "chat"
    """Of its prompts, one of `prompts.FORMS`."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """By noun; empty where all items are of one kind."""
    relations: Mapping[str, Wording] = field(default_factory=dict)
    """In the order in which a sentence names them."""
    openings: tuple[str, ...] = OPENINGS
    """First words of a request, for the form `sentences`."""
    invented: bool = False
    """No item and no user is real."""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    """How the numbers of items are said, by field."""
    facts: str = "none"
    """What a prompt tells of the candidates and of the items that the request or the history names, one of FACTS:
    nothing, what the request is about, or all that is known."""
    fact_tokens: int = 60
    """What is told of one item has at most so many tokens, taken as four characters each."""
    order: str = "fixed"
    """Of the candidates, one of ORDERS: as they lie in the split's file, or drawn each time a query is asked."""

    @property
    def prompt_form(self) -> PromptForm:
        return FORMS[self.form]

    @property
    def items(self) -> str:
        """The plural."""
        return self.plural or plural_of(self.noun)

    def wording(self, relation: str) -> Wording:
        return self.relations.get(relation) or default_wording(relation)

    def prompt(
        self,
        request: str,
        *,
        candidates: Sequence[str] = (),
        facts: Sequence[str] = (),
        history: Sequence[str] = (),
        history_facts: Sequence[str] = (),
        named: Mapping[str, str] | None = None,
        profile: str = "",
        noun: str = "",
    ) -> tuple[Message, ...]:
        """The messages of one request in the dataset's form, see `prompts.chat_prompt`. noun: of the item asked for,
        where it is a special one."""
        return self.prompt_form.build(
            request,
            candidates=candidates,
            facts=facts,
            history=history,
            history_facts=history_facts,
            named=named,
            profile=profile,
            item=noun or self.noun,
        )

    def completed(self, relations: Iterable[str]) -> DatasetDescription:
        """With plural and a wording of each relation filled in."""
        said = {**self.relations, **{r: self.wording(r) for r in dict.fromkeys(relations)}}
        return replace(self, plural=self.items, relations=said)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def default_wording(relation: str) -> Wording:
    """From the relation's name: "Directed_by" and "director" are said "directed by", "theme" "with the theme"."""
    last = re.split(r"[.:/]", relation)[-1] or relation
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\W]+", " ", last).lower().strip()
    words = words or " ".join(relation.split()) or "value"
    words = _ACTIVITIES.get(words, words)
    role = AGENTS.get(words.removesuffix(" by"), words)
    if words in _CLAUSES:
        return Wording(_CLAUSES[words], role)
    if words in ("genre", "category", "type"):
        return Wording("", role)
    return Wording(words if _LINKED.fullmatch(words) else f"with the {words}", role)


def plural_of(noun: str) -> str:
    """The regular English plural."""
    if re.search(r"(?:s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def read_description(folder: Path) -> DatasetDescription:
    """The directory's; without the file the defaults. Raises UserError naming file and field.

    A directory from before there was such a file is in sentences where it has a vocabulary of them.
    """
    path = folder / FILE
    if not path.is_file():
        if (folder / VOCABULARY).is_file():
            kinds = {"film": Kind("Directed_by"), "book": Kind("Written_by")}
            order = ("Genre", "Directed_by", "Starring", "Written_by", "Set_in")
            said = {relation: default_wording(relation) for relation in order}
            return DatasetDescription(form="sentences", kinds=kinds, relations=said, invented=True)
        return DatasetDescription()
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise file_error(path, f"not readable as JSON: {error}") from None
    try:
        return parse_description(value)
    except ValueError as error:
        raise file_error(path, str(error)) from None


def write_description(folder: Path, description: DatasetDescription) -> None:
    text = json.dumps(description.to_json(), indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def parse_description(value: object) -> DatasetDescription:
    """Of parsed JSON. Raises UserError naming the field."""
    default = DatasetDescription()
    entries = _object(value, "the file", tuple(field.name for field in fields(default)))
    form = _choice(entries.get("form", default.form), "form", tuple(FORMS))
    invented = entries.get("invented", default.invented)
    if not isinstance(invented, bool):
        raise UserError(f"invented must be true or false, got {invented!r}"[:200])
    openings = entries.get("openings", list(default.openings))
    if not isinstance(openings, list) or not (openings or not FORMS[form].closed):
        raise UserError(f"openings must be a list{' of at least one' if FORMS[form].closed else ''}")
    fact_tokens = entries.get("fact_tokens", default.fact_tokens)
    if type(fact_tokens) is not int or fact_tokens < 1:
        raise UserError(f"fact_tokens must be a whole number of at least 1, got {fact_tokens!r}"[:200])
    return DatasetDescription(
        noun=_text(entries.get("noun", default.noun), "noun"),
        plural=_text(entries.get("plural", default.plural), "plural", blank=True),
        form=form,
        kinds=_each(entries.get("kinds", {}), "kinds", _kind),
        relations=_each(entries.get("relations", {}), "relations", _wording),
        openings=tuple(_text(opening, "openings") for opening in openings),
        invented=invented,
        numbers=_each(entries.get("numbers", {}), "numbers", _number),
        facts=_choice(entries.get("facts", default.facts), "facts", FACTS),
        fact_tokens=fact_tokens,
        order=_choice(entries.get("order", default.order), "order", ORDERS),
    )


def _kind(value: object, name: str) -> Kind:
    entry = _object(value, name, ("relation", "value"))
    return Kind(
        _text(entry.get("relation"), f"{name}.relation"), _text(entry.get("value", ""), f"{name}.value", blank=True)
    )


def _wording(value: object, name: str) -> Wording:
    default = default_wording(name.partition(".")[2])
    entry = _object(value, name, ("clause", "role"))
    clause = _text(entry.get("clause", default.clause), f"{name}.clause", blank=True)
    return Wording(clause, _text(entry.get("role", default.role), f"{name}.role"))


def _number(value: object, name: str) -> Number:
    entry = _object(value, name, ("unit", "role"))
    role = name.partition(".")[2].replace("_", " ")
    return Number(
        _text(entry.get("unit", ""), f"{name}.unit", blank=True), _text(entry.get("role", role), f"{name}.role")
    )


def _choice(value: object, name: str, choices: tuple[str, ...]) -> str:
    text = _text(value, name)
    if text not in choices:
        raise UserError(f"{name} must be one of {', '.join(choices)}, got {text!r}")
    return text


def _each(value: object, name: str, parse: Callable[[object, str], T]) -> dict[str, T]:
    if not isinstance(value, dict):
        raise UserError(f"{name} must be an object, got {type(value).__name__}")
    return {key: parse(entry, f"{name}.{key}") for key, entry in value.items()}


def _object(value: object, name: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{name} must be an object, got {type(value).__name__}")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise UserError(f"{name} has no field {unknown[0]!r} (it has {', '.join(known)})")
    return value


def _text(value: object, name: str, blank: bool = False) -> str:
    if not isinstance(value, str) or not (value.strip() or (blank and not value)) or "\n" in value:
        raise UserError(f"{name} must be one line of text, got {value!r}"[:200])
    return value
