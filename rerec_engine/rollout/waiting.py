"""Which prompts are read when: like lengths together, in pieces, as many at once as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rerec_engine.rollout.cache import BLOCK

PADDED = 16384
"""Tokens of prompts, padding included, that are read at once where they cannot come in pieces."""
Prompts = Sequence[Sequence[int]]


class Waiting:
    """The prompts of a call, by their places in it, of which n responses each are yet to be drawn; shortest first.

    cache_bytes: of a prompt's tokens and a number of responses. rows, room: responses and bytes at once, at most.
    """

    def __init__(self, prompts: Prompts, n: int, cache_bytes: Callable[[int, int], int], rows: int, room: int) -> None:
        self.lengths, self.n, self.cache_bytes = [len(prompt) for prompt in prompts], n, cache_bytes
        self.rows, self.room = rows, room
        self.places = sorted(range(len(prompts)), key=self.lengths.__getitem__)

    def __bool__(self) -> bool:
        return bool(self.places)

    def take(self, decoded: Mapping[int, int], piece: int) -> list[list[int]]:
        """The next prompts that there is room for beside those that are decoded (responses by prompt), about `piece`
        tokens at a time. None where these are less than a piece while others wait; one where nothing is decoded.
        """
        rows = self.rows - sum(decoded.values())
        room = self.room - sum(self.cache_bytes(self.lengths[i], count) for i, count in decoded.items())
        count = 0
        for i in self.places:
            rows, room = rows - self.n, room - self.cache_bytes(self.lengths[i], self.n)
            if (rows < 0 or room < 0) and (decoded or count):
                break
            count += 1
        some = count < len(self.places) and sum(self.lengths[i] for i in self.places[:count]) < piece
        found: list[list[int]] = []
        tokens = 0
        for i in [] if some and decoded else self._first(count):
            tokens += self.lengths[i]
            if not found or tokens > piece:
                found.append([])
                tokens = self.lengths[i]
            found[-1].append(i)
        return found

    def take_whole(self, one_length: bool) -> list[int]:
        """As `take`, where nothing is decoded and the prompts are read at once, padded to the longest.

        one_length: no padding at all.
        """
        count, rows = 0, 0
        for i in self.places:
            length, rows = self.lengths[i], rows + self.n
            fits = rows <= self.rows and self.cache_bytes(length, rows) <= self.room
            fits &= (count + 1) * length <= PADDED and not (one_length and length != self.lengths[self.places[0]])
            if not fits and count:
                break
            count += 1
        return self._first(count)

    def _first(self, count: int) -> list[int]:
        taken, self.places = self.places[:count], self.places[count:]
        return taken


def common_beginning(prompts: Prompts) -> int:
    """Tokens with which all prompts begin, in whole blocks; each has one more. 0 where it is not worth a pass."""
    if len(prompts) < 2:
        return 0
    first, last = min(map(list, prompts)), max(map(list, prompts))  # what these share, all share
    alike = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    alike = min(alike, min(map(len, prompts)) - 1) // BLOCK * BLOCK
    return alike if alike >= 2 * BLOCK else 0
