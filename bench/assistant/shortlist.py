"""The assistant's shortlist on real requests: `python -m bench.assistant.shortlist`.

RecBench+ queries over MovieLens-1M with DBpedia's attributes, prepared as `prepare recbench --open` does. recall@20:
which share of a query's ground truth is among the 20 candidates, mean over the queries, beside BM25 (bm25s, Lucene's
form, English stop words) over the same titles and attribute values, and the reciprocal rank fusion of the two (Cormack
et al., SIGIR 2009). The rules were written with queries of the train split in sight; the 50 queries, drawn evenly over
the types from the test split, and all of the test split were not. Assistant and BM25 see the request's words alone.

`recommend` itself then answers the 50 with an untrained model, whose answers are noise: what is checked, apart from the
assistant's code, is that what it says of them is true. Writes bench/results/shortlist.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from bench.common.data import missing_data, shared_data
from rerec_engine import prepare
from rerec_engine.assistant.answer import Assistant
from rerec_engine.assistant.exchange import Answer
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.data.assemble import EmbeddingOptions
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.data.recbench import RecBenchOptions
from rerec_engine.metrics.bootstrap import bootstrap_interval
from rerec_engine.types import Query, Sampling

ROOT = Path(__file__).resolve().parents[2]
COUNT, DEEP, FUSION = 20, 100, 60
Lister = Callable[[str, int], Sequence[int]]


def dataset(path: Path) -> Dataset:
    """Without candidates in the queries: they would hold the answer."""
    if not path.exists():
        embedding = EmbeddingOptions(epochs=2, threads=1)  # no query has a user: the shortlist goes by popularity
        prepare.run(prepare.RecBench(path, shared_data(), embedding=embedding, options=RecBenchOptions(open=True)))
    return load_dataset(path)


def bm25(data: Dataset) -> Lister:
    index = bm25s.BM25()
    index.index(bm25s.tokenize(data.documents(), stopwords="en", show_progress=False), show_progress=False)

    def choose(text: str, count: int) -> Sequence[int]:
        tokens = bm25s.tokenize([text], stopwords="en", show_progress=False)
        return [int(i) for i in index.retrieve(tokens, k=count, show_progress=False)[0][0]]

    return choose


def fused(listers: Sequence[Lister]) -> Lister:
    def choose(text: str, count: int) -> Sequence[int]:
        score = Counter[int]()
        for lister in listers:
            for rank, item in enumerate(lister(text, DEEP), 1):
                score[item] += 1 / (FUSION + rank)  # type: ignore[assignment]
        return [item for item, _ in score.most_common(count)]

    return choose


def sample(queries: Sequence[Query], count: int, seed: int) -> list[Query]:
    """As many of each type as possible."""
    rng = np.random.default_rng(seed)
    of: dict[str, list[Query]] = {}
    for i in rng.permutation(len(queries)):
        of.setdefault(queries[i].category, []).append(queries[i])
    turns = [query for row in range(count) for group in sorted(of) for query in of[group][row : row + 1]]
    return turns[:count]


def recall(listers: dict[str, Lister], queries: Sequence[Query]) -> dict[str, Any]:
    """recall@20 by lister and type, with 95 % bootstrap intervals over the queries."""
    figures: dict[str, Any] = {}
    for name, lister in listers.items():
        rows: dict[str, list[float]] = {"all": []}
        for query in queries:
            truth = set(query.ground_truth)
            hit = len(truth & set(lister(query.request, COUNT))) / len(truth)
            rows.setdefault(query.category, []).append(hit)
            rows["all"].append(hit)
        figures[name] = {
            kind: {"queries": len(v), "recall": float(np.mean(v)), "interval": bootstrap_interval(v)}
            for kind, v in sorted(rows.items())
        }
    return figures


def wrong_statements(data: Dataset, answer: Answer) -> list[str]:
    """What an answer says that the tables do not bear out, looked up without the assistant's own code."""
    triples = {(i.item_id, r, v) for i in answer.items for r, v in data.attributes.attributes_of(i.item_id)}
    wrong = [i.title for i in answer.items if data.titles[i.item_id] != i.title]
    for item in answer.items:
        for e in item.evidence:
            known = (item.item_id, e.relation, e.value) in triples or e.relation == "year"
            wrong += [] if known and (e.relation != "year" or e.value in item.title) else [f"{item.title}: {e}"]
            if e.relation != "year" and not e.condition.startswith("not ") and e.value not in e.condition:
                wrong += [] if " or " in e.condition else [f"{item.title}: {e}"]
    matrix = data.attributes.item_attributes.tocsc()
    for unmet in answer.unmet:
        condition = next((c for c in answer.ask.request.conditions if c.text == unmet.condition), None)
        if condition is not None and unmet.why == "nothing in the catalogue" and not condition.years:
            found = sum(int(matrix[:, a].nnz) for a in condition.attributes)
            wrong += [f"{unmet}: {found} items"] if found and not condition.excluded else []
    return wrong


def answers(data: Dataset, queries: Sequence[Query]) -> dict[str, Any]:
    """`recommend` with an untrained model, and with one that names the fourth candidate: its items are always known."""
    from rerec_engine.config import ModelConfig
    from rerec_engine.model.small_model import corpus_tokenizer, make_small_policy
    from rerec_engine.rollout.sampler import Sampler

    tokenizer = corpus_tokenizer([*data.titles, *(q.request for q in data.queries("val"))], 2048)
    policy = make_small_policy(tokenizer, ModelConfig(hidden_size=64, layers=2, heads=2), max_tokens=8192, seed=0)
    sampler = Sampler(policy)
    untrained = Assistant(data, policy.chat, lambda prompt, how, _: sampler.stream(prompt, how))
    counts = Counter[str]()
    wrong: list[str] = []
    for query in queries:
        ask = untrained.prepare(query.request)
        answer = untrained.answer(ask, Sampling(max_new_tokens=48, temperature=0.0))
        counts["untrained: items named"] += len(answer.items)
        counts["untrained: without an answer, and so told"] += any("no answer" in note for note in answer.notes)
        wrong += wrong_statements(data, answer)
        box = tokenizer.encode(f"\\boxed{{{data.titles[ask.candidates[3]]}; No Such Film (1800)}}")
        named = Assistant(data, policy.chat, lambda *_, box=box: (token for token in box))
        answer = named.answer(ask, Sampling(500))
        counts["fourth candidate: items named"] += len(answer.items)
        counts["fourth candidate: unknown title told"] += answer.unknown == ("No Such Film (1800)",)
        counts["fourth candidate: conditions"] += len(ask.request.conditions)
        counts["fourth candidate: evidence shown"] += sum(len(item.evidence) for item in answer.items)
        counts["fourth candidate: conditions told as unmet"] += len(answer.unmet)
        wrong += wrong_statements(data, answer)
    return {"queries": len(queries), **counts, "false statements": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="where the dataset is or goes (default: a temporary folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "shortlist.json")
    options = parser.parse_args()
    if reason := missing_data("recbenchplus", "ml-1m", "ml-1m-dbpedia"):
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as folder:
        data = dataset(options.data or Path(folder) / "data")
        shortlister, words = Shortlister(data), bm25(data)
        ours: Lister = lambda text, count: shortlister.choose(text, count=count).items  # noqa: E731
        listers = {"assistant": ours, "BM25": words, "fused": fused([ours, words])}
        test = data.queries("test")
        fifty = sample(test, 50, options.seed)
        everything = [query for split in data.splits for query in data.queries(split)]
        sets = {"50 queries of test": fifty, "all of test": test, "all queries": everything}
        result = {
            "seed": options.seed,
            "items": len(data.titles),
            "recall@20": {name: recall(listers, queries) for name, queries in sets.items()},
            "recommend, end to end": answers(data, fifty),
            "ids of the 50": [query.id for query in fifty],
        }
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    for name, figures in result["recall@20"].items():
        print(f"\nrecall@20, {name}")
        for lister, rows in figures.items():
            cells = (f"{k} {v['recall']:.3f} [{v['interval'][0]:.3f}, {v['interval'][1]:.3f}]" for k, v in rows.items())
            print(f"{lister:10}", "; ".join(cells))
    print(json.dumps(result["recommend, end to end"], indent=1))


if __name__ == "__main__":
    main()
