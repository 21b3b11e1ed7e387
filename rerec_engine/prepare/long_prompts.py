"""Whether a run would leave prompts out for their length, told when the dataset is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rerec_engine.config import DataConfig
from rerec_engine.data.description import VOCABULARY
from rerec_engine.data.facts import CHARACTERS
from rerec_engine.data.lengths import longer
from rerec_engine.types import Query

_MOST = 200  # prompts that are read by a tokenizer


def told_long(queries: Sequence[Query], files: Mapping[str, str | bytes]) -> str:
    """One line behind a line break; "" where all prompts are within the default of `data.max_prompt_tokens`.

    queries: of the train split. files: further files of the directory; where a vocabulary is among them its phrases are
    the tokens of the model made on the spot, otherwise a token is taken as four characters.
    """
    texts = ["".join(message["content"] for message in query.messages) for query in queries]
    phrases = json.loads(files.get(VOCABULARY, "[]"))
    limit = DataConfig().max_prompt_tokens
    if max(map(len, texts), default=0) <= limit:
        return ""
    if phrases:
        from rerec_engine.model.chat import Chat
        from rerec_engine.model.small_model import phrase_tokenizer

        chat = Chat(phrase_tokenizer(phrases), "the model made on the spot")
        lengths = [len(chat.encode(query.messages)) for query in queries[:: max(1, len(queries) // _MOST)]]
    else:
        lengths = [-(-len(text) // CHARACTERS) for text in texts]
    told = longer(lengths, limit)
    counted = "each phrase a token" if phrases else f"a token taken as {CHARACTERS} characters"
    return f"\ntrain prompts, {counted}: of {len(lengths)} counted, {told}" if told else ""
