"""Groups of rollouts for the page: a choice that fits in so many bytes, every token with its advantage."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.config import Config
from rerec_engine.errors import UserError, file_error
from rerec_engine.model.chat import Chat
from rerec_engine.model.thinking import spans
from rerec_engine.reward.vocabulary import decode_with_ends

PARTS = ("reward", "ndcg", "format", "qas", "pas", "hit")
PLAIN, PENALISED, CREDITED = range(3)
Row = dict[str, Any]


def read_groups(run: Path, config: Config, most_bytes: int, tokenizer: Any = None) -> tuple[list[Row], int]:
    """Groups of the saved steps, in the order of steps, and how many were left out.

    From every step alike; within a step, categories take turns, and groups whose rewards differ most come first.
    """
    files = sorted(run.glob("rollouts/step_*.parquet"), key=lambda file: int(file.stem[5:]))
    tokenizer = tokenizer or _tokenizer(run, config)
    shaped, opened = config.advantage.estimator == "raae", _opened(tokenizer)
    steps = [_by_interest(_rows(file)) for file in files]
    chosen: list[Row] = []
    used, total = 0, sum(len(groups) for groups in steps)
    for rows in (rows for turn in zip_longest(*steps) for rows in turn if rows is not None):
        group = _group(rows, tokenizer, shaped, opened)
        used += len(json.dumps(group, ensure_ascii=False).encode())
        if used > most_bytes and chosen:
            break
        chosen.append(group)
    return sorted(chosen, key=lambda group: group["step"]), total - len(chosen)


def _tokenizer(run: Path, config: Config) -> Any:
    """The run's tokenizer; None where its files are gone: responses are then shown without their tokens."""
    from transformers import AutoTokenizer

    checkpoints = sorted(run.glob("checkpoints/step_*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for place in (run / "final", run / "start", *checkpoints, config.model.path):
        if place and (Path(place) / "tokenizer_config.json").is_file():
            return AutoTokenizer.from_pretrained(str(place))
    return None


def _rows(path: Path) -> list[Row]:
    try:
        return list(pq.read_table(path).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise file_error(path, f"not readable as parquet: {error}") from None


def _by_interest(rows: list[Row]) -> list[list[Row]]:
    """The groups of a step."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["query_id"])]
    groups.sort(key=lambda group: -float(np.std([row["reward"] for row in group])))
    seen: dict[str, int] = {}
    turns = []
    for group in groups:
        category = group[0]["category"] or ""
        seen[category] = seen.get(category, -1) + 1
        turns.append(seen[category])
    return [groups[i] for i in np.argsort(turns, kind="stable")]


def _opened(tokenizer: Any) -> bool:
    """Whether its prompts open a block of reasoning."""
    try:
        return tokenizer is not None and Chat(tokenizer, "").opens_reasoning()
    except UserError:  # it has no template
        return False


def _group(rows: list[Row], tokenizer: Any, shaped: bool, opened: bool) -> Row:
    responses = [_response(row, tokenizer, shaped, opened) for row in rows]
    responses.sort(key=lambda response: -response["reward"])
    first = rows[0]
    return {
        "step": first["step"],
        "query": str(first["query_id"]),
        "category": first["category"] or "",
        "prompt": first["prompt"],
        "responses": responses,
    }


def _response(row: Row, tokenizer: Any, shaped: bool, opened: bool) -> Row:
    """tokens: lengths in UTF-16 units, as the page's script counts. thinking: where a block of reasoning begins and
    ends, in such units. advantages: [tokens, value, kind] for each run of
    equal ones."""
    pieces = [row["response"]]
    if tokenizer is not None:
        pieces = list(_pieces(*decode_with_ends(tokenizer, row["token_ids"])))
    rewards, own = np.asarray(row["token_rewards"]), row["reward"]
    kinds = np.full(len(rewards), PLAIN)
    if shaped:
        kinds[rewards < own - 1e-6], kinds[rewards > own + 1e-6] = PENALISED, CREDITED
    values = [float(f"{value:.3g}") for value in row["token_advantages"]]
    runs = [
        [len(list(same)), value, int(kind)] for (value, kind), same in groupby(zip(values, kinds, strict=True))
    ]  # fmt: skip
    text = "".join(pieces)
    return {
        **{name: round(float(row[name]), 4) for name in PARTS},
        "finish": row["finish"],
        "text": text,
        "tokens": [_units(piece) for piece in pieces],
        "thinking": [[_units(text[:i]), _units(text[:j])] for inside, i, j in spans(text, opened) if inside and i < j],
        "advantages": runs,
    }


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="replace")) // 2


def _pieces(text: bytes, ends: np.ndarray) -> Iterator[str]:
    """The text of each token; a character that several make up is the last one's."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begin = 0
    for i, end in enumerate(ends.tolist()):
        yield decoder.decode(text[begin:end], final=i == len(ends) - 1)
        begin = end
