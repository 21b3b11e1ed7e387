from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rerec_engine.assistant.search import TextIndex
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError

WORDS = ("[UNK]", "drama", "crime", "horror", "quiet", "loud")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model2vec model of six words: "quiet" lies beside "drama", "loud" beside "crime"."""
    model2vec = pytest.importorskip("model2vec", reason="no model2vec: pip install .[search]")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.9, 0, 0.1], [0, 0.9, 0.1]], dtype=np.float32)
    path = tmp_path_factory.mktemp("model")
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(str(path))
    return path


def test_words_that_no_attribute_has_find_items_by_nearness(films: Dataset, model: Path) -> None:
    index = TextIndex(films, model)
    near = index("something quiet")
    assert near.shape == (len(films.titles),)
    dramas = {i for i in range(len(films.titles)) if ("Genre", "Drama") in films.attributes.attributes_of(i)}
    chosen = Shortlister(films, search=index).choose("something quiet", count=3)
    assert set(chosen.items) == dramas
    assert "nearness" in chosen.reason
    assert not index("漢字").any()  # no word known: near nothing


def test_faults_are_told(films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("model2vec", reason="no model2vec: pip install .[search]")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as a model2vec model"):
        TextIndex(films, tmp_path)
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(UserError, match="pip install"):
        TextIndex(films, tmp_path)
