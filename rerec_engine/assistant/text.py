"""An answer as text for people."""

from __future__ import annotations

import re

from rerec_engine.assistant.exchange import Answer

_NUMBERED = re.compile(r"^\d+\. (.+)$", re.MULTILINE)


def as_text(answer: Answer, remedy: str = "") -> str:
    """Items with their attributes, then what is to be said about the answer; the reasoning left out. remedy: see
    `Answer.all_notes`."""
    lines = []
    for rank, item in enumerate(answer.items, start=1):
        lines.append(f"{rank}. {item.title}")
        lines += [f"   {'*' if v in item.asked else ' '} {r.replace('_', ' ')}: {v}" for r, v in item.attributes]
        measures = [e for e in item.evidence if (e.relation, e.value) not in item.attributes]
        lines += [f"   * {e.relation.replace('_', ' ')}: {e.value} ({e.condition})" for e in measures]
        lines += [f"   - {missed}: no" for missed in item.missed]
    if any(item.asked or item.evidence for item in answer.items):
        lines.append("   (* asked for)")
    lines += [f"not met: {unmet}" for unmet in answer.unmet]
    lines += [f"note: {note}" for note in answer.all_notes(remedy)]
    return plain("\n".join(lines))


def titles_in(text: str) -> list[str]:
    """The titles that `as_text` wrote."""
    return _NUMBERED.findall(text)


def plain(text: str) -> str:
    """Without control characters: a response is untrusted and must not steer the terminal."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
