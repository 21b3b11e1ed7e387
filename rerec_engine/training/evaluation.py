"""Greedy evaluations before, during and after reinforcement."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from rich.console import Console

from rerec_engine.data.lengths import fitting
from rerec_engine.heap import give_back
from rerec_engine.metrics.evaluation import evaluate_queries
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.training.progress import tell
from rerec_engine.training.trainer import Trainer


def evaluate(trainer: Trainer, split: str, moment: str) -> None:
    """Evaluate on a split, into eval.jsonl; before and after, also as a table.

    moment: before, during or after; during, on the first `train.eval_queries` queries alone. Queries whose prompt is
    longer than `data.max_prompt_tokens` are left out and counted, as in training.
    """
    main, limit = trainer.ranks.main, trainer.config.data.max_prompt_tokens
    everything = trainer.dataset.queries(split) if split in trainer.dataset.splits else []
    most = trainer.config.train.eval_queries if moment == "during" else 0
    queries = list(islice(fitting(everything, trainer.policy.encode_prompt, limit), most or None))
    if not queries:
        if main:
            which = f"of at most data.max_prompt_tokens ({limit}) tokens " if everything else ""
            tell(f"no query {which}in the {split} split: not evaluated {moment} training")
        return
    engine = trainer.worker.engine
    report = evaluate_queries(
        trainer.worker.generate,
        trainer.policy.tokenizer,
        trainer.reward,
        queries,
        encode_prompt=trainer.policy.encode_prompt,
        max_new_tokens=trainer.config.rollout.max_new_tokens,
        k=trainer.config.reward.k,
        catalogue_size=trainer.dataset.item_count,
        split=split,
        step=trainer.step,
        progress=main,
        opened=trainer.policy.chat.opens_reasoning(),
        constrain=trainer.config.rollout.constrain != "off",
        watched=engine if type(engine) is Sampler else None,  # a replica may still be generating ahead
    )
    if not most:
        report = replace(report, left_out=len(everything) - len(queries))
    trainer.run.log("eval.jsonl", {**report.line(), "moment": moment})
    give_back()
    if moment != "during" and main:
        console = Console(stderr=True)
        console.print(f"\n{moment} reinforcement, {split} split, greedy (step {trainer.step})")
        console.print(report.table())
