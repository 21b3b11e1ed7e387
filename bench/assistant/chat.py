"""Ten turns with the demo's assistant, or with that of `make real`.

    python -m bench.assistant.chat --model runs/demo --data runs/demo/data
    python -m bench.assistant.chat --turns films --model runs/real/final --data data/real/films

The turns are worded otherwise than the sentences that the model was trained on. What each asks is written down by hand
in `bench.assistant.turns`, and checked on the dataset's own tables (items, attributes, matrix), not by the assistant's
reading of it. Writes bench/results/chat.json, or chat_films.json, with the transcript; a condition that is not met has
its reason: the reading missed it, the shortlist had no item that satisfies everything, or the model chose wrongly.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.assistant.turns import FILM, TURNS, Said
from rerec_engine.assistant.answer import Assistant
from rerec_engine.assistant.exchange import Answer, Exchange
from rerec_engine.data.dataset import Dataset
from rerec_engine.types import Sampling

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Tables:
    """What is known of the items, from the dataset's tables alone."""

    data: Dataset
    has: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    years: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        matrix = self.data.attributes.item_attributes.toarray() > 0
        pairs = zip(self.data.attributes.relations, self.data.attributes.values, strict=True)
        self.has = {pair: matrix[:, a] for a, pair in enumerate(pairs)}
        self.years = np.array([int(title[-5:-1]) for title in self.data.titles])

    def any_of(self, relation: str) -> np.ndarray:
        return np.any([mask for (r, _), mask in self.has.items() if r == relation], axis=0)

    def conditions(self, said: Said, items: list[list[int]]) -> dict[str, np.ndarray]:
        """Each condition of a turn, with the items that satisfy it: [N] bool."""
        none = np.zeros(len(self.years), dtype=bool)
        out = {f"{r} {v}": self.has.get((r, v), none) for r, v in said.wanted}
        out |= {f"not {r} {v}": ~self.has.get((r, v), none) for r, v in said.unwanted}
        compared = items[said.older_than_turn - 1] if said.older_than_turn else []
        before = [said.older_than, *(int(self.years[i]) for i in compared)]
        if min(before) < 9999 or said.newer_than:
            years = (self.years < min(before)) & (self.years > said.newer_than)
            out[f"after {said.newer_than} and before {min(before)}"] = years
        if said.kind:
            out["film" if said.kind == FILM else "book"] = self.any_of(said.kind)
        for turn in said.new:
            for item in items[turn - 1]:
                out[f"not {self.data.titles[item]} again"] = np.arange(len(self.years)) != item
        if said.user is not None:
            out["not in the user's history"] = self.data.interactions[[said.user]].toarray()[0] == 0
        return out


def reason(answer: Answer, name: str, mask: np.ndarray, fits: np.ndarray, data: Dataset) -> str:
    read = [c.mask(data) for c in answer.ask.request.conditions]
    if not any(np.array_equal(mask, own) for own in read) and not name.endswith(("again", "history")):
        return "the reading missed it"
    if not any(fits[i] for i in answer.ask.candidates):
        return "the shortlist has nothing that satisfies everything"
    return "the model chose wrongly" if answer.items else "the model gave no answer"


def check(tables: Tables, said: Said, answer: Answer, items: list[list[int]]) -> dict[str, Any]:
    masks = tables.conditions(said, items)
    fits = np.all(list(masks.values()), axis=0)
    own = [item.item_id for item in answer.items]
    met = {name: bool(own) and all(bool(mask[i]) for i in own) for name, mask in masks.items()}
    why = {name: reason(answer, name, masks[name], fits, tables.data) for name, good in met.items() if not good}
    if said.count > 1:
        met[f"{said.count} items"] = len(own) == said.count
        if len(own) != said.count:
            why[f"{said.count} items"] = f"the model named {len(own)}"
    told = bool(answer.unmet) and any(
        "nothing in the catalogue" in unmet.why or "named before" in unmet.why for unmet in answer.unmet
    )
    return {
        "conditions": met,
        "reasons": why,
        "possible": bool(fits.any()),
        "items of the catalogue that fit": int(fits.sum()),
        "satisfied": all(met.values()),
        "impossible, and so told": told if not fits.any() else None,
    }


def talk(assistant: Assistant, conversation: Sequence[Said]) -> list[dict[str, Any]]:
    tables = Tables(assistant.dataset)
    turns: list[Exchange] = []
    items: list[list[int]] = []
    rows = []
    for said in conversation:
        ask = assistant.prepare(said.text, user=said.user, earlier=turns)
        answer = assistant.answer(ask, Sampling(max_new_tokens=768, temperature=0.0))
        row = answer.to_json(tables.data.titles)
        checked = check(tables, said, answer, items)
        assert not (said.impossible and checked["possible"]), said.text
        turns.append((ask, answer))
        items.append([item.item_id for item in answer.items])
        kept = ("request", "prompted", "follows", "conditions", "candidates", "reasoning", "unmet", "unknown", "notes")
        shown = {"answer": [i["title"] for i in row["items"]], "evidence": [i["evidence"] for i in row["items"]]}
        rows.append({**{k: row[k] for k in kept}, **shown, "user": said.user, "checked": checked})
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    lines = []
    for number, row in enumerate(rows, 1):
        checked = row["checked"]
        verdict = (
            "satisfied"
            if checked["satisfied"]
            else "told as impossible"
            if checked["impossible, and so told"]
            else "NOT"
        )
        lines.append(f"{number}. {row['request']}\n   -> {'; '.join(row['answer']) or 'no answer'}: {verdict}")
        lines += [f"      {name}: {why}" for name, why in checked["reasons"].items()]
        lines += [f"      told: {u['condition']}: {u['why']}" for u in row["unmet"]]
    return "\n".join(lines)


def main() -> None:
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.model.policy import load_policy
    from rerec_engine.rollout.sampler import Sampler

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--turns", choices=list(TURNS), default="demo")
    parser.add_argument("--output", type=Path, help="default: bench/results/chat.json or chat_films.json")
    options = parser.parse_args()
    ending = "" if options.turns == "demo" else f"_{options.turns}"
    output = options.output or ROOT / "bench" / "results" / f"chat{ending}.json"
    policy = load_policy(options.model, device="cpu")
    sampler, data = Sampler(policy), load_dataset(options.data)
    rows = talk(Assistant(data, policy.chat, lambda prompt, how, _: sampler.stream(prompt, how)), TURNS[options.turns])
    totals = {
        "turns": len(rows),
        "every condition satisfied": sum(row["checked"]["satisfied"] for row in rows),
        "impossible, and so told": sum(bool(row["checked"]["impossible, and so told"]) for row in rows),
        "conditions": sum(len(row["checked"]["conditions"]) for row in rows),
        "conditions satisfied": sum(sum(row["checked"]["conditions"].values()) for row in rows),
    }
    output.write_text(json.dumps({"totals": totals, "turns": rows}, indent=1) + "\n")
    print(report(rows))
    print(json.dumps(totals))


if __name__ == "__main__":
    main()
