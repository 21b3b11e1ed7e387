from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.metrics.catalogue_match import CatalogueScorer
from rerec_engine.metrics.recbench import score_recbench

TITLES = ["Usual Suspects, The (1995)", "Heat (1995)", "Seven (Se7en) (1995)", "Solaris (1972)", "Solaris (2002)"]


def scorer(*truth: str) -> CatalogueScorer:
    return CatalogueScorer(TITLES, None, [truth])


@pytest.mark.parametrize(
    ("predicted", "truth", "hit"),
    [
        ("Heat", "Heat (1995)", True),  # difflib finds 0.53
        ("The Usual Suspects (1995)", "Usual Suspects, The (1995)", True),
        ("se7en", "Seven (1995)", True),
        ("Solaris", "Solaris (1972)", True),  # ambiguous in the catalogue, not among the ground truths
        ("Solaris (2002)", "Solaris (1972)", False),
        ("Heater (1995)", "Heat (1995)", False),
        ("The Room (2003)", "The Room (2003)", True),  # in no catalogue, yet the ground truth
        ("Room (1920)", "The Room (2003)", False),
    ],
)
def test_titles_match_by_the_catalogues_rules(predicted: str, truth: str, hit: bool) -> None:
    assert scorer(truth).score("a", predicted, [truth]).recall == hit


def test_repeats_count_once() -> None:
    row = scorer("Heat (1995)").score("a", "Heat [SEP] Heat (1995) [SEP] Nothing [SEP] Nothing", ["Heat (1995)"])
    assert (row.precision, row.recall, row.ndcg, row.ftr) == (0.5, 1, 1, False)


def test_ground_truths_outside_the_catalogue_are_counted() -> None:
    assert scorer("The Room (2003)", "Heat (1995)").added == 1
    assert scorer("Heat").added == 0


def test_empty_ground_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="no ground truth"):
        scorer("Heat").score("a", "Heat", [])


@given(st.lists(st.sampled_from([*TITLES, "Nothing (1900)"]), min_size=1, max_size=8), st.sets(st.sampled_from(TITLES)))
def test_figures_stay_in_range_and_agree_on_exact_titles(predicted: list[str], truth: set[str]) -> None:
    wanted = sorted(truth) or ["The Room (2003)"]
    row = scorer(*wanted).score("a", "[SEP]".join(predicted), wanted)
    assert all(0 <= value <= 1 for value in (row.precision, row.recall, row.ndcg))
    assert row.recall == pytest.approx(len(set(predicted) & truth) / len(wanted))
    assert row.precision == pytest.approx(len(set(predicted) & truth) / len(set(predicted)))
    assert row.ftr == score_recbench("a", "[SEP]".join(predicted), wanted).ftr
