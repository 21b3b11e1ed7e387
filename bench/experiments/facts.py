"""What facts in the prompt cost and tell: `python -m bench.experiments.facts DIR [DIR ...] [--model DIR]`.

The same requests (of all kinds, in the form chat, made over the directory's catalogue) with each of FACTS, and with
those of the candidates alone. Tokens of a prompt: the model's, or those of a byte-level BPE of 32,000 trained on the
directory's train prompts with all facts. value: a value asked for stands in the right item's line. follows: of requests
that name items, what follows from these is told. bm25: bm25s (Lucene's form, English stop words) finds a right item;
the candidates' lines are its documents, request and facts of the items named its query, best lines share the hit.
rules: the assistant's, which read the graph. Writes bench/results/facts.json. The two directories of docs/data.md:

    prepare files --items tests/data/files/games/games.csv --interactions tests/data/files/games/orders.csv
        --noun "board game" --embeddings attributes --output data/games
    prepare files --preset amazon-office --source ../shared/data/amazon-office --noun product --embeddings attributes
        --output data/office
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.config import RewardWeights
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.description import FACTS
from rerec_engine.data.facts import YEAR, Facts
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.evaluate import evaluate_queries
from rerec_engine.metrics.report import Estimate
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.loading import load_sampler
from rerec_engine.runs.environment import describe
from rerec_engine.types import Message, Query
from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.make import Drawn, Maker, draw_many
from rerec_engine.worlds.options import CatalogueRequestOptions

ROOT = Path(__file__).resolve().parents[2]
CANDIDATES = 20
ALONE = "asked, of candidates alone"


def alone(query: Query, prompter: Prompter, known: Knowledge) -> tuple[Message, ...]:
    """The query's prompt with facts of the candidates alone."""
    shown, past = ([known.titles[item] for item in items] for items in (query.candidates, query.history))
    facts = [prompter.facts.of(item, query.asked) for item in query.candidates]
    return known.description.prompt(query.request, candidates=shown, facts=facts, history=past)


def stands(condition: Condition, item: int, line: str, facts: Facts, knowledge: Knowledge) -> bool:
    """Whether a value of the item that satisfies the condition stands in the line."""
    if condition.span is not None:
        own = str(knowledge.years[item]) if condition.name == YEAR else facts.number(item, condition.name)
        return own in line
    ids = set(knowledge.attributes.ids_of(item).tolist())
    return any(facts.names[a] in line for a in condition.attributes if a in ids)


def bm25_hit(lines: Sequence[str], right: Sequence[bool], text: str) -> float:
    """Share of right ones among the best lines."""
    tokens = bm25s.tokenize([*lines, text], stopwords="en", return_ids=False, show_progress=False)
    index = bm25s.BM25()
    index.index(tokens[:-1], show_progress=False)
    scores = index.get_scores(tokens[-1])
    return float(np.array(right)[scores >= scores.max() - 1e-6].mean())


def measure(drawn: Sequence[Drawn], queries: Sequence[Query], prompter: Prompter, know: Knowledge) -> dict[str, Any]:
    """What the prompts tell. Each query is of the draw at its place."""
    found: dict[str, list[float]] = {"value": [], "follows": [], "bm25": []}
    facts = prompter.facts
    for own, query in zip(drawn, queries, strict=True):
        told = {item: facts.of(item, query.asked) for item in (*query.candidates, *query.named)}
        lines = [f"{told[item]}: {know.titles[item]}" for item in query.candidates]
        item = own.truth[0]
        line = lines[query.candidates.index(item)]
        found["value"].append(any(stands(c, item, line, facts, know) for c in own.draft.conditions if not c.excluded))
        named = " ".join(told[item] for item in query.named)
        if own.draft.named:
            following = [a for c in own.draft.conditions[own.draft.inferred :] for a in c.attributes]
            found["follows"].append(all(facts.names[a] in named for a in following))
        right = [item in own.truth for item in query.candidates]
        found["bm25"].append(bm25_hit(lines, right, f"{query.request} {named}"))
    return {name: Estimate.of(np.array(values)) for name, values in found.items()}


def experiment(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    data = load_dataset(path)
    base = Knowledge.of(data)
    said = {facts: replace(data.description, form="chat", facts=facts) for facts in FACTS}
    told = {facts: replace(base, description=own) for facts, own in said.items()}
    maker, rng = Maker(told["asked"], CatalogueRequestOptions()), np.random.default_rng(options.seed)
    drawn = draw_many(maker, "test", [CANDIDATES] * options.requests, rng, set())
    queries = [maker.query(own, f"test-{i}", rng) for i, own in enumerate(drawn)]
    sampler = load_sampler(options.model, "auto") if options.model else None
    texts = [Prompter(told["all"]).messages(query)[0]["content"] for query in data.queries("train")[:1000]]
    tokenizer = sampler.policy.tokenizer if sampler else corpus_tokenizer([*texts, *data.titles], 32_000)
    rows: dict[str, Any] = {}
    for name in ("none", ALONE, "asked", "all"):
        prompter = Prompter(told[name.partition(",")[0]])
        asked = [replace(query, named=() if name == ALONE else query.named) for query in queries]
        asked = [replace(query, messages=prompter.messages(query)) for query in asked]
        if name == ALONE:
            asked = [replace(query, messages=alone(query, prompter, told["asked"])) for query in asked]
        lengths = [len(tokenizer.encode(query.messages[0]["content"])) for query in asked]
        rows[name] = {"tokens": float(np.mean(lengths)), "p95": float(np.percentile(lengths, 95))}
        rows[name] |= measure(drawn, asked, prompter, base)
        if sampler is not None:
            engine, how = RewardEngine.load(path, RewardWeights()), {"max_new_tokens": options.max_new_tokens}
            encode = sampler.policy.encode_prompt
            report = evaluate_queries(sampler.generate, tokenizer, engine, asked, encode_prompt=encode, **how)
            rows[name]["model"] = report.accuracy
    shortlister, hits = Shortlister(data), list[float]()
    for query in queries:
        ranked = shortlister.choose(query.request, count=data.item_count).items
        hits.append(next((item for item in ranked if item in query.candidates), -1) in query.ground_truth)
    chance = float(np.mean([len(query.ground_truth) / len(query.candidates) for query in queries]))
    rules = Estimate.of(np.array(hits))
    return {"items": data.item_count, "requests": len(queries), "chance": chance, "rules": rules, "facts": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--model", help="a model's directory")
    parser.add_argument("--max-new-tokens", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "facts.json")
    options = parser.parse_args()
    found = {path.name: experiment(path, options) for path in options.data}
    options.output.write_text(json.dumps({"environment": describe(), **found}, indent=1, default=asdict) + "\n")
    for name, record in found.items():
        print(f"\n{name}: chance {record['chance']:.3f}, rules {record['rules']}")
        for facts, row in record["facts"].items():
            shares = [f"{key} {own}" for key, own in row.items() if isinstance(own, Estimate)]
            print(f"{facts}: tokens {row['tokens']:,.0f} ({row['p95']:,.0f})", *shares, sep="; ")


if __name__ == "__main__":
    main()
