from __future__ import annotations

from rerec_engine.data.matching import title_matcher

MATCHES = title_matcher(
    ["Heat (1995)", "Twin (1950)", "Twin (1980)", "Usual Suspects, The (1995)"], [1995, 1950, 1980, 1995]
)


def test_one_none_and_several_are_told_apart() -> None:
    assert list(MATCHES("Heat")) == [0]
    assert list(MATCHES("The Usual Suspects (1995)")) == [3]
    assert list(MATCHES("Twin (1980)")) == [2]
    assert sorted(MATCHES("Twin")) == [1, 2]
    assert list(MATCHES("Heat (1999)")) == []
    assert list(MATCHES("")) == []
