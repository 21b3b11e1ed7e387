"""Users in a few words, "25-34 years old, male, programmer": the words, and MovieLens's own files of users."""

from __future__ import annotations

from pathlib import Path

from rerec_engine.data.atomic import check_header
from rerec_engine.data.counts import Counts
from rerec_engine.data.tables import integer, parse_lines, parse_user
from rerec_engine.errors import file_error

_AGES = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56 or more"}
_GENDERS = {"female": "f female w woman weiblich girl", "male": "m male man männlich boy"}
OTHER = ("other", "none", "unknown")
"""Occupations that say nothing."""
OCCUPATIONS = (
    "",
    "academic or educator",
    "artist",
    "clerical or administrative",
    "college or graduate student",
    "customer service",
    "doctor or health care",
    "executive or manager",
    "farmer",
    "homemaker",
    "school student",
    "lawyer",
    "programmer",
    "retired",
    "sales or marketing",
    "scientist",
    "self-employed",
    "technician or engineer",
    "tradesperson or craftsperson",
    "unemployed",
    "writer",
)  # ML-1M's README; code 0 is "other or not specified"


def read_users(path: Path, counts: Counts, *, skip_bad: bool = False) -> dict[str, str]:
    """Source user id -> profile, of ML-1M's users.dat or a RecBole `.user` file."""
    atomic = path.suffix == ".user"
    if atomic:
        check_header(path, ("user_id", "age", "gender", "occupation"))
    parse = parse_atomic_profile if atomic else parse_profile
    kind, profiles = f"users ({path.name})", {}
    for line, (user, profile) in parse_lines(path, parse, counts, kind, skip_bad=skip_bad, header=atomic):
        if user in profiles:
            if not skip_bad:
                raise file_error(path, f"user {user} occurs twice", line)
            counts.drop(kind, "broken row", f"{path.name}:{line}")
            continue
        profiles[user] = profile
        counts.keep(kind)
    return profiles


def parse_profile(line: str) -> tuple[str, str]:
    """A line of users.dat -> (user, profile); age and occupation are codes of ML-1M's README."""
    user, gender, age, occupation = parse_user(line)
    if age not in _AGES or not 0 <= occupation < len(OCCUPATIONS):
        raise ValueError(f"unknown age code {age} or occupation code {occupation}")
    return user, profile_of(f"{_AGES[age]} years old", gender_of(gender), OCCUPATIONS[occupation])


def parse_atomic_profile(line: str) -> tuple[str, str]:
    """A line of a `.user` file -> (user, profile)."""
    parts = [part.strip() for part in line.split("\t")]
    if len(parts) < 4 or not parts[0]:
        raise ValueError(f"expected user_id, age, gender and occupation separated by tabs, got {len(parts)} fields")
    occupation = "" if parts[3] in OTHER else parts[3]
    return parts[0], profile_of(f"{integer(parts[1], 'age')} years old", gender_of(parts[2]), occupation)


def age_group(age: int) -> str:
    """Of ML-1M's groups, the one of an age in years.

    >>> age_group(17), age_group(34), age_group(80)
    ('under 18', '25-34', '56 or more')
    """
    return _AGES[max(start for start in _AGES if start <= max(age, 1))]


def gender_of(text: str) -> str:
    """ "female" or "male" of a word or letter; "" where it is neither."""
    return next((gender for gender, words in _GENDERS.items() if text.casefold() in words.split()), "")


def profile_of(*parts: str) -> str:
    """The parts that are known, with commas between them."""
    return ", ".join(filter(None, parts))
