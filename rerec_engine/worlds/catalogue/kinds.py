"""The kinds of requests, and which of them a catalogue allows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue.drafts import Draft, Picker
from rerec_engine.worlds.catalogue.inferred import draw_demographics, draw_implicit, draw_interest, draw_misinformed
from rerec_engine.worlds.catalogue.shelf import YEAR
from rerec_engine.worlds.catalogue.told import draw_exclusion, draw_explicit, draw_numbers, draw_several, draw_years

Draw = Callable[[Picker, np.random.Generator], Draft | None]
KINDS: dict[str, Draw] = {
    "explicit": draw_explicit,
    "exclusion": draw_exclusion,
    "years": draw_years,
    "numbers": draw_numbers,
    "several": draw_several,
    "implicit": draw_implicit,
    "misinformed": draw_misinformed,
    "interest": draw_interest,
    "demographics": draw_demographics,
}
TURNS = (
    "explicit implicit exclusion misinformed numbers interest several demographics explicit years implicit exclusion"
    " misinformed numbers interest several demographics explicit"
).split()
"""In which the kinds follow one another."""


def kinds_of(picker: Picker, chosen: str) -> list[str]:
    """The turns of the kinds chosen, or of all, that the catalogue may allow. Raises UserError."""
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise UserError(f"kinds: {unknown[0]!r} is none of {', '.join(KINDS)}")
    shelf = picker.shelf
    missing: dict[str, str] = {}
    if YEAR not in shelf.numbers:
        missing["years"] = "years of items"
    if not set(shelf.numbers) - {YEAR}:
        missing["numbers"] = "numbers of items"
    if not any(shelf.knowledge.profiles) or not picker.groups:
        missing["demographics"] = "profiles of users"
    lacking = [name for name in names if name in missing]
    if lacking:
        raise UserError(f"kinds: {lacking[0]} needs {missing[lacking[0]]}, and the catalogue has none")
    return [name for name in TURNS if name in (names or KINDS) and name not in missing]
