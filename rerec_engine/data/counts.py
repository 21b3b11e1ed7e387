"""Counts that add up: for every kind of row, read = kept + dropped by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

EXAMPLES = 5


@dataclass
class Counts:
    """What was read, kept and dropped, by kind and reason, with the first few places of each drop."""

    read_by_kind: Counter[str] = field(default_factory=Counter)
    kept_by_kind: Counter[str] = field(default_factory=Counter)
    dropped_by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    """Further figures that are not part of a sum."""
    examples: dict[str, list[str]] = field(default_factory=dict)

    def read(self, kind: str, number: int = 1) -> None:
        self.read_by_kind[kind] += number

    def keep(self, kind: str, number: int = 1) -> None:
        self.kept_by_kind[kind] += number

    def drop(self, kind: str, reason: str, place: str = "", number: int = 1) -> None:
        self.dropped_by_kind.setdefault(kind, Counter())[reason] += number
        shown = self.examples.setdefault(f"{kind}: {reason}", [])
        if place and len(shown) < EXAMPLES:
            shown.append(place)

    def note(self, name: str, number: int = 1) -> None:
        self.notes[name] = self.notes.get(name, 0) + number

    def check(self) -> None:
        """Raises ValueError where a row was read but neither kept nor dropped, or the other way round."""
        for kind in self.kinds():
            read, kept, dropped = self.read_by_kind[kind], self.kept_by_kind[kind], self.dropped(kind)
            if read != kept + sum(dropped.values()):
                raise ValueError(f"{kind}: read {read} != kept {kept} + dropped {dict(dropped)}")

    def kinds(self) -> list[str]:
        return list(dict.fromkeys([*self.read_by_kind, *self.kept_by_kind, *self.dropped_by_kind]))

    def dropped(self, kind: str) -> Mapping[str, int]:
        return self.dropped_by_kind.get(kind, Counter())

    def to_json(self) -> dict[str, object]:
        rows = {
            kind: {
                "read": self.read_by_kind[kind],
                "kept": self.kept_by_kind[kind],
                "dropped": dict(self.dropped(kind)),
            }
            for kind in self.kinds()
        }
        return {"rows": rows, "notes": dict(self.notes), "examples": {k: v for k, v in self.examples.items() if v}}

    def table(self) -> str:
        """A text table: kind, read, kept, dropped and why."""
        rows = [("kind", "read", "kept", "dropped", "why")]
        for kind in self.kinds():
            dropped = self.dropped(kind)
            why = ", ".join(f"{reason} {number}" for reason, number in sorted(dropped.items()))
            total = sum(dropped.values())
            rows.append((kind, str(self.read_by_kind[kind]), str(self.kept_by_kind[kind]), str(total), why))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4]]).rstrip()
            for row in rows
        ]
        lines += [f"{name}: {value}" for name, value in self.notes.items()]
        return "\n".join(lines)
