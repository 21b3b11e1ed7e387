"""A model of ours, opened with the queries of a dataset that it is asked: answers, orders and rankings of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerec_engine.cli import waiting
from rerec_engine.config import RewardWeights
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.lengths import fitting
from rerec_engine.data.prompter import Prompter
from rerec_engine.data.prompts import FORMS
from rerec_engine.errors import file_error
from rerec_engine.machine import thread_count
from rerec_engine.metrics.evaluation import evaluate_queries
from rerec_engine.metrics.ranking.model import TitleScores, reasoner, votes
from rerec_engine.metrics.ranking.sources import DEPTH, Search, by_answers, by_search
from rerec_engine.metrics.report import EvalReport
from rerec_engine.model.arithmetic import name_of
from rerec_engine.model.context import check_context
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.selfcheck import prove_policy
from rerec_engine.model.source import Loading
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.beams import Beams
from rerec_engine.rollout.loading import constrain_answers, load_sampler, open_inputs
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Query, Sampling


@dataclass(frozen=True)
class OpenModel:
    """A model, the dataset, the reward engine, and the queries whose prompts are not too long. args: the command's."""

    args: argparse.Namespace
    dataset: Dataset
    queries: Sequence[Query]
    left_out: int
    prompter: Prompter
    engine: RewardEngine
    sampler: Sampler

    @classmethod
    def of(cls, args: argparse.Namespace) -> OpenModel:
        """Raises UserError, what is quick to find out first."""
        loading = Loading.of(args)
        dataset = open_inputs(args.model, args.data, args.threads, loading)
        path = Path(args.data) / f"{args.split}.parquet"
        everything = dataset.some_queries(args.split, args.limit)
        prompter = Prompter(Knowledge.of(dataset, users=False))
        if args.permutations > 1:
            if not any(len(query.candidates) > 1 for query in everything):
                raise file_error(path, "no query has candidates: leave --permutations out")
            prompter.check(everything, path, "leave --permutations out")
        with waiting("loading the reward engine"):
            engine = RewardEngine.load(args.data, RewardWeights(k=args.k))
        sampler = load_sampler(args.model, args.device, loading)
        constrain_answers(sampler, engine.catalogue, args.constrain, args.threads)
        encode = sampler.policy.encode_prompt
        with waiting("encoding the prompts"):
            queries = list(fitting(everything, encode, args.max_prompt_tokens))
            longest = max((len(encode(query.messages)) for query in queries), default=0)
        if not queries:
            raise file_error(path, f"no query has a prompt of at most {args.max_prompt_tokens} tokens")
        if told := check_context(sampler.policy, longest, args.max_new_tokens, "--max-new-tokens"):
            print(told, file=sys.stderr)
        return cls(args, dataset, queries, len(everything) - len(queries), prompter, engine, sampler)

    @property
    def measured(self) -> dict[str, Any]:
        """What the JSON tells of the model: its arithmetic, what its answers may name, and the self-check's largest
        difference of log-probs, nats."""
        policy = self.sampler.policy
        titles = self.sampler.titles
        constrain = "off" if titles is None else "candidates" if titles.only_candidates else "catalogue"
        proof = self.sampler.proof.logprob_max
        return {"dtype": name_of(policy.dtype), "constrain": constrain, "selfcheck_logprob_max": proof}

    def answers(self, queries: Sequence[Query]) -> EvalReport:
        """Greedy answers to some of the queries, scored."""
        args, sampler = self.args, self.sampler
        return evaluate_queries(
            sampler.generate,
            sampler.policy.tokenizer,
            self.engine,
            queries,
            encode_prompt=sampler.policy.encode_prompt,
            max_new_tokens=args.max_new_tokens,
            k=args.k,
            batch_size=args.batch_size,
            seed=args.seed,
            catalogue_size=len(self.dataset.titles),
            split=args.split,
            progress=True,
            opened=sampler.policy.chat.opens_reasoning(),
            watched=sampler,
            constrain=sampler.titles is not None,
        )

    def ranking(self) -> dict[str, list[int]]:
        """Lists by query id, in the way that --rank-by names."""
        return RANKINGS[self.args.rank_by](self)

    def encode(self, query: Query) -> list[int]:
        return self.sampler.policy.encode_prompt(query.messages)

    def by_search(self, search: Search, at_once: int = 1) -> dict[str, list[int]]:
        """Lists of a search over titles."""
        size, over = self.dataset.item_count, self.args.over
        return by_search(search, self.encode, self.queries, size, over=over, at_once=at_once, progress=True)


def _by_scores(opened: OpenModel) -> dict[str, list[int]]:
    args, sampler = opened.args, opened.sampler
    policy = sampler.policy
    policy.packed = enable_packing(policy.model)
    sampler.proof.join(prove_policy(policy))
    reason = reasoner(sampler.generate, policy.tokenizer, args.max_new_tokens) if args.reasoning else None
    gap = " " if FORMS[opened.dataset.description.form].closed else ""
    search = TitleScores(policy, opened.dataset.titles, gap, args.length_normalised, reason)
    return opened.by_search(search, args.batch_size if args.reasoning else 1)


def _by_beams(opened: OpenModel) -> dict[str, list[int]]:
    args, sampler = opened.args, opened.sampler
    gap = FORMS[opened.dataset.description.form].closed
    titles = AnswerTitles(opened.engine.catalogue, sampler.policy.tokenizer, threads=thread_count(args.threads))
    reason = reasoner(sampler.generate, sampler.policy.tokenizer, args.max_new_tokens) if args.reasoning else None
    search = Beams(sampler, titles, DEPTH, args.length_normalised, gap, reason)
    return opened.by_search(search, max(1, min(args.batch_size, 256) // DEPTH))


def _by_votes(opened: OpenModel) -> dict[str, list[int]]:
    args, sampler = opened.args, opened.sampler
    return votes(
        sampler.generate,
        sampler.policy.tokenizer,
        opened.engine,
        opened.queries,
        encode=opened.encode,
        samples=args.samples,
        sampling=Sampling(args.max_new_tokens, args.temperature or 1.0, args.seed),
        batch_size=max(1, args.batch_size // args.samples),
        opened=sampler.policy.chat.opens_reasoning(),
        progress=True,
        constrain=sampler.titles is not None,
    )


def _by_answers(opened: OpenModel) -> dict[str, list[int]]:
    return by_answers(opened.answers(opened.queries).rows)


RANKINGS: dict[str, Callable[[OpenModel], dict[str, list[int]]]] = {
    "scores": _by_scores,
    "beams": _by_beams,
    "votes": _by_votes,
    "answers": _by_answers,
}
"""How a model ranks, by --rank-by. A further one makes a `Search` and hands it to `OpenModel.by_search`."""
