"""The code of docs/recipes.md, as it stands there: losses and gradients against plain torch."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

from rerec_engine.config import ModelConfig
from rerec_engine.model.small_model import corpus_tokenizer, make_small_policy

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "recipes.md").read_text()
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def recipes(section: str) -> list[str]:
    [text] = [part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE) if part.startswith(section + "\n")]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def small_model() -> Any:
    tokenizer = corpus_tokenizer(["Recommend a film"], vocab_size=300)
    config = ModelConfig(hidden_size=32, layers=2, heads=2)
    return make_small_policy(tokenizer, config, max_tokens=4096, seed=0, device="cpu").model


def made_batch(vocabulary: int) -> Batch:
    """Ids, attention mask and response mask, [4, 10]: prompts of 4 tokens, the first one padded, answers of 3 to 6."""
    ids = torch.randint(0, vocabulary, (4, 10), generator=torch.Generator().manual_seed(1))
    place = torch.arange(10)
    end = torch.tensor([[10], [7], [8], [9]])
    attention = ((place < end) & ~((torch.arange(4)[:, None] == 0) & (place < 2))).long()
    return ids, attention, ((place >= 4) & (place < end)).long()


def plain_logprobs(model: Any, batch: Batch) -> torch.Tensor:
    """Through whole logits, [T]."""
    ids, attention, response = batch
    logits = model(ids, attention_mask=attention).logits[:, :-1].log_softmax(-1)
    return logits.gather(2, ids[:, 1:, None])[..., 0][response[:, 1:].bool()]


def plain_loss(logp: torch.Tensor, old: torch.Tensor, adv: torch.Tensor, high: float) -> torch.Tensor:
    h = (logp - old).exp()
    return -torch.minimum(h * adv, h.clamp(0.8, 1 + high) * adv).mean()


def assert_same_gradients(model: Any, expected: torch.Tensor, found: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(expected, list(parameters.values()))
    for name, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4, msg=name)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)


def test_plain_hugging_face_loop() -> None:
    first, second = recipes("A plain Hugging Face loop")
    names: dict[str, Any] = {}
    exec(first, names)
    model = small_model()
    batch = made_batch(model.config.vocab_size)
    rewards, group = torch.tensor([1.0, 0.0, 0.5, 0.5]), torch.tensor([0, 0, 1, 1])
    adv = names["advantages"](rewards, group, batch[2])
    std = 0.5**0.5 + 1e-6  # of 1 and 0
    assert adv.tolist() == pytest.approx([0.5 / std] * 6 + [-0.5 / std] * 3 + [0.0] * (4 + 5))
    old = names["old_logprobs"](model, batch)
    torch.testing.assert_close(old, plain_logprobs(model, batch), atol=2e-5, rtol=0)
    old = old + 0.3 * torch.randn(len(old), generator=torch.Generator().manual_seed(2))  # as if it had moved
    logp = plain_logprobs(model, batch)
    expected = plain_loss(logp, old, adv, 0.28)
    before = {name: x.detach().clone() for name, x in model.named_parameters()}
    loss, metrics = names["train_step"](model, torch.optim.SGD(model.parameters(), lr=1.0), batch, old, adv)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert metrics["tokens"] == len(adv)
    moved = {name: before[name] - x.detach() for name, x in model.named_parameters()}
    model.load_state_dict(before, strict=False)
    assert_same_gradients(model, plain_loss(plain_logprobs(model, batch), old, adv, 0.28), moved)

    leaf = logp.detach().requires_grad_()
    exec(second, names := {"logp": leaf, "old": old, "adv": adv})
    ours, theirs = (torch.autograd.grad(x, leaf)[0] for x in (names["loss"], plain_loss(leaf, old, adv, 0.28)))
    torch.testing.assert_close(ours, theirs)


SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


def scaling_model() -> Any:
    torch.manual_seed(0)
    return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=0.25))


def capping_model() -> Any:
    torch.manual_seed(0)
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=0.5, attn_implementation="eager"))


@pytest.mark.parametrize(
    ("make", "beta"), [(small_model, 0.0), (small_model, 0.04), (scaling_model, 0.0), (capping_model, 0.04)]
)
def test_trl(make: Callable[[], Any], beta: float, tmp_path: Path) -> None:
    """At every step TRL's own loss and ours, and their gradients."""
    trl = pytest.importorskip("trl", reason="TRL is not installed: make test-integrations")
    import datasets

    [code] = recipes("TRL")
    names: dict[str, Any] = {}
    exec(code, names)
    tokenizer = corpus_tokenizer(["Recommend a film"], vocab_size=300)
    make().save_pretrained(tmp_path / "model")  # of which TRL loads a second one as the reference
    compared = []

    class Both(names["FusedGRPOTrainer"]):  # type: ignore[misc]
        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
            parameters = list(model.parameters())
            ours, theirs = super()._compute_loss(model, inputs), trl.GRPOTrainer._compute_loss(self, model, inputs)
            gradients = (torch.autograd.grad(x, parameters, retain_graph=True) for x in (ours, theirs))
            compared.append((ours.detach(), theirs.detach(), *gradients))
            return super()._compute_loss(model, inputs)  # its gradients are kept for one backward pass

    Both(
        model=str(tmp_path / "model"),
        reward_funcs=[lambda completions, **_: [float(len(text) % 3) for text in completions]],
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), max_steps=4, per_device_train_batch_size=8, num_generations=4, beta=beta,
            max_completion_length=6, num_iterations=2, gradient_accumulation_steps=2, learning_rate=1e-2,
            use_bias_correction_kl=False, temperature=0.8, epsilon_high=0.28,
            report_to="none", save_strategy="no", use_cpu=True, bf16=False,
        ),
        train_dataset=datasets.Dataset.from_dict({"prompt": [f"film {i}" for i in range(16)]}),
        processing_class=tokenizer,
    ).train()  # fmt: skip
    assert len(compared) == 8
    for ours, theirs, our_gradients, their_gradients in compared:
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
        for x, y in zip(our_gradients, their_gradients, strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-3)
    assert any(gradient.abs().max() > 1e-3 for *_, gradients in compared for gradient in gradients)


def rank_gradients() -> None:
    """One of two ranks: the gradients of its half by the recipe; rank 0 compares them with the whole batch's."""
    names: dict[str, Any] = {}
    exec(recipes("A plain Hugging Face loop")[0], names)
    exec(recipes("FSDP2")[0], names)
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    model, plain = small_model(), small_model()
    batch = made_batch(model.config.vocab_size)
    g = torch.Generator().manual_seed(2)
    logp = plain_logprobs(plain, batch)
    old, adv = logp.detach() + 0.3 * torch.randn(len(logp), generator=g), torch.randn(len(logp), generator=g)
    cut = int(batch[2][:2].sum())  # tokens of the first rank's two responses
    rows, tokens = (slice(0, 2), slice(0, cut)) if rank == 0 else (slice(2, 4), slice(cut, None))
    share = names["sharded"](model)
    loss, _ = names["backward"](share, tuple(x[rows] for x in batch), old[tokens], adv[tokens])
    torch.distributed.all_reduce(loss)
    found = {name: x.grad.full_tensor() for name, x in model.named_parameters()}
    expected = plain_loss(logp, old, adv, 0.2)
    torch.testing.assert_close(loss, expected.detach(), atol=1e-5, rtol=1e-5)
    assert_same_gradients(plain, expected, found)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_fsdp2_on_two_ranks() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__], env={**common, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    told = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(told)[-3000:]


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank_gradients()
