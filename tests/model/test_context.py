"""How many tokens a model takes, and what is told of more."""

from __future__ import annotations

import pytest
from architectures import tiny_policy_of

from rerec_engine.errors import UserError
from rerec_engine.model.context import check_context, context_of, has_table


@pytest.mark.parametrize(
    ("kind", "options", "context", "table"),
    [
        ("qwen2", {"max_position_embeddings": 77}, 77, False),
        ("gpt2", {"n_positions": 88}, 88, True),
        ("opt", {"max_position_embeddings": 66}, 66, True),
        ("biogpt", {"max_position_embeddings": 66}, 66, True),
        ("mamba", {}, None, False),
    ],
)
def test_the_most_tokens_that_a_model_takes(kind, options, context, table):
    policy = tiny_policy_of(kind, **options)
    assert context_of(policy) == context
    assert context is None or has_table(policy, context) == table


def test_what_goes_beyond_is_refused_where_positions_end_and_told_elsewhere():
    table, rotary = tiny_policy_of("gpt2"), tiny_policy_of("qwen2")
    assert check_context(table, 100, 28) == check_context(rotary, 100, 28) == ""
    with pytest.raises(UserError) as raised:
        check_context(table, 900, 28)
    assert str(raised.value) == (
        "gpt2: prompts of up to 900 tokens and 28 new ones; the model takes 128: take shorter prompts, or another model"
    )
    assert check_context(rotary, 100, 50) == (
        "qwen2: prompts of up to 100 tokens and 50 new ones; the model takes 128, and beyond them it was not trained: "
        "set rollout.max_new_tokens to 28 at most"
    )
    assert check_context(tiny_policy_of("mamba"), 10**6, 10) == ""
