"""Credit by rank: the entries of answers that are lists, the reward of each, and the tokens that wrote it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Entries(NamedTuple):
    """Entries of B answers, E in all, in the order in which they were written; a repeat is an entry too.

    A token belongs to the first entry with whose title it shares a byte. What is no title belongs to none: the box's
    own tokens, separators, bullets, numbering, quotes and what LaTeX adds around it; and so do the entries that the
    engine leaves unread.
    """

    of_token: NDArray[np.int32]  # [T], or [B, L] where the ids came so: place in its answer, from 0; -1: none
    rewards: NDArray[np.float32]  # [E]
    cu_entries: NDArray[np.int64]  # [B + 1]: response i owns entries cu_entries[i]:cu_entries[i + 1]
