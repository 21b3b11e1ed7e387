"""Whether a tokenizer keeps what it is given, and whether its model predicts English: proof of a conversion."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import torch

from rerec_engine.errors import UserError
from rerec_engine.model.chat import Chat

TEXT = """The lighthouse at the end of the bay was built in 1874, after a storm had driven two ships onto the rocks \
within a single week. For the next 96 years a keeper lived there with his family, lit the lamp every evening, and \
wrote down the weather in a large green book. In 1970 the lamp was made to light itself, and the last keeper moved to \
the village, where he opened a small shop that sold maps, rope and postcards.

What can a visitor see there today?
1. The tower itself, which is 31 metres high; the stairs have 142 steps.
2. The keeper's rooms, as they looked in 1925: they're small, and it's cold even in summer.
3. The green books, all 96 of them.

Tickets cost 7.50 euros. The following lines of Python work out what a group pays:

def price(adults, children=0):
    total = adults * 7.5 + children * 4
    if adults + children >= 10:
        total = total * 0.9
    return round(total, 2)

"I'd go early," says Mrs. O'Brien, who sells the tickets. "By noon you'll wait for an hour, and there isn't any shade."
"""
"""English with years, amounts, contractions, a list and code, where the ways of cutting a text differ."""
SAMPLES = (
    TEXT,
    "Amélie (2001), Crouching Tiger, Hidden Dragon (臥虎藏龍), Сталкер, Ran 乱, 1,234.5 ½ ١٢٣ ²",
    "  two spaces,\ttab,\n\n\nthree lines, \r\n trailing  ",
    "x = {'a': [1, 22, 333]}  # 4444 don't DON'T \N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}",
    "e\N{COMBINING ACUTE ACCENT} \N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}|",
)


def check_tokenizer(tokenizer: Any, composed: bool = False) -> str:
    """What is wrong with a tokenizer, empty where nothing is: texts come back as they went in, each special token is
    one token, the chat template renders what is said. composed: accents come back composed."""
    for text in SAMPLES:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if back != (unicodedata.normalize("NFC", text) if composed else text):
            return f"{_first_difference(text, back)!r} does not come back"
    for token_id, token in tokenizer.added_tokens_decoder.items():
        if token.special and tokenizer(token.content, add_special_tokens=False)["input_ids"] != [token_id]:
            return f"the special token {token.content!r} is not one token"
    if tokenizer.chat_template is not None:
        try:
            Chat(tokenizer, "its chat template").encode([{"role": "user", "content": "request"}])
        except UserError as error:
            return str(error)
    return ""


def _first_difference(text: str, back: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    return text[max(0, at - 8) : at + 8]


@torch.no_grad()
def bits_per_byte(model: Any, tokenizer: Any) -> tuple[float, float]:
    """How well a causal LM predicts `TEXT`, all but its first token: bits of a byte, and perplexity of a token.

    Bits of a byte can be compared between vocabularies, perplexities cannot.
    """
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]], device=model.device)  # [1, T]
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()  # [T - 1, V]
    nats = -logits.log_softmax(-1).gather(1, ids[0, 1:, None]).double().sum().item()
    return nats / math.log(2) / len(TEXT.encode()), math.exp(min(nats / (ids.shape[1] - 1), 700.0))
