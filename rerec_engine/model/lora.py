"""LoRA through peft: low-rank adapters on a frozen model, trained, switched off, merged, saved and loaded.

The adapter is put into the transformers model itself, which stays what it was to everybody else. With it switched off,
the model is the start of training, so that the KL's reference needs no second copy. There is no dropout: it would make
the trainer's log-probs differ from the rollout engine's.

Source: Hu et al., LoRA (arXiv 2106.09685); the file format is peft's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from rerec_engine.config import ModelConfig
from rerec_engine.errors import UserError, file_error

ADAPTER = "default"
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


def _same(x: Tensor) -> Tensor:
    return x


def add_adapter(model: PreTrainedModel, config: ModelConfig, seed: int = 0) -> PreTrainedModel:
    """Put a new adapter into the model, in place, and freeze the rest; returns the same model.

    The adapter is fp32 whatever the model's dtype, which may therefore be bf16: what is frozen loses no small updates.
    Its start changes nothing (B = 0); A is drawn from `seed`. Raises UserError without peft, and where a target is not
    in the model or no linear layer inside it.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UserError("model.lora_rank needs peft: pip install 'rerec-engine[lora]'") from error
    targets = [name.strip() for name in config.lora_targets.split(",")]
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear" if targets == ["all-linear"] else targets,
        lora_dropout=0.0,
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in model.modules()),
        task_type="CAUSAL_LM",
    )
    _check_targets(model, set(targets) - {"all-linear"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model.add_adapter(settings, ADAPTER)
        except Exception as error:  # peft has a dozen reasons not to
            told = str(error).replace("[PEFT:PeftType.LORA] ", "").splitlines()[0]
            raise UserError(f"model.lora_targets: {type(model).__name__} takes no such adapter: {told}") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(name))
        if is_adapter(name):
            parameter.data = parameter.data.float()
    return model


def _check_targets(model: PreTrainedModel, targets: set[str]) -> None:
    found = set()
    outer = (model.get_input_embeddings(), model.get_output_embeddings())
    for name, module in model.named_modules():
        if (last := name.rsplit(".", 1)[-1]) in targets:
            linear = isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"  # GPT-2's
            if not linear or any(module is m for m in outer):
                raise UserError(f"model.lora_targets: {name} is not a linear layer inside the model")
            found.add(last)
    if missing := sorted(targets - found):
        raise UserError(f"model.lora_targets: no layer of {type(model).__name__} is called {', '.join(missing)}")


def is_adapter(name: str) -> bool:
    """Whether a parameter, by its name in the model, belongs to an adapter."""
    return ".lora_" in name


def has_adapter(model: nn.Module) -> bool:
    return any(hasattr(module, "lora_A") for module in model.modules())


@contextmanager
def without_adapter(model: PreTrainedModel) -> Iterator[None]:
    """The model as it was before the adapter, bit for bit. Not for a backward pass that began outside."""
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()


@contextmanager
@torch.no_grad()
def fresh_adapter(model: nn.Module) -> Iterator[None]:
    """Within, an adapter that is still at its start (B = 0) has a small B, so that what is done with it shows."""
    started = [p for name, p in model.named_parameters() if ".lora_B." in name]
    if any(bool(p.any()) for p in started):
        yield
        return
    generator = torch.Generator().manual_seed(0)
    for p in started:
        p.copy_(0.02 * torch.randn(p.shape, generator=generator))
    try:
        yield
    finally:
        for p in started:
            p.zero_()


def effective_weight(layer: Any, gather: Callable[[Tensor], Tensor] = _same) -> Tensor:
    """The weight that a linear layer, or one of experts, works with: W + scaling B A where an adapter is on, else W.

    The sum is formed in fp32 and rounded to W's dtype. gather: see `merged_parameters`.
    """
    weight = gather(layer.get_param() if hasattr(layer, "get_param") else layer.weight)
    if not hasattr(layer, "lora_A") or layer.disable_adapters:
        return weight
    a, b = gather(layer.lora_A[ADAPTER].weight).float(), gather(layer.lora_B[ADAPTER].weight).float()
    if weight.ndim == 3:  # a [E * r, in], b [out, r * E], as peft lays the experts' matrices
        a, b = a.reshape(len(weight), -1, a.shape[1]), b.reshape(len(b), -1, len(weight))
        swapped = layer._did_swap_in_out_features
        delta = torch.einsum("ore,eri->eoi" if swapped else "ore,eri->eio", b, a)
    else:
        delta = b @ a  # [out, r] @ [r, in]
        delta = delta.T if layer.fan_in_fan_out else delta
    return (weight.float() + delta * layer.scaling[ADAPTER]).to(weight.dtype)


@torch.no_grad()
def merged_parameters(
    model: PreTrainedModel, gather: Callable[[Tensor], Tensor] = _same
) -> Iterator[tuple[str, Tensor]]:
    """The model's parameters under their plain names, the adapter merged, one at a time; tied ones once.

    The model is left as it is; a tensor without adapter is the model's own. gather: called on each parameter, in the
    same order on all ranks; `DTensor.full_tensor` where the model is sharded.
    """
    layers = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            continue
        layer = _adapted(layers, name)
        tensor = gather(parameter) if layer is None else effective_weight(layer, gather)
        yield name.replace(".base_layer", ""), tensor.detach()


def saved_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Under their plain names, what a model saves besides its parameters."""
    for owner, module in model.named_modules():
        for kind, buffer in module.named_buffers(recurse=False):
            if kind not in module._non_persistent_buffers_set:
                yield f"{owner}.{kind}".lstrip(".").replace(".base_layer", ""), buffer


def _adapted(layers: dict[str, nn.Module], name: str) -> Any:
    """The layer whose adapter adds to a parameter, by its name; None where none does.

    Around experts lie two, one in the other: of all experts' first matrices and of their second ones.
    """
    owner, _, kind = name.rpartition(".")
    while owner.endswith(".base_layer"):
        owner = owner.removesuffix(".base_layer")
        layer = layers[owner]
        if kind == getattr(layer, "parameter_name", "weight"):
            return layer
    return None


def save_adapter(
    model: PreTrainedModel, path: str | Path, gather: Callable[[Tensor], Tensor] = _same, main: bool = True
) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json` into a directory, as plain peft reads them.

    gather: see `merged_parameters`; all ranks call, and `main` writes.
    """
    state = {
        _saved_name(name): gather(parameter).detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if is_adapter(name)
    }
    if not main:
        return
    Path(path).mkdir(parents=True, exist_ok=True)
    save_file(state, Path(path) / WEIGHTS, metadata={"format": "pt"})
    model.peft_config[ADAPTER].save_pretrained(str(path))


def _saved_name(name: str) -> str:
    return f"base_model.model.{name}".replace(f".{ADAPTER}.", ".")


@torch.no_grad()
def load_adapter(model: PreTrainedModel, path: str | Path) -> None:
    """Read what `save_adapter` or peft wrote into the adapter that the model has. Before sharding.

    Raises UserError naming the file where it is missing, damaged, or of another rank, alpha or other targets.
    """
    settings, weights = Path(path) / SETTINGS, Path(path) / WEIGHTS
    try:
        saved = json.loads(settings.read_text(encoding="utf-8"))
        asked = model.peft_config[ADAPTER]
        for name, key in (("lora_rank", "r"), ("lora_alpha", "lora_alpha")):
            if saved[key] != getattr(asked, key):
                raise file_error(settings, f"model.{name} is {getattr(asked, key)}, the adapter's is {saved[key]}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise file_error(settings, "not readable as an adapter's settings") from error
    try:
        state = load_file(weights)
    except Exception as error:  # safetensors' own error is no subclass of anything narrower
        raise file_error(weights, f"not readable as an adapter: {str(error).splitlines()[0]}") from error
    own = {_saved_name(name): parameter for name, parameter in model.named_parameters() if is_adapter(name)}
    if different := sorted(own.keys() ^ state.keys()):
        where = "lacks" if different[0] in own else "also has"
        raise file_error(weights, f"other targets than model.lora_targets: it {where} {different[0]}")
    for name, parameter in own.items():
        if state[name].shape != parameter.shape:
            raise file_error(weights, f"{name} is {tuple(state[name].shape)}, the model's is {tuple(parameter.shape)}")
        parameter.copy_(state[name])


@contextmanager
def plain(model: PreTrainedModel) -> Iterator[None]:
    """Within, `model.save_pretrained(path, state_dict=dict(merged_parameters(model)))` writes a whole, plain model.

    Else transformers writes the adapter alone. Nothing happens to a model without one.
    """
    kept = getattr(model, "_hf_peft_config_loaded", False)
    model._hf_peft_config_loaded = False
    try:
        yield
    finally:
        model._hf_peft_config_loaded = kept
