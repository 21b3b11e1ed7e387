"""Scale and cap of the logits, measured: of models that have them under other names, and of made ones."""

from __future__ import annotations

import pytest
import torch
from architectures import tiny_model

from rerec_engine.model.output import Output, measure_output


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("qwen2", {}, Output()),
        ("gpt2", {}, Output()),
        ("granite", {"logits_scaling": 13.0}, Output(0.0769231)),
        ("granitemoe", {"logits_scaling": 0.25}, Output(4.0)),
        ("cohere", {"logit_scale": 0.0625}, Output(0.0625)),
        ("hyperclovax", {"logits_scaling": 3.0}, Output(3.0)),
        ("falcon_h1", {"lm_head_multiplier": 0.5}, Output(0.5)),
        ("minicpm3", {"dim_model_base": 8}, Output(0.25)),
        ("gemma2", {"final_logit_softcapping": 30.0}, Output(1.0, 30.0)),
        ("gemma2", {"final_logit_softcapping": 0.5}, Output(1.0, 0.5)),
        ("gemma2", {"final_logit_softcapping": None}, Output()),
        ("recurrent_gemma", {"logits_soft_cap": 7.0}, Output(1.0, 7.0)),
        ("phi", {}, Output(own=True)),
        ("bert", {}, Output(own=True)),
    ],
)
def test_what_a_model_does_to_its_logits(kind, options, expected):
    assert measure_output(tiny_model(kind, 320, **options)) == expected


@pytest.mark.parametrize("kind", ["granite", "gemma2"])
def test_in_bf16_the_figures_are_the_same(kind):
    model = tiny_model(kind, 320)
    assert measure_output(model.bfloat16()) == measure_output(model.float())


class Post(torch.nn.Module):
    """A model whose forward does `post` to another's logits."""

    def __init__(self, inner, post):
        super().__init__()
        self.inner, self.post, self.device = inner, post, torch.device("cpu")
        self.get_output_embeddings, self.get_decoder = inner.get_output_embeddings, inner.get_decoder

    def forward(self, **inputs):
        out = self.inner(**inputs)
        out.logits = self.post(out.logits)
        return out


@pytest.mark.parametrize(
    ("post", "expected"),
    [
        (lambda z: 20 * torch.tanh(z * 0.3 / 20), Output(0.3, 20.0)),
        (lambda z: z.clamp(-30, 30), Output(own=True)),
        (lambda z: z.index_fill(-1, torch.tensor([3]), float("-inf")), Output(own=True)),
        (lambda z: z + torch.arange(z.shape[-1]) / 100, Output(own=True)),
        (lambda z: -z, Output(own=True)),
    ],
    ids=["scaled-and-capped", "clamped", "masked", "shifted", "negative"],
)
def test_names_do_not_matter(post, expected):
    assert measure_output(Post(tiny_model("qwen2", 320), post)) == expected


@pytest.mark.parametrize("output", [Output(), Output(0.25), Output(1.0, 5.0), Output(3.0, 5.0)])
def test_scale_and_cap_as_the_ops_take_them(output):
    product = torch.linspace(-20, 20, 41)
    temperature, cap = output.scaling(0.7)
    z = product.double()
    z = z if cap is None else torch.tanh(z / cap) * cap
    assert torch.allclose((z / temperature).float(), output(product) / 0.7, atol=1e-4)
