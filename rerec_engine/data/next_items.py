"""What users take next, over the whole catalogue: queries and answers to learn from, out of a catalogue's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, given_columns
from rerec_engine.data.files.sequences import Sequences, has_histories, of_log, of_rows
from rerec_engine.data.options import FilesOptions, SequenceOptions
from rerec_engine.data.traces import FILE, Trace, encode_traces
from rerec_engine.errors import UserError
from rerec_engine.types import Query

CATEGORY = "sequential"


def prepare_next_items(
    sources: FileSources,
    options: FilesOptions,
    sequence: SequenceOptions,
    read: FileCatalogue,
    traces: int = -1,
    seed: int = 0,
) -> Prepared:
    """Open queries, in the form chat, since it tells a history; the log holds what may be learned from alone.

    traces: answers for a warm start, without reasoning, of queries drawn by seed; -1: of all of train. Raises UserError
    where the log is missing, or no user took two items.
    """
    titles = read.items.titles
    if sequence.history < 1:
        raise UserError(f"history must be at least 1, got {sequence.history}")
    if not 1 <= sequence.listed <= len(titles):
        raise UserError(f"listed must be 1 to the number of items ({len(titles)}), got {sequence.listed}")
    if not read.user_ids:
        raise UserError("--task next-item needs to know who took what: give --interactions")
    found = _sequences(sources, options, read)
    if not found.targets:
        raise UserError(f"{sources}: no user took two items")
    said = replace(read.knowledge.description, form="chat")
    words = f"Which {said.noun} should I choose next?"
    if sequence.listed > 1:
        words = f"Which {said.items} should I choose next? Name {sequence.listed}, one a line, the likeliest first."
    splits: dict[str, list[Query]] = {"train": [], "val": [], "test": []}
    for target in found.targets:
        own = splits[target.split]
        history = target.history[-sequence.history :]
        query = Query(
            id=f"{CATEGORY}-{target.split}-{len(own)}",
            messages=said.prompt(words, history=[titles[item] for item in history]),
            ground_truth=(target.item,),
            category=CATEGORY,
            user_id=target.user,
            history=history,
            request=words,
        )
        own.append(query)
    log = found.log(len(read.user_ids), len(titles))
    taught = splits["train"]
    if 0 <= traces < len(taught):
        taught = [taught[i] for i in sorted(np.random.default_rng(seed).permutation(len(taught))[:traces].tolist())]
    answers = _answers(taught, splits["train"], log, sequence.listed)
    lines = ["\n".join(titles[item] for item in items) for items in answers]
    written = [Trace("answers", list(q.messages), f"\\boxed{{{own}}}") for q, own in zip(taught, lines, strict=True)]
    return Prepared(
        items=read.items,
        graph=read.knowledge.attributes,
        interactions=log,
        splits={split: queries for split, queries in splits.items() if queries},
        extra_info={},
        counts=read.counts,
        data_source="next-item",
        description=said,
        user_ids=read.user_ids,
        texts=read.knowledge.texts,
        numbers=read.knowledge.numbers,
        files={FILE: encode_traces(written)} if written else {},
    )


def _answers(
    queries: Sequence[Query],
    train: Sequence[Query],
    log: sp.csr_matrix,  # [U, N]
    listed: int,
) -> list[list[int]]:
    """Of each query the right item, then what most often followed its last one in train, then what is popular."""
    followed: dict[int, Counter[int]] = {}
    for query in train:
        followed.setdefault(query.history[-1], Counter())[query.ground_truth[0]] += 1
    popular = np.argsort(-log.getnnz(axis=0), kind="stable")[:listed].tolist()
    found = []
    for query in queries:
        behind = [item for item, _ in followed.get(query.history[-1], Counter()).most_common()]
        found.append([*dict.fromkeys([query.ground_truth[0], *behind, *popular])][:listed])
    return found


def _sequences(sources: FileSources, options: FilesOptions, read: FileCatalogue) -> Sequences:
    given = given_columns(sources, options)
    if not has_histories(sources.interactions, given):
        return of_log(read.knowledge.histories)
    users = {name: row for row, name in enumerate(read.user_ids)}
    return of_rows(sources.interactions, given, read.items.index, users, read.counts, options.skip_bad)
