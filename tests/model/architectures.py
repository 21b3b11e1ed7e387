"""Small random models of every causal-LM architecture that transformers knows, and what becomes of each here.

PYTHONPATH=. python tests/model/architectures.py    makes docs/architectures.md, a minute
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from rerec_engine.config import ModelConfig
from rerec_engine.errors import UserError
from rerec_engine.model.policy import Policy, make_policy
from rerec_engine.model.selfcheck import Case, prove_policy, prove_saved
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.selfcheck import prove_sampler
from rerec_engine.types import Sampling

WIDTH, HEADS, HEAD = 32, 4, 8
LARGEST = 3_000_000
SIZES: dict[str, Any] = {
    **dict.fromkeys(
        "hidden_size d_model n_embd embedding_size hidden_dim lru_width attention_hidden_size".split(), WIDTH
    ),
    **dict.fromkeys("intermediate_size ffn_dim n_inner decoder_ffn_dim encoder_ffn_dim ffn_hidden_size".split(), 48),
    **dict.fromkeys("intermediate_size_mlp shared_intermediate_size dff".split(), 48),
    **dict.fromkeys("num_attention_heads n_head n_heads num_heads decoder_attention_heads".split(), HEADS),
    **dict.fromkeys("encoder_attention_heads mamba_n_heads n_mamba_heads attention_heads".split(), HEADS),
    **dict.fromkeys("num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers".split(), 2),
    **dict.fromkeys("num_key_value_heads num_kv_heads kv_n_heads swa_num_key_value_heads".split(), 2),
    **dict.fromkeys("head_dim v_head_dim qk_nope_head_dim qk_rope_head_dim index_head_dim qk_head_dim".split(), HEAD),
    **dict.fromkeys("linear_key_head_dim linear_value_head_dim global_head_dim swa_head_dim".split(), HEAD),
    **dict.fromkeys("q_lora_rank kv_lora_rank mamba_d_state state_size mamba_dt_rank o_lora_rank".split(), HEAD),
    **dict.fromkeys("num_experts num_local_experts n_routed_experts moe_num_experts".split(), 4),
    **dict.fromkeys("num_experts_per_tok moe_topk moe_k top_k_experts num_experts_per_token".split(), 2),
    **dict.fromkeys("moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size".split(), 16),
    **dict.fromkeys("n_group topk_group n_groups mamba_n_groups num_shared_experts n_shared_experts".split(), 1),
    **dict.fromkeys("moe_num_shared_experts first_k_dense_replace num_dense_layers".split(), 1),
    **dict.fromkeys("mamba_chunk_size chunk_size".split(), 8),
    **dict.fromkeys("max_position_embeddings n_positions n_ctx max_seq_len".split(), 128),
    **dict.fromkeys("embd_pdrop resid_pdrop attn_pdrop dropout attention_dropout hidden_dropout".split(), 0.0),
    **dict.fromkeys("hidden_dropout_prob attention_probs_dropout_prob activation_dropout".split(), 0.0),
    **dict.fromkeys("sliding_window attention_window_size".split(), 6),
    "hidden_size_per_layer_input": HEAD,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "type_vocab_size": 2,
    "mamba_d_head": 16,
    "mamba_d_ssm": 64,
    "attn_layer_indices": [1],
    "mamba_expand": 2,
    "index_n_heads": 2,
    "index_topk": 64,
    "is_decoder": True,
    "pad_token_id": 0,
    "use_cache": True,
}
"""What a field of a configuration is set to, by its name."""
SPECIAL: dict[str, dict[str, Any]] = {
    "granite": {"logits_scaling": 13.0},
    "granitemoe": {"logits_scaling": 13.0},
    "cohere": {"logit_scale": 0.25},
    "gemma2": {"final_logit_softcapping": 5.0},
    "falcon_h1": {"lm_head_multiplier": 0.5},
    "mamba2": {"num_heads": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "codegen": {"rotary_dim": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "longcat_flash": {"head_dim": 16},
    "reformer": {"axial_pos_embds_dim": (16, 16), "axial_pos_shape": (8, 16), "attn_layers": ["local", "local"]},
    "gptj": {"rotary_dim": 8},
    "granitemoehybrid": {"logits_scaling": 13.0, "layer_types": ["mamba", "attention"]},
}
"""Of single architectures: what lies between last state and logits, and where the sizes above do not fit."""


NOT_TRIED = {
    "kimi_linear": "takes minutes for a backward pass without flash-linear-attention's kernels",
    "reformer": "has gradients in training mode alone, which updates do not use",
}


LOOSER = {"roformer": "its sampler with padding", "youtu": "loaded again"}
"""Off by more than 1e-4 nats, within the engine's bound of 1e-3, and where."""


def model_types() -> list[str]:
    """Of the architectures that the installed transformers knows as causal LMs; one of several names for one class."""
    seen: dict[str, str] = {}
    for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        if kind in CONFIG_MAPPING and kind not in NOT_TRIED:
            seen.setdefault(name if isinstance(name, str) else name[0], kind)
    return sorted(seen.values())


def _fields(config: type) -> set[str]:
    return (
        {f.name for f in dataclasses.fields(config)}
        if dataclasses.is_dataclass(config)
        else set(inspect.signature(config.__init__).parameters)
    )


def _layers(config: Any) -> dict[str, Any]:
    """A layer of each kind that the architecture has."""
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return {}
    kept = list(dict.fromkeys(kinds))
    kept += kept[: 2 - len(kept)]
    return {"layer_types": kept, "num_hidden_layers": len(kept)}


def tiny_config(kind: str, vocabulary: int, **options: Any) -> Any:
    """The architecture's configuration, made small."""
    of = CONFIG_MAPPING[kind]
    names = _fields(of)
    plain = of()
    sizes = {
        **SIZES,
        "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary,
        "eos_token_id": 1,
        "bos_token_id": 1,
    }
    ends = {name: options.pop(name) for name in ("eos_token_id", "pad_token_id") if name in options}
    sizes |= ends
    chosen = {name: value for name, value in sizes.items() if name in names}
    for name in ("text_config", "decoder"):
        part = getattr(plain, name, None)
        if name in names and part is not None and hasattr(part, "to_dict"):
            own = _fields(type(part))
            inner = {n: v for n, v in sizes.items() if n in own}
            inner |= {k: v for k, v in _layers(part).items() if k in own}
            chosen[name] = {"model_type": part.model_type, **inner, **options}
    if "kv_lora_rank" in names and "num_key_value_heads" in names:
        chosen["num_key_value_heads"] = HEADS
    if "layer_types" in names:
        chosen |= _layers(plain)
    return of(**{**chosen, **SPECIAL.get(kind, {}), **options})


def tiny_model(kind: str, vocabulary: int, seed: int = 0, **options: Any) -> PreTrainedModel:
    """A small random model; its weights are spread, so that differences show."""
    config = tiny_config(kind, vocabulary, **options)
    with torch.device("meta"):
        count = sum(p.numel() for p in AutoModelForCausalLM.from_config(copy.deepcopy(config)).parameters())
    if count > LARGEST:
        raise ValueError(f"not made small: {count:,} parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


@functools.cache
def tokenizer() -> Any:
    """Of some 300 tokens."""
    return corpus_tokenizer(["Find a drama film", "The Silent River (1987)", "\\boxed{ The Silent River (1987)}"], 300)


def tiny_policy_of(kind: str, seed: int = 0, **options: Any) -> Policy:
    """A policy of a small random model."""
    words = copy.deepcopy(tokenizer())
    ends = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return make_policy(tiny_model(kind, len(words), seed, **ends, **options), words, kind)


@dataclasses.dataclass
class Outcome:
    """What became of an architecture; why it does not work; the difference in nats, None where it does not.

    rows: packed or padded; logits: ours from hidden states, or the model's own; sampler: yes, by length or no; lora:
    yes or no.
    """

    kind: str
    name: str
    rows: str = ""
    logits: str = ""
    sampler: str = "no"
    lora: str = "no"
    difference: float | None = None
    why: str = ""

    @property
    def verdict(self) -> str:
        return "works" if self.difference is not None else "refused" if self.why else "not made small"


def step_of(policy: Policy, rows: list[Any]) -> torch.Tensor:
    """One optimizer step on the rows; returns their log-probs before it."""
    logp, _ = policy.token_logprobs(rows)
    trained = [p for p in policy.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    (-logp.mean()).backward()
    grads = [p.grad for p in trained if p.grad is not None]
    assert grads and all(g.isfinite().all() for g in grads) and any(g.abs().max() > 0 for g in grads)
    optimizer.step()
    optimizer.zero_grad()
    return logp.detach()


def try_out(kind: str, folder: Path) -> Outcome:
    """Trainer, packing, sampler, one step, saved and loaded again; then all of it with an adapter."""
    out = Outcome(kind, str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind]))
    try:
        policy = tiny_policy_of(kind)
    except UserError as error:
        out.why = str(error)
        return out
    except Exception as error:  # a configuration that takes other sizes
        out.why, out.rows = "", f"{type(error).__name__}: {error}".splitlines()[0]
        return out
    try:
        policy.prepare(ModelConfig(), seed=0)
        proof = prove_policy(policy)
        out.rows = "packed" if policy.packed else "padded"
        out.logits = "the model's own" if policy.output.own else "ours"
        rows, drawn = Case(policy).rows, None
        try:
            sampler = Sampler(policy)
            proof = proof.join(prove_sampler(sampler))
            out.sampler = "yes" if sampler.pads else "by length"
            prompts = [rows[0][0], rows[2][0]]
            rollouts = sampler.generate(prompts, 2, Sampling(5, 1.0, seed=1))
            rows = [(prompts[i // 2], rollout.token_ids) for i, rollout in enumerate(rollouts)]
            drawn = torch.tensor([x for rollout in rollouts for x in rollout.logprobs])
        except UserError as error:
            out.why = str(error)
        found = step_of(policy, rows)
        apart = 0.0 if drawn is None else float((drawn - found).abs().max())
        proof = proof.join(prove_policy(policy))
        policy.save(folder / "plain")
        out.difference = max(proof.logprob_max, apart, prove_saved(policy, folder / "plain"))
        out.difference = max(out.difference, _with_adapter(out, kind, folder / "adapted"))
    except UserError as error:
        out.why = str(error)
    return out


def _with_adapter(out: Outcome, kind: str, folder: Path) -> float:
    policy = tiny_policy_of(kind)
    try:
        policy.prepare(ModelConfig(lora_rank=2), seed=0)
        proof = prove_policy(policy)
        step_of(policy, Case(policy).rows)
    except UserError as error:
        out.why = out.why or str(error)
        return 0.0
    policy.save(folder)
    out.lora = "yes"
    return max(proof.logprob_max, prove_saved(policy, folder))


HEAD_OF_DOCUMENT = """# Architectures

Small random models (hidden size 32, two layers or one of each kind) of every causal-LM architecture that transformers
{version} knows. Each goes through what a run does: the [self-check](training.md#the-self-check) of trainer, packing and
sampler, rollouts, one optimizer step, the self-check again, saved and loaded; then the same with LoRA on all linear
layers. No list of architectures is in the engine: what stands here was measured.

{tried} architectures tried, {worked} work, of which {all} with sampler and LoRA too; {refused} are refused in one line;
{other} could not be made small. Largest difference of log-probs from the model's own, of those that work: {figure} nats
(fp32); within 1e-3 also {looser}. vLLM is not part of this table.

"Rows" are those of an update; "logits" are ours, from hidden states (scale and cap measured), or the model's own. A
sampler "by length" decodes prompts of one length at a time.

| architecture | class | | rows | logits | sampler | LoRA | why not |
|---|---|---|---|---|---|---|---|
"""
TAIL = """
Not tried: {left_out}.

Made by `PYTHONPATH=. python tests/model/architectures.py`; `tests/model/test_architectures.py` holds it to the code.
"""


def line_of(out: Outcome) -> str:
    """An architecture's line of the table."""
    why = re.sub(r"; serve --engine vllm.*|: loaded again.*| Incompatible modules.*|^/\S+: ", "", out.why)
    why = re.sub(r"(?<=by )[\d.e+-]+ nats", "some nats", why).replace("|", "\\|")
    cells = [out.kind, f"`{out.name}`", out.verdict]
    if out.verdict == "works":
        return f"| {' | '.join([*cells, out.rows, out.logits, out.sampler, out.lora, why[:160]])} |"
    return f"| {' | '.join([*cells, '', '', '', '', (why or out.rows)[:160]])} |"


def document(found: list[Outcome]) -> str:
    """docs/architectures.md."""
    works = [out for out in found if out.difference is not None]
    counts = {name: sum(out.verdict == name for out in found) for name in ("refused", "not made small")}
    head = HEAD_OF_DOCUMENT.format(
        version=".".join(transformers.__version__.split(".")[:2]),
        tried=len(found) - counts["not made small"],
        worked=len(works),
        all=sum(out.sampler != "no" and out.lora == "yes" for out in works),
        refused=counts["refused"],
        other=counts["not made small"],
        figure=f"{max(out.difference or 0.0 for out in works if out.kind not in LOOSER):.0e}",
        looser=", ".join(f"{kind} ({where})" for kind, where in LOOSER.items()),
    )
    untried = ";\n".join(f"`{kind}`, which {why}" for kind, why in NOT_TRIED.items())
    return head + "\n".join(map(line_of, found)) + "\n" + TAIL.format(left_out=untried)


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    found = []
    for kind in model_types():
        with tempfile.TemporaryDirectory() as folder:
            found.append(try_out(kind, Path(folder)))
        print(line_of(found[-1]))
    (Path(__file__).parents[2] / "docs" / "architectures.md").write_text(document(found), encoding="utf-8")


if __name__ == "__main__":
    main()
