from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from rerec_engine.config import Config
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.errors import UserError
from rerec_engine.training.orders import FreshOrders, fresh_orders


@pytest.fixture(scope="module")
def dataset(mini_demo):
    return load_dataset(mini_demo)


def length(messages):
    """A tokenizer that reads over the end of a line: tokens depend on what stands beside what."""
    titles = [line.split(") ")[-1] for line in messages[0]["content"].split("\n")]
    return [0] * sum(2 if a < b else 3 for a, b in pairwise(titles))


def configured(order):
    config = Config()
    return replace(config, data=replace(config.data, order=order))


def test_the_setting_goes_before_the_datasets_own_word(dataset):
    queries = dataset.queries("train")
    fresh = replace(dataset, description=replace(dataset.description, order="fresh"))
    for data, order, expected in (
        (dataset, "dataset", False),
        (dataset, "fresh", True),
        (fresh, "dataset", True),
        (fresh, "fixed", False),
    ):
        assert (fresh_orders(configured(order), data, queries, length) is not None) == expected


def test_prompts_of_others_are_refused_in_one_line(dataset):
    first, *rest = dataset.queries("train")
    foreign = replace(rest[1], messages=({"role": "user", "content": "some other words"},))
    with pytest.raises(UserError, match=r"train\.parquet:3: .*set data\.order to fixed"):
        fresh_orders(configured("fresh"), dataset, [first, rest[0], foreign], length)


def test_a_seed_gives_an_order_and_its_prompt(dataset):
    prompter = Prompter(Knowledge.of(dataset))
    orders = FreshOrders(prompter, length, 10_000)
    query = dataset.queries("train")[0]
    seen = {orders.draw(query, [1], seed)[0].candidates for seed in range(40)}
    assert len(seen) > 30
    other, ids = orders.draw(query, [1], 7)
    assert orders.draw(query, [1], 7) == (other, ids)
    assert ids == length(other.messages)
    shown = [dataset.titles[item] for item in other.candidates]
    assert other.messages[0]["content"].split("\n")[1:] == [f"{n}) {title}" for n, title in enumerate(shown, 1)]


def test_an_order_whose_prompt_is_too_long_is_drawn_again(dataset):
    query = dataset.queries("train")[0]
    orders = FreshOrders(Prompter(Knowledge.of(dataset)), length, 10_000)
    lengths = sorted(len(orders.draw(query, [], seed)[1]) for seed in range(40))
    assert lengths[0] < lengths[-1]
    limit = lengths[len(lengths) // 2]
    within = replace(orders, limit=limit)
    drawn = [within.draw(query, [1], seed) for seed in range(40)]
    assert all(len(ids) <= limit for _, ids in drawn)
    assert len({own.candidates for own, _ in drawn}) > 10
    assert replace(orders, limit=0).draw(query, [1], 3) == (query, [1])  # none fits: as it is stored


def test_an_open_query_stays_as_it_is(dataset):
    query = replace(dataset.queries("train")[0], candidates=())
    assert FreshOrders(Prompter(Knowledge.of(dataset)), length, 10_000).draw(query, [1], 0) == (query, [1])
