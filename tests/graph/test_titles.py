"""The normalisation's specification, and C++ held to it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine import _core
from rerec_engine.graph import titles

PIECES = [
    "Usual Suspects, The", "Haine, La", "L'", "l’", "(1995)", "[1984 film]", "(a.k.a. Leon)", "(aka: X)", "(Se7en)",
    "Part", "part", "ii", "III", "one", "Two", "i", "Episode", "the ", "A ", "&", "'s", "’s", "½", "³", "Ⅲ", "é",
    "e\u0301", "ß", "Æ", "日本", "・", "Ж", "й", "😀", "™", "\u200b", "\ufffd", "(", ")", "[", "]", ",", ";", "-",
    "(TV Series, 2014)", "(2017 TV Movie)", "[Stanley Kubrick, 1968]", "(TV 2010–present)", "（1995）", "［1995年］",
    "【1995】", "〔", "（Ｓｅ７ｅｎ）", "，", "、", "１９９５", "1995年", "1995년", "　", "eleven", "XIX", "twenty",
    "thirty", "third", "(a remake of X, 1968)", "(1990s)", "(X 1968)", "(not 1968 or 2014)", "TV", "film", "1968",
    "2014", " ", "\t", "\n", "7", "2010", "İ", "ŉ", "Ａ", "ﬁ", "\u0345", "ᾳ", "µ", "ǅ", "\x00",
]  # fmt: skip
title_like = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join)
texts = st.text(max_size=30) | title_like


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Misérables, Les (1995)", "miserables les 1995"),
        ("Alien³", "alien 3"),
        ("8½ Women", "8 1 2 women"),
        ("Thelma & Louise", "thelma and louise"),
        ("  Rock 'n' Roll!  ", "rock n roll"),
        ("Smørrebrød Straße Œuvre Łódź", "smorrebrod strasse oeuvre lodz"),
        ("千と千尋の神隠し", "千と千尋の神隠し"),
        ("Иван Грозный", "иван грозныи"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("LEGO™ \u200bMovie\ufe0f 🎬", "lego movie"),
        ("...!?", ""),
        ("a\x00b\ufffdc", "a b c"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert titles.normalise(text) == expected
    assert titles.normalise(unicodedata.normalize("NFD", text)) == expected


def test_words_know_capitals_possessives_and_bracketed_years() -> None:
    found = titles.words("Fargo's plot, the 'It' (1990) and 1990")
    assert [w.text for w in found] == ["fargos", "plot", "the", "it", "1990", "and", "1990"]
    assert [w.stem for w in found if w.stem != w.text] == ["fargo"]
    assert [w.text for w in found if w.upper] == ["fargos", "it"]
    assert [w.year for w in found] == [False] * 4 + [True, False, False]


@pytest.mark.parametrize(
    ("title", "name", "year", "tail"),
    [
        ("Usual Suspects, The (1995)", "Usual Suspects, The", 1995, ""),
        ("Associate, The (L'Associe)(1982)", "Associate, The (L'Associe)", 1982, ""),
        ("Gladiator (2000 film).", "Gladiator", 2000, ""),
        ("Brazil (1985) Director's Cut", "Brazil", 1985, "Director's Cut"),
        ("Nineteen (1984) (1995)", "Nineteen (1984)", 1995, ""),
        ("(1984)", "(1984)", 0, ""),
        ("2001: A Space Odyssey", "2001: A Space Odyssey", 0, ""),
        ("Space (2001: A Space Odyssey)", "Space (2001: A Space Odyssey)", 0, ""),
        ("Fargo (TV Series, 2014)", "Fargo", 2014, ""),
        ("The Full Monty (2017 TV Movie) - a revival", "The Full Monty", 2017, "- a revival"),
        ("La Femme Nikita (TV 1997)", "La Femme Nikita", 1997, ""),
        ("2001: A Space Odyssey (Stanley Kubrick, 1968)", "2001: A Space Odyssey", 1968, ""),
        ("The Walking Dead (TV series, 2010–present)", "The Walking Dead", 2010, ""),
        ("House of Cards (2013-2018)", "House of Cards", 2013, ""),
        ("Ghost in the Shell [1995 anime]", "Ghost in the Shell", 1995, ""),
        ("Fargo (1996) (TV Series, 2014)", "Fargo", 1996, "(TV Series, 2014)"),
        ("東京物語（1953）", "東京物語", 1953, ""),
        ("東京物語［１９５３］", "東京物語", 1953, ""),
        ("東京物語【1953年】", "東京物語", 1953, ""),
        ("살인의 추억 (2003년)", "살인의 추억", 2003, ""),
        ("東京物語（小津安二郎、1953年）", "東京物語", 1953, ""),
    ],
)
def test_split_title(title: str, name: str, year: int, tail: str) -> None:
    assert titles.split_title(title) == (name, year, tail)


@pytest.mark.parametrize(
    "title",
    [
        "Class Reunion (Class of 1984)",
        "Summer (Indian Summer 1993)",
        "Blade Runner (Director's Cut 2007)",
        "All Quiet on the Western Front (2022 or 1930)",
        "Toy Story series (1995, 1999, 2010, 2019)",
        "Napoléon (1927, Restoration 1981)",
        "Spiders, The (Die Spinnen, 1. Teil: Der Goldene See)",
        "Oliver Reed's Top Movies (1950s-1990s)",
        "Napoléon (1927, TV 1981)",
        "Psycho (a remake of Psycho, 1960)",
        "Psycho (Hitchcock 1960)",
        "Blake's 7 (TV series, 1066)",
        "Runner (Blade Runner, 2049)",
        "(TV Series, 2014)",
    ],
)
def test_titles_without_year(title: str) -> None:
    assert titles.split_title(title) == (title, 0, "")


@pytest.mark.parametrize(
    ("inner", "year"),
    [
        ("1960, Alfred Hitchcock", 1960),
        ("directed by Alfred Hitchcock in 1960", 1960),
        ("1998 remake of the 1960 film", 1998),
        ("1960-1962", 1960),
        ("2014 to 2019", 2014),
        ("1960年のアメリカ映画", 1960),
        ("Blade Runner 2049", 0),
        ("room 1408", 0),
        ("Hitchcock", 0),
        ("the 1960 film's remake", 1960),
        ("a remake of the 1960 film", titles.UNCLEAR),
        ("neither of 1960 nor 1998", titles.UNCLEAR),
        ("1960 or 1998", titles.UNCLEAR),
        ("1995, 1999, 2010", titles.UNCLEAR),
        ("1960s", titles.UNCLEAR),
        ("the early 60s", titles.UNCLEAR),
        ("1960, of the 50s", 1960),
    ],
)
def test_told_years(inner: str, year: int) -> None:
    assert titles.told_year(inner) == year


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Heat 1995", ("Heat", 1995)),
        ("Heat, from 1995", ("Heat,", 1995)),
        ("Heat – 1995 Film.", ("Heat –", 1995)),
        ("Café 1995", ("Café", 1995)),
        ("Heat in 1995", ("Heat in", 1995)),
        ("Heat 1995 was", ("", 0)),
        ("Heat'1995", ("", 0)),
        ("Heat é1995", ("", 0)),
        ("Blade Runner 2049", ("", 0)),
        ("1995", ("", 0)),
        ("from 1995", ("", 0)),
        ("", ("", 0)),
    ],
)
def test_bare_years(title: str, found: tuple[str, int]) -> None:
    assert titles.bare_year(title) == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Usual Suspects, The", "the usual suspects"),
        ("Haine, La", "La Haine"),
        ("Associe, L'", "L'Associé"),
        ("Godfather: Part II, The", "The Godfather 2"),
        ("Three Men and a Baby", "3 men & a baby"),
        ("History of the World: Part I", "History of the World, Part 1"),
        ("Rocky III", "Rocky 3"),
        ("Ocean's Eleven", "Oceans XI"),
        ("Chapter Nineteen", "Chapter XIX"),
        ("Rocky Twenty", "Rocky XX"),
        ("Twenty-Eight Days Later", "28 Days Later"),
        ("Forty-Year-Old Virgin, The", "The 40 Year Old Virgin"),
        ("Thirteenth Floor, The", "The 13th Floor"),
        ("東京物語，The", "The 東京物語"),
    ],
)
def test_loose_keys_agree(one: str, other: str) -> None:
    assert titles.loose_key(one) == titles.loose_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ten", "10"),
        ("Nine", "9"),
        ("Her", "Hero"),
        ("Argo", "Fargo"),
        ("Scary Movie 2", "Scary Movie"),
        ("I, Robot", "1 Robot"),
        ("Twenty-One", "21"),
        ("xXx Returns", "30 Returns"),
        ("Thirteenth Floor", "13 Floor"),
    ],
)
def test_loose_keys_differ(one: str, other: str) -> None:
    assert titles.loose_key(one) != titles.loose_key(other)


def test_english_articles() -> None:
    names = ("The Heat", "Heat, The", "a separation", "An", "Heat", "L'Avventura", "Das Boot")
    assert [titles.english_article(name) for name in names] == ["the", "the", "a", "", "", "", ""]


def test_forms() -> None:
    assert titles.forms("Seven (Se7en)") == ["Seven (Se7en)", "Seven  ", "Se7en"]
    assert titles.forms("Professional, The (a.k.a. Leon: The Professional)")[2:] == [
        "Leon: The Professional",
        "Professional, The (Leon: The Professional)",
    ]
    assert titles.forms("(500) Days of Summer") == ["(500) Days of Summer"]
    assert titles.forms("Nineteen (1984)") == ["Nineteen (1984)", "Nineteen  "]


@given(texts)
def test_cpp_words_equal_the_specification(text: str) -> None:
    assert _core.words(text) == [tuple(word) for word in titles.words(text)]


@given(st.binary(max_size=40) | texts.map(lambda text: text.encode()[:-1]))
def test_cpp_reads_invalid_utf8_as_python_replaces_it(data: bytes) -> None:
    assert _core.words(data) == _core.words(data.decode("utf-8", "replace"))


def test_every_character_of_the_folded_blocks() -> None:
    for first, last in titles.FOLDED:
        for code in range(first, last + 1):
            text = f"a{chr(code)}b"
            assert _core.words(text) == [tuple(word) for word in titles.words(text)], hex(code)


@given(texts)
def test_cpp_title_forms_equal_the_specification(title: str) -> None:
    name, year, tail = _core.split_title(title)
    assert (name.decode(), year, tail.decode()) == titles.split_title(title)
    assert [form.decode() for form in _core.title_forms(title)] == titles.forms(title)
    assert _core.loose_key(title) == titles.loose_key(title)
    assert _core.told_in_brackets(title) == titles.told_in_brackets(title)[0]
    bare, bare_year = _core.bare_year(title)
    assert (bare.decode(), bare_year) == titles.bare_year(title)


@given(texts)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = titles.normalise(text)
    assert titles.normalise(once) == once
