"""What users take next, over the whole catalogue: queries and answers to learn from, out of a catalogue's files."""

from __future__ import annotations

from dataclasses import replace

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, given_columns
from rerec_engine.data.files.sequences import Sequences, has_histories, of_log, of_rows
from rerec_engine.data.options import FilesOptions, SequenceOptions
from rerec_engine.data.traces import FILE, Trace, encode_traces
from rerec_engine.errors import UserError
from rerec_engine.types import Query

CATEGORY = "sequential"


def prepare_next_items(
    sources: FileSources, options: FilesOptions, sequence: SequenceOptions, read: FileCatalogue
) -> Prepared:
    """Open queries, in the form chat, since it tells a history; the log holds what may be learned from alone.

    The traces for a warm start answer at once. Raises UserError where the log is missing, or no user took two items.
    """
    if sequence.history < 1:
        raise UserError(f"history must be at least 1, got {sequence.history}")
    if not read.user_ids:
        raise UserError("--task next-item needs to know who took what: give --interactions")
    found = _sequences(sources, options, read)
    if not found.targets:
        raise UserError(f"{sources}: no user took two items")
    said = replace(read.knowledge.description, form="chat")
    titles = read.items.titles
    words = f"Which {said.noun} should I choose next?"
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
    traces = [
        Trace("answers", list(query.messages), f"\\boxed{{{titles[query.ground_truth[0]]}}}")
        for query in splits["train"]
    ]
    return Prepared(
        items=read.items,
        graph=read.knowledge.attributes,
        interactions=found.log(len(read.user_ids), len(titles)),
        splits={split: queries for split, queries in splits.items() if queries},
        extra_info={},
        counts=read.counts,
        data_source="next-item",
        description=said,
        user_ids=read.user_ids,
        texts=read.knowledge.texts,
        numbers=read.knowledge.numbers,
        files={FILE: encode_traces(traces)} if traces else {},
    )


def _sequences(sources: FileSources, options: FilesOptions, read: FileCatalogue) -> Sequences:
    given = given_columns(sources, options)
    if not has_histories(sources.interactions, given):
        return of_log(read.knowledge.histories)
    users = {name: row for row, name in enumerate(read.user_ids)}
    return of_rows(sources.interactions, given, read.items.index, users, read.counts, options.skip_bad)
