from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.data.counts import Counts
from rerec_engine.data.profiles import age_group, gender_of, parse_atomic_profile, parse_profile, read_users
from rerec_engine.errors import UserError


@pytest.mark.parametrize(
    ("line", "profile"),
    [
        ("1::F::25::12::55117", "25-34 years old, female, programmer"),
        ("1::M::1::0::1", "under 18 years old, male"),
        ("1::M::56::20::1", "56 or more years old, male, writer"),
    ],
)
def test_codes_of_ml1m_become_words(line: str, profile: str) -> None:
    assert parse_profile(line) == ("1", profile)


@pytest.mark.parametrize("line", ["1::F::26::3::1", "1::F::25::21::1", "1::F::25::-1::1"])
def test_an_unknown_code_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="unknown age code"):
        parse_profile(line)


@pytest.mark.parametrize(
    ("line", "profile"),
    [
        ("7\t24\tM\ttechnician\t8", "24 years old, male, technician"),
        ("7\t24\tF\tother\t8", "24 years old, female"),
        ("7\t24\tX\tnone", "24 years old"),
    ],
)
def test_atomic_profiles(line: str, profile: str) -> None:
    assert parse_atomic_profile(line) == ("7", profile)


def test_groups_of_ages_are_those_of_ml1m() -> None:
    """Every code is the first age of its group."""
    groups = [age_group(age) for age in (1, 17, 18, 24, 25, 34, 35, 45, 49, 50, 55, 56, 99)]
    assert groups == ["under 18"] * 2 + ["18-24"] * 2 + ["25-34"] * 2 + ["35-44"] + ["45-49"] * 2 + ["50-55"] * 2 + [
        "56 or more"
    ] * 2  # fmt: skip


@pytest.mark.parametrize(("word", "gender"), [("F", "female"), ("Male", "male"), ("w", "female"), ("divers", "")])
def test_genders(word: str, gender: str) -> None:
    assert gender_of(word) == gender


def test_users_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "users.dat"
    path.write_text("1::F::25::12::1\n2::M::50::0::1\n1::M::50::0::1\n")
    with pytest.raises(UserError, match=r"users\.dat:3: user 1 occurs twice"):
        read_users(path, Counts())
    counts = Counts()
    users = read_users(path, counts, skip_bad=True)
    counts.check()
    assert users == {"1": "25-34 years old, female, programmer", "2": "50-55 years old, male"}
