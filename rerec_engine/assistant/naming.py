"""Names in a request -> conditions: by which relation a value is meant, false claims, names that nothing has."""

from __future__ import annotations

from collections.abc import Sequence

from rerec_engine.assistant.conditions import Condition
from rerec_engine.assistant.lexicon import ASKING, COMMON_GENRES, PREPOSITION_ROLES, SEEN, role_of, role_words
from rerec_engine.assistant.mentions import Mention, Reading
from rerec_engine.assistant.negation import Target, exclude, negated
from rerec_engine.data.dataset import Dataset

_NEAR, _BEHIND = 3, 5  # words between a value and a word of its role, before and after it
_UNKNOWN = 5  # names that are told as unknown
_TITLES = 8  # of a sentence, about which it may claim something


class Namer:
    """Makes the conditions of one dataset's names. roles: role -> relations. role_words: word -> role."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        relations = list(dict.fromkeys(dataset.attributes.relations))
        self.roles: dict[str, list[str]] = {}
        for relation in relations:
            self.roles.setdefault(role_of(relation), []).append(relation)
        self.role_words = role_words(relations)
        clauses = dataset.description.relations
        self._makers = [role_of(r) for r in relations if r in clauses and clauses[r].clause.split()[-1:] == ["by"]]

    def values(self, reading: Reading) -> tuple[list[Target], list[str], set[int]]:
        """Titles and values with the relation that words beside them ask for, and the words that are thereby used."""
        targets, notes, used = [], [], set[int]()
        taken = {i for m in reading.mentions for i in range(m.first, m.stop)}
        for mention in reading.mentions:
            if mention.is_title:
                targets.append(Target(mention.first, mention.stop, None, mention))
                continue
            roles, strict, at = self._hint(reading, mention, taken)
            if at >= 0:
                used.add(at)
            condition, note = self._condition(mention.ids, roles, strict)
            notes += [note] if note else []
            targets.append(Target(mention.first, mention.stop, condition, mention))
        return targets, notes, used

    def _condition(self, ids: Sequence[int], roles: Sequence[str], strict: bool) -> tuple[Condition, str]:
        graph = self._dataset.attributes
        for role in roles:
            own = tuple(a for a in ids if role_of(graph.relations[a]) == role)
            if own:
                return self.named(own), ""
        value = graph.values[ids[0]]
        if strict and role_of(graph.relations[ids[0]]) != "genre":
            relation = self.roles[roles[0]][0]
            others = sorted({graph.relations[a].replace("_", " ") for a in ids})
            condition = Condition(f"{relation.replace('_', ' ')}: {value}", relation, near=tuple(ids))
            return condition, f"{value} is known here as {', '.join(others)} alone"
        return self.named(tuple(ids)), ""

    def named(self, ids: tuple[int, ...], prefix: str = "") -> Condition:
        """The condition of having any of the attributes."""
        graph = self._dataset.attributes
        relations = list(dict.fromkeys(graph.relations[a] for a in ids))
        values = list(dict.fromkeys(graph.values[a] for a in ids))
        told = relations[0].replace("_", " ") + ": " if len(relations) == 1 else ""
        return Condition(prefix + told + " or ".join(values[:4]), relations[0], ids)

    def _hint(self, reading: Reading, mention: Mention, taken: set[int]) -> tuple[tuple[str, ...], bool, int]:
        """Roles that words beside a value ask for, whether it can be no other, and the word that says so."""
        words = reading.words
        preposition = ""
        for i in range(mention.first - 1, max(-1, mention.first - 2 - _NEAR), -1):
            if i in taken or any(c in ".;!?,:" for c in reading.gap(i, i + 1)):
                break
            if role := self.role_words.get(words[i].text):
                return (role,), i >= mention.first - 2, i
            preposition = preposition or (words[i].text if words[i].text in PREPOSITION_ROLES else "")
        possessive = words[mention.stop - 1].text != words[mention.stop - 1].stem
        for i in range(mention.stop, min(len(words), mention.stop + _BEHIND)):
            if i in taken or any(c in ".;!?:" for c in reading.gap(i - 1, i)) or words[i].text in ("and", "but", "or"):
                break
            after = words[i].text
            if (role := self.role_words.get(after)) and (possessive or i > mention.stop):
                return (role,), False, i
            if after in ("by", "with", "from"):
                break
        roles = PREPOSITION_ROLES.get(preposition, ())
        return tuple(role for role in roles if role in self.roles), False, -1

    def unknown(self, reading: Reading, targets: Sequence[Target]) -> list[Condition]:
        """Names with capitals after "by" or "starring", and common genres, that the dataset does not know: conditions
        that nothing satisfies, so that this can be told."""
        words = reading.words
        taken = {i for m in reading.mentions for i in range(m.first, m.stop)}
        spans: list[tuple[int, int, str]] = []
        for i, word in enumerate(words):
            if i in taken:
                continue
            form = word.text[:-3] + "y" if word.text.endswith("ies") else word.text.removesuffix("s")
            genre = next((w for w in (word.text, form) if w in COMMON_GENRES), "")
            if genre and "genre" in self.roles and not word.upper:
                spans.append((i, i + 1, "genre"))
            cue = words[i - 1].text if i else ""
            role = self.role_words.get(cue) or self.role_words.get(words[i - 2].text if i > 1 else "") or ""
            if cue not in ("by", "starring", "featuring") or not word.upper or "(" in reading.gap(i - 1, i):
                continue
            role = role or next((r for r in (*PREPOSITION_ROLES["by"], *self._makers) if r in self.roles), "")
            stop = i + 1
            while (
                stop < len(words)
                and stop not in taken
                and words[stop].upper
                and not reading.gap(stop - 1, stop).strip()
            ):
                stop += 1
            if role in self.roles and (stop > i + 1 or len(word.text) > 3):
                spans.append((i, stop, role))
        found = [
            Target(a, b, self._nothing(reading.text[words[a].start : words[b - 1].end], r))
            for a, b, r in spans[:_UNKNOWN]
        ]
        return [
            exclude(t.condition) if no else t.condition
            for t, no in zip(found, negated(reading, found), strict=True)
            if t.condition is not None and not any(t.first < o.stop and o.first < t.stop for o in targets)
        ]

    def _nothing(self, name: str, role: str) -> Condition:
        relation = self.roles[role][0]
        return Condition(f"{relation.replace('_', ' ')}: {name}", relation)

    def correct(
        self, reading: Reading, targets: Sequence[Target], own: list[Condition], notes: list[str]
    ) -> list[Condition]:
        """A false claim about a title ("directed by X as in T"): T's own values count, and the note says so.

        A claim: title and value in one sentence, the value "in" or "as in" the title, or after it, behind a verb of
        having seen it and with no word of asking between them; or the title, then "its" role "is" the value, with no
        word of asking before.
        """
        graph = self._dataset.attributes
        words = [w.text for w in reading.words]
        corrected = list(own)
        starts = reading.sentence_starts()
        titles: dict[int, list[Target]] = {}
        for target in targets:
            if target.mention is not None and target.mention.is_title:
                titles.setdefault(starts[target.first], []).append(target)
        for target in targets:
            condition = target.condition
            if condition is None or target.mention is None or condition not in corrected or condition.measured:
                continue
            for title in titles.get(starts[target.first], [])[:_TITLES]:
                left, right = sorted((target, title), key=lambda t: t.first)
                inside = words[left.stop : right.first]
                as_in = inside[-2:] == ["as", "in"] or inside == ["in"]
                in_it = left is title or inside[-1:] in (["in"], ["of"])
                before = set(words[starts[left.first] : right.first])
                its = left is title and inside[-1:] in (["is"], ["are"], ["was"]) and "its" in inside
                of_it = its and not ASKING & before
                if not (as_in or of_it or (in_it and SEEN & before and not ASKING & set(inside))):
                    continue
                item = title.mention.ids[0] if title.mention else -1
                truth = tuple(int(a) for a in graph.ids_of(item) if graph.relations[a] == condition.relation)
                if truth and not set(truth) & set(condition.attributes):
                    true = self.named(truth)
                    notes.append(f"{self._dataset.titles[item]}: {true.text}, not {_value_of(condition)}")
                    corrected[corrected.index(condition)] = true
                    break
        return corrected

    def shared_roles(
        self, reading: Reading, liked: Sequence[int], own: Sequence[Condition], used: set[int]
    ) -> list[Condition]:
        """ "the director of T", "the same actor as in T1 and T2": what the titles have (in common) in this role."""
        if not liked:
            return []
        words = [w.text for w in reading.words]
        inside = {i for m in reading.mentions for i in range(m.first, m.stop)}
        roles = {i: role for i, w in enumerate(words) if (role := self.role_words.get(w)) and i not in used | inside}
        same = {i: role for i, role in roles.items() if "same" in words[max(0, i - 3) : i]}
        free = {i: role for i, role in roles.items() if words[i + 1 : i + 2] != ["by"]}
        graph = self._dataset.attributes
        found = []
        for role in dict.fromkeys((same or free).values()):
            sets = [
                {int(a) for a in graph.ids_of(i) if role_of(graph.relations[a]) == role} for i in dict.fromkeys(liked)
            ]
            sets = [s for s in sets if s]
            ids = sorted(set.intersection(*sets) or set.union(*sets)) if sets else []
            if ids and not any(c.attributes and role_of(c.relation) == role and not c.excluded for c in own):
                found.append(self.named(tuple(ids)))
        return found


def _value_of(condition: Condition) -> str:
    return condition.text.partition(": ")[2] or condition.text
