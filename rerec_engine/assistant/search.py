"""An index of sentence embeddings over titles and attributes: how near a request's text is to every item.

Off unless a model is named. The models are static ones of Model2Vec (Tulkens and van Dongen, 2024): a table of
token vectors, a few MB, fast on a CPU. `pip install 'rerec-engine[search]'`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError, first_line


class TextIndex:
    """Cosine of a text's embedding to every item's, [N] float32.

    model: directory of a model2vec model, or its name on the Hugging Face Hub, which is then downloaded.
    Raises UserError where model2vec is not installed or the model cannot be read.
    """

    def __init__(self, dataset: Dataset, model: str | Path) -> None:
        try:
            from model2vec import StaticModel
        except ImportError as error:
            raise UserError(f"model2vec is not installed: pip install 'rerec-engine[search]' ({error})") from error
        try:
            self._model = StaticModel.from_pretrained(str(model))
        except Exception as error:  # the library raises what its readers raise
            raise UserError(f"{model}: cannot be read as a model2vec model: {first_line(error)}") from error
        self._items = _unit(self._model.encode(dataset.documents()))  # [N, d]

    def __call__(self, text: str) -> np.ndarray:
        """The text's nearness to every item, [N] float32."""
        return np.asarray(self._items @ _unit(self._model.encode([text]))[0])


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays."""
    rows = np.nan_to_num(np.asarray(rows, dtype=np.float32))
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1)
