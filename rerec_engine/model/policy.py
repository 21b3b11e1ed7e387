"""The policy: a Hugging Face causal LM and its tokenizer, and the log-probs of responses under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from rerec_engine.config import ModelConfig
from rerec_engine.errors import UserError
from rerec_engine.model.arithmetic import AUTO, DTYPES, NARROW, resolve_dtype, width_of
from rerec_engine.model.attention_check import settle_attention
from rerec_engine.model.chat import Chat, tell_once
from rerec_engine.model.disk import disk_errors
from rerec_engine.model.lora import add_adapter, merged_parameters, plain, save_adapter, saved_buffers
from rerec_engine.model.memory import enable_checkpointing
from rerec_engine.model.output import PLAIN, Output, measure_output
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.ranks import shard, whole
from rerec_engine.model.sequences import Row, response_states
from rerec_engine.model.source import Loading, find_model, no_model
from rerec_engine.model.templates import set_template
from rerec_engine.ops import AllowedTokens, TokenLogprob, token_logprob
from rerec_engine.ops.allowed import allowed_logprob
from rerec_engine.ops.native.onednn import multiply_with_onednn
from rerec_engine.types import Message


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError as error:
        raise UserError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r} was asked for, but torch {torch.__version__} sees no CUDA device")
    return device


class Body(torch.nn.Module):
    """A causal LM up to its LM head, as one module that owns the head's weight too: FSDP gathers it with the rest.

    own: whole, up to the model's own logits.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, own: bool = False, **inputs: Any) -> Any:
        return (self.model if own else self.model.get_decoder())(**inputs)


def blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """A transformer's layers: what transformers says should lie on one device."""
    names = set(model._no_split_modules or ())
    return [module for module in model.modules() if type(module).__name__ in names]


@dataclass
class Policy:
    """A causal LM with its tokenizer. `end_ids` are the tokens that end a response."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    end_ids: tuple[int, ...]
    pad_id: int
    dtype: torch.dtype
    """Of the arithmetic; the weights may be fp32 under bf16 arithmetic."""
    output: Output = PLAIN
    """How its logits come from its hidden states."""

    packed: bool = False
    """Whether its updates run without padding, see `prepare`."""
    adapted: bool = False
    """Whether only a LoRA adapter is trained, see `prepare`."""
    sharded: bool = False
    """Over the ranks of the run, by FSDP2."""
    source: str = "the model"
    """Its name in errors and in what is told."""

    def __post_init__(self) -> None:
        self.body = Body(self.model)
        self.chat = Chat(self.tokenizer, self.source)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def turn_end(self) -> int:
        """The token with which a response is taught to end: as the chat template ends a turn."""
        end = self.chat.turn_end()[0]
        own: Any = self.tokenizer.eos_token_id
        return int(end if end is not None else own if own is not None else self.end_ids[0])

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the chat prompt, with the header of the assistant's turn."""
        return self.chat.encode(messages)

    def token_logprobs(
        self,
        rows: Sequence[Row],
        temperature: float = 1.0,
        return_entropy: bool = True,
        allowed: AllowedTokens | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probs and entropies (nats, fp32, [T]) of the responses' tokens at the sampling temperature.

        allowed: where not all tokens could be drawn; there they are of the distribution over those that could.
        """
        hidden, targets = self.response_states(rows)
        if allowed is None or not len(allowed):
            return self._logprobs(hidden, targets, temperature, return_entropy)
        free = torch.ones(len(targets), dtype=torch.bool, device=targets.device)
        free[allowed.at] = False
        logp, entropy = self._logprobs(hidden, targets, temperature, return_entropy, free)
        some = self.allowed_logprobs(hidden[allowed.at], targets[allowed.at], temperature, allowed)
        logp = logp.index_copy(0, allowed.at, some.logp.to(logp.dtype))
        if entropy is not None and some.entropy is not None:
            entropy = entropy.index_copy(0, allowed.at, some.entropy.to(entropy.dtype))
        return logp, entropy

    def allowed_logprobs(
        self, hidden: Tensor, targets: Tensor, temperature: float, allowed: AllowedTokens
    ) -> TokenLogprob:
        """`ops.allowed_logprob` of the constrained rows of `response_states`."""
        if self.output.own:
            return allowed_logprob(hidden, None, targets, allowed, temperature=temperature)
        temperature, softcap = self.output.scaling(temperature)
        return allowed_logprob(hidden, self.head, targets, allowed, temperature=temperature, softcap=softcap)

    def _logprobs(
        self, hidden: Tensor, targets: Tensor, temperature: float, return_entropy: bool, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if self.output.own:
            every = (hidden.float() / temperature).log_softmax(-1)  # [T, V]
            logp = every.gather(1, targets[:, None])[:, 0]
            return logp, -(every.exp() * every).sum(1) if return_entropy else None
        temperature, softcap = self.output.scaling(temperature)
        out = token_logprob(
            hidden,
            self.head,
            targets,
            temperature=temperature,
            softcap=softcap,
            rows=rows,
            return_entropy=return_entropy,
        )
        return out.logp, out.entropy

    def response_states(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """What the LM head takes for the responses' tokens: hidden states [T, H] and targets [T] int64.

        Where `output.own`, the model's logits [T, V] instead of hidden states.
        """
        with self.autocast():
            hidden, targets = response_states(self.body, rows, self.pad_id, self.packed, self.output.own)
        return hidden.to(self.dtype), targets

    @property
    def head(self) -> Tensor:
        """The LM head's weight, [V, H]."""
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight.to(self.dtype)

    def autocast(self) -> torch.autocast:
        """bf16 arithmetic on fp32 weights, where `dtype` is bf16 and FSDP does not see to it."""
        some_fp32 = self.model.dtype == torch.float32 or self.adapted
        mixed = self.dtype == torch.bfloat16 and some_fp32 and not self.sharded
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed)

    def prepare(self, config: ModelConfig, seed: int) -> None:
        """What training needs of the model besides its weights: packing, checkpointing, an adapter. Before sharding."""
        self.packed = config.packing and enable_packing(self.model)
        if config.gradient_checkpointing:
            enable_checkpointing(self.model)
        if config.lora_rank:
            add_adapter(self.model, config, seed)
            self.adapted = True

    def shard(self, device: torch.device, offload: bool = False) -> None:
        """Spread the weights over all ranks. Rank 0's count; the others' may be on the meta device."""
        shard(self.body, blocks(self.model), self.dtype, device, offload)
        self.sharded = True

    def reshard(self) -> None:
        """Let go of the full weights that the last forward pass left gathered."""
        if self.sharded:
            body: Any = self.body
            body.reshard()

    def whole_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Names, as Hugging Face has them, and full values of the weights, one at a time; all ranks in step.

        An adapter is merged into them.
        """
        return merged_parameters(self.model, whole)

    def save(self, path: str | Path, main: bool = True) -> None:
        """Write model (safetensors) and tokenizer as `from_pretrained` reads them. All ranks call it; `main` writes.

        Raises OSError where the disk or the place refuses.
        """
        weights = None
        if self.sharded or self.adapted:
            parts = ((name, value.cpu() if main else None) for name, value in self.whole_parameters())
            weights = {name: value for name, value in parts if value is not None}
            weights |= {name: value.cpu() for name, value in saved_buffers(self.model)}
        if main:
            disable_progress_bar()
            with disk_errors(path), plain(self.model):
                self.model.save_pretrained(path, state_dict=weights)
                self.tokenizer.save_pretrained(path)

    def save_trained(self, path: str | Path, main: bool = True) -> None:
        """Write what training changes: the adapter where there is one, else everything. All ranks call it."""
        if not self.adapted:
            self.save(path, main)
            return
        with disk_errors(path):
            save_adapter(self.model, path, whole, main)
            if main:
                self.tokenizer.save_pretrained(path)


def make_policy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: str,
    dtype: torch.dtype | None = None,
    loading: Loading | None = None,
) -> Policy:
    """Check what the loop needs of a model and its tokenizer, and wrap both. `source` names them in errors."""
    loading = loading or Loading()
    set_template(tokenizer, loading.chat_template, loading.chat_template_kwargs, source)
    if len(tokenizer) > (size := _vocabulary(model)):
        raise UserError(f"{source}: the tokenizer has {len(tokenizer)} tokens, the LM head {size}")
    end_ids = end_tokens(model, tokenizer, source)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_ids[0]
    settle_attention(model.eval(), source)
    output = _output(model, source)
    return Policy(model, tokenizer, end_ids, int(pad), dtype or model.dtype, output, source=source)


def _vocabulary(model: PreTrainedModel) -> int:
    head = model.get_output_embeddings()
    return int(model.config.get_text_config().vocab_size if head is None else head.weight.shape[0])


def _output(model: PreTrainedModel, source: str) -> Output:
    """As measured; of a model without weights, which is another one's copy, the plain one."""
    if model.device.type == "meta":
        return PLAIN
    try:
        return measure_output(model)
    except Exception as error:  # whatever a model's own code raises
        told = f"{type(model).__name__}'s own forward pass fails: {type(error).__name__}: {error}"
        raise UserError(f"{source}: {told.splitlines()[0]}") from error


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str) -> tuple[int, ...]:
    """The tokens that end a response: those that tokenizer and model name, and the one with which the chat template
    ends a turn, which is told where it is another one. Raises UserError where there is none."""
    generation = getattr(model, "generation_config", None)
    configured = getattr(generation, "eos_token_id", None) or model.config.eos_token_id
    named = {tokenizer.eos_token_id, *(configured if isinstance(configured, list | tuple) else [configured])}
    ends = {int(token) for token in named if token is not None}
    chat = Chat(tokenizer, source)
    chat.encode([{"role": "user", "content": "request"}])  # a template that makes no prompt is told before all else
    end, written = chat.turn_end()
    if end is not None and end not in ends:
        tell_once(f"{source}: the chat template ends a turn with {written!r}, token {end}: it ends responses too")
        ends.add(end)
        if generation is not None:
            generation.eos_token_id = sorted(ends)
    elif end is None and written:
        tell_once(f"{source}: the chat template ends a turn with {written!r}, which is no token: it ends no response")
    if not ends:
        raise UserError(f"{source}: neither tokenizer nor model names an end-of-sequence token")
    return tuple(sorted(ends))


def load_policy(
    path: str,
    device: str | torch.device = "auto",
    dtype: str = "fp32",
    master: str | None = None,
    *,
    empty: bool = False,
    loading: Loading | None = None,
) -> Policy:
    """Load any Hugging Face causal LM, by directory or name on the Hub, with its tokenizer and chat template.

    dtype: of the arithmetic, `auto` as `resolve_dtype` says. master: of the weights, default `dtype`; training keeps
    fp32 weights, since bf16 ones would round small updates away. empty: leave the weights out (meta device), for
    another rank to send them. loading: revision, trust and chat template.
    """
    wrong = [name for name in (dtype, master or dtype) if name not in (AUTO, *DTYPES)]
    if wrong:
        raise UserError(f"dtype must be one of {[AUTO, *sorted(DTYPES)]}, got {wrong[0]!r}")
    loading = loading or Loading()
    source, trust = str(find_model(path, loading.revision)), loading.trust_remote_code
    place = resolve_device(device) if isinstance(device, str) else device
    if place.type == "cpu" and width_of(Path(source)) >= NARROW:
        multiply_with_onednn()
    dtype = resolve_dtype(dtype, Path(source), place)
    master = dtype if master is None else resolve_dtype(master, Path(source), place)
    weights = DTYPES[master]
    disable_progress_bar()  # of weights that are read from disk
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust)
        if empty:
            config = AutoConfig.from_pretrained(source, trust_remote_code=trust)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config, dtype=weights, trust_remote_code=trust)
        else:
            model = AutoModelForCausalLM.from_pretrained(source, dtype=weights, trust_remote_code=trust)
    except Exception as error:  # transformers, safetensors and a model's own code raise a dozen kinds
        raise no_model(path, error) from error
    if not empty:
        model = model.to(place)
    return make_policy(model, tokenizer, path, DTYPES[dtype], loading)


def copy_of(policy: Policy) -> Policy:
    """A second policy of the same architecture, unsharded, in the arithmetic's dtype; its weights are not set."""
    with torch.device(policy.device):
        model = type(policy.model)._from_config(policy.model.config, dtype=policy.dtype)  # its own code's class too
    model.requires_grad_(False)
    return Policy(model.eval(), policy.tokenizer, policy.end_ids, policy.pad_id, policy.dtype, policy.output)
