"""Updates: micro-batches add up to the whole, rows without advantage cost nothing and change nothing."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from rerec_engine.config import Config, LossConfig, OptimConfig, TrainConfig
from rerec_engine.errors import RunError
from rerec_engine.model.critic import Critic
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.training.batches import TrainingBatch, pack
from rerec_engine.training.entries import ListEntries
from rerec_engine.training.loss import loss_denominator, policy_loss
from rerec_engine.training.update import Updater
from rerec_engine.types import Query, Sampling


def batch_of(policy, queries=4, n=3, seed=0):
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(5, len(policy.tokenizer), int(k)).tolist() for k in rng.integers(2, 30, queries)]
    rollouts = Sampler(policy).generate(prompts, n, Sampling(12, 1.0, seed))
    batch = pack([Query(str(i), (), (0,)) for i in range(queries)], prompts, rollouts, n)
    advantages = torch.from_numpy(rng.standard_normal(len(batch.token_ids)).astype(np.float32))
    advantages[batch.cu_seqlens[3] : batch.cu_seqlens[6]] = 0  # the second group teaches nothing
    return TrainingBatch(
        **vars(batch),
        scores={"reward": torch.from_numpy(rng.standard_normal(queries * n).astype(np.float32))},
        token_rewards=advantages,
        advantages=advantages,
        old_logprobs=batch.rollout_logprobs,
    )


def config_of(beta=0.0, tokens=100_000, per_update=100, steps=100, **optim):
    return dataclasses.replace(
        Config(),
        loss=LossConfig(beta=beta),
        optim=OptimConfig(learning_rate=1e-3, **optim),
        train=TrainConfig(steps=steps, tokens_per_micro_batch=tokens, queries_per_update=per_update),
    )


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()])


def gradient(updater):
    """The clipped gradient of the first step, which AdamW's first moment holds a tenth of."""
    return torch.cat([s["exp_avg"].flatten() for s in updater.optimizers["policy"].state.values()])


@pytest.mark.parametrize("beta", [0.0, 0.05])
def test_micro_batches_change_nothing(tiny_policy, beta):
    found = []
    for tokens in (60, 100_000):
        policy, reference = tiny_policy(seed=1), tiny_policy(seed=2) if beta else None
        if reference is not None:
            reference.model.requires_grad_(False)
        updater = Updater(policy, config_of(beta, tokens), reference, None)
        batch = batch_of(policy)
        batch = dataclasses.replace(batch, ref_logprobs=updater.forward_passes(batch).ref_logprobs)
        metrics = updater.update(batch, 1)
        found.append((gradient(updater), metrics))
    assert found[0][0].abs().max() > 1e-3
    assert torch.allclose(found[0][0], found[1][0], atol=1e-7)
    assert found[0][1]["loss"] == pytest.approx(found[1][1]["loss"], rel=1e-4)
    assert found[0][1]["kl" if beta else "entropy"] == pytest.approx(found[1][1]["kl" if beta else "entropy"], rel=1e-4)


def test_micro_batches_change_nothing_with_ratios_by_entry(tiny_policy):
    found = []
    for ratio, tokens in (("entry", 60), ("entry", 100_000), ("token", 100_000)):
        policy = tiny_policy(seed=1)
        config = dataclasses.replace(config_of(0.0, tokens), loss=LossConfig(beta=0.0, ratio=ratio))
        updater, batch = Updater(policy, config, None, None), batch_of(policy)
        away = torch.randn(len(batch.token_ids), generator=torch.Generator().manual_seed(3)) * 0.3
        of_token = torch.arange(len(batch.token_ids), dtype=torch.int32) // 3 % 4 - 1
        entries = ListEntries(of_token, torch.zeros(0), torch.zeros(len(batch.group) + 1, dtype=torch.long))
        updater.update(dataclasses.replace(batch, old_logprobs=batch.old_logprobs + away, entries=entries), 1)
        found.append(gradient(updater))
    assert torch.allclose(found[0], found[1], atol=1e-7)
    assert not torch.allclose(found[1], found[2], atol=1e-4)


def test_rows_without_advantage_are_skipped_exactly(tiny_policy, monkeypatch):
    skipping, whole = tiny_policy(seed=1), tiny_policy(seed=1)
    config = config_of()
    batch = batch_of(skipping)
    first = Updater(skipping, config, None, None)
    metrics = first.update(batch, 1)
    assert metrics["trained_tokens"] == len(batch.token_ids) - batch.lengths[3:6].sum()
    updater = Updater(whole, config, None, None)
    monkeypatch.setattr(updater, "_needed", lambda _batch, rows: rows)
    assert updater.update(batch, 1)["trained_tokens"] == len(batch.token_ids)
    assert torch.allclose(gradient(first), gradient(updater), atol=1e-7)


def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted(tiny_policy):
    policy = tiny_policy()
    batch = batch_of(policy)
    batch.advantages[0] = float("nan")
    before = weights(policy)
    updater = Updater(policy, config_of(), None, None)
    assert updater.update(batch, 1)["skipped_updates"] == 1
    assert torch.equal(weights(policy), before)


def test_so_many_gradients_in_a_row_that_are_not_finite_end_the_run(tiny_policy):
    policy = tiny_policy()
    batch = batch_of(policy)
    config = config_of()
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, max_skipped_updates=2))
    updater = Updater(policy, config, None, None)
    good, bad = batch.advantages, torch.full_like(batch.advantages, float("nan"))
    for advantages in (bad, good, bad):
        metrics = updater.update(dataclasses.replace(batch, advantages=advantages), 1)
    assert metrics["skipped_updates"] == 2
    with pytest.raises(RunError, match="2 updates in a row"):
        updater.update(dataclasses.replace(batch, advantages=bad), 1)


def test_importance_weights_leave_an_exact_sampler_alone_and_tell_the_gap(tiny_policy):
    policy = tiny_policy()
    batch = batch_of(policy)
    config = dataclasses.replace(config_of(), loss=LossConfig(beta=0.0, importance_cap=2.0))
    updater = Updater(policy, config, None, None)
    own = updater.forward_passes(batch).own_logprobs
    assert torch.allclose(own, batch.rollout_logprobs, atol=1e-5)
    batch = dataclasses.replace(batch, old_logprobs=own, rollout_logprobs=batch.rollout_logprobs - 0.25)
    metrics = updater.update(batch, 1)
    assert metrics["logprob_mismatch_mean"] == pytest.approx(0.25, abs=1e-4)
    assert metrics["effective_sample_size"] == pytest.approx(1.0)
    assert metrics["ratio_max"] == pytest.approx(1.0, abs=1e-4)  # against the trainer's own log-probs


def test_one_step_raises_what_had_advantage(tiny_policy):
    policy = tiny_policy()
    batch = batch_of(policy)
    rows = [batch.row(i) for i in range(12)]

    def weighted():
        with torch.no_grad():
            return float((policy.token_logprobs(rows)[0] * batch.advantages).sum())

    before = weighted()
    Updater(policy, config_of(), None, None).update(batch, 1)
    assert weighted() > before


def test_several_updates_a_step_and_warm_up(tiny_policy):
    policy = tiny_policy()
    updater = Updater(policy, config_of(per_update=2, warmup_steps=4), None, None)
    assert updater.update(batch_of(policy), 1)["learning_rate"] == pytest.approx(2.5e-4)
    assert updater.optimizers["policy"].state_dict()["state"][0]["step"] == 2
    assert updater.update(batch_of(policy), 9)["learning_rate"] == pytest.approx(1e-3)


def test_learning_rate_falls_to_its_final_share(tiny_policy):
    policy = tiny_policy()
    updater = Updater(policy, config_of(steps=5, final_share=0.2), None, None)
    rates = [updater.update(batch_of(policy), step)["learning_rate"] for step in (1, 3, 5, 9)]
    assert rates == pytest.approx([1e-3, 6e-4, 2e-4, 2e-4])


def test_critic_learns_its_returns(tiny_policy):
    policy = tiny_policy()
    critic = Critic(policy)
    config = dataclasses.replace(config_of(), optim=OptimConfig(critic_learning_rate=1e-2))
    updater = Updater(policy, config, None, critic)
    batch = batch_of(policy)
    values = updater.forward_passes(batch).values
    assert torch.equal(values, torch.zeros(len(batch.token_ids)))
    batch = dataclasses.replace(batch, values=values, returns=torch.ones(len(batch.token_ids)))
    errors = [updater.update(batch, step)["value_error"] for step in range(1, 12)]
    assert errors[0] == pytest.approx(1.0)
    assert errors[-1] < 0.9
    other = Updater(policy, config, None, Critic(policy))
    other.load_state_parts(updater.state_parts())
    assert torch.equal(other.forward_passes(batch).values, updater.forward_passes(batch).values)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
@pytest.mark.parametrize(
    "loss", [{}, {"aggregation": "sequence_mean"}, {"ratio": "sequence"}, {"entropy": 0.01}], ids=str
)
def test_constrained_tokens_have_the_gradient_of_what_could_be_drawn(boxing_policy, architecture, loss):
    """Against autograd over the whole vocabulary with all that was not allowed at minus infinity, in float64."""
    policy, titles = boxing_policy(architecture)
    sampler = Sampler(policy)
    sampler.titles = titles
    queries = [Query(str(i), (), (0,), candidates) for i, candidates in enumerate([(3, 7, 21), (), (40, 41)])]
    rng = np.random.default_rng(0)
    asked = [rng.integers(5, len(policy.tokenizer), int(k)).tolist() for k in rng.integers(2, 30, 3)]
    rollouts = sampler.generate(asked, 3, Sampling(200, 1.0, 5, candidates=[q.candidates for q in queries]))
    batch = pack(queries, asked, rollouts, 3)
    advantages = torch.from_numpy(rng.standard_normal(len(batch.token_ids)).astype(np.float32))
    batch = TrainingBatch(
        **vars(batch), scores={}, token_rewards=advantages, advantages=advantages, old_logprobs=batch.rollout_logprobs
    )
    config = dataclasses.replace(config_of(), loss=LossConfig(beta=0.0, **loss))
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, max_grad_norm=1e9))
    truth = copy.deepcopy(policy.model).double()
    allowed = titles.read(batch.token_ids, batch.cu_seqlens, [queries[g].candidates for g in batch.group])
    assert len(allowed) > 30
    updater = Updater(policy, config, None, None, titles=titles)
    metrics = updater.update(batch, 1)
    assert metrics["logprob_mismatch_max"] < 1e-4
    found = gradient(updater) * 10

    logits = []
    for i in range(len(batch.group)):
        prompt, response = batch.row(i)
        whole = truth(torch.tensor([[*prompt, *response.tolist()]])).logits[0]
        logits.append(whole[len(prompt) - 1 : -1])
    logits = torch.cat(logits)
    mask = torch.ones_like(logits, dtype=torch.bool)
    for row, (at, denied) in enumerate(zip(allowed.at.tolist(), allowed.denied.tolist(), strict=True)):
        ids = allowed.ids[allowed.ptr[row] : allowed.ptr[row + 1]]
        mask[at] = denied
        mask[at, ids] = not denied
    every = logits.masked_fill(~mask, float("-inf")).log_softmax(-1)
    logp = every.gather(1, batch.token_ids[:, None])[:, 0]
    entropy = -(every.exp() * every.masked_fill(~mask, 0.0)).sum(1)
    denominator = loss_denominator(config.loss, batch.lengths, config.rollout.max_new_tokens)
    old = batch.old_logprobs.double()
    value, _ = policy_loss(
        logp, entropy, old, None, advantages.double(), config.loss, cu_seqlens=batch.cu_seqlens, denominator=denominator
    )
    value.backward()
    right = torch.cat([p.grad.flatten() for p in truth.parameters()])
    assert float((found.double() - right).norm() / right.norm()) < 2e-3
    assert metrics["loss"] == pytest.approx(float(value) * denominator / len(batch.token_ids), rel=1e-3, abs=1e-5)
