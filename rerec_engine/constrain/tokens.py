"""The bytes of each token, whichever tokenizer: what a text of tokens is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerec_engine.errors import UserError
from rerec_engine.reward.pieces import Pieces
from rerec_engine.reward.vocabulary import token_bytes


def token_table(tokenizer: Any, source: str = "the tokenizer") -> tuple[NDArray[np.int64], bytes]:
    """Bounds [tokens + 1] and bytes of all tokens, as they follow other tokens; special ones have none.

    Raises UserError for a tokenizer whose tokens do not say on their own what they add to a text.
    """
    table = token_bytes(tokenizer)
    if table is None:
        table = Pieces().table(tokenizer)
    if table is None:
        raise UserError(f"{source}: its tokens cannot be told apart, so that answers cannot be constrained")
    ptr = np.zeros(len(table) + 1, dtype=np.int64)
    np.cumsum([len(token) for token in table], out=ptr[1:])
    return ptr, b"".join(table)
