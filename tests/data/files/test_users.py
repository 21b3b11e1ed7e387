from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, read_catalogue
from rerec_engine.data.files.users import age_words
from rerec_engine.data.options import FilesOptions
from rerec_engine.errors import UserError

KIND = "users (users.csv)"


def read(folder: Path, users: str, log: bool = True, **options: Any) -> FileCatalogue:
    """Two items that the users a, b, c and 7 take."""
    (folder / "items.csv").write_text("sku,name\n1,A\n2,B\n")
    (folder / "orders.csv").write_text("customer,sku\na,1\nb,2\nc,1\n7,2\n")
    (folder / "users.csv").write_bytes(users.encode())
    logs = (folder / "orders.csv",) if log else ()
    found = read_catalogue(FileSources(folder / "items.csv", logs, users=folder / "users.csv"), FilesOptions(**options))
    found.counts.check()
    return found


def test_a_shops_customers(tmp_path: Path) -> None:
    """Columns guessed, those that say nothing of a person left out; who takes nothing is counted."""
    users = (
        "id,customer,Age,Sex,Job,Country,zip\n1,a,34,F,nurse,France,1\n2,b,17.0,male,other,,2\n3,z,40,M,x,UK,3\n"
        "4,7,0,,none,NA,5\n5,c,,diverse,Baker; and cook,Germany,4\n"
    )
    found = read(tmp_path, users)
    assert dict(zip(found.user_ids, found.knowledge.profiles, strict=True)) == {
        "a": "25-34 years old, female, nurse, from France",
        "b": "under 18 years old, male",
        "c": "Baker; and cook, from Germany",
        "7": "",
    }
    assert found.counts.to_json()["rows"][KIND] == {  # type: ignore[index]
        "read": 5, "kept": 3, "dropped": {"says nothing": 1, "without interactions": 1}
    }  # fmt: skip
    assert found.counts.notes["ages that are none"] == 1
    (told,) = [lines for name, lines in found.told.items() if name.startswith("users")]
    assert ("customer", "id (guessed from the name)") in told
    assert ("zip", "left out: no part of a profile") in told


def test_columns_as_told(tmp_path: Path) -> None:
    found = read(tmp_path, "a\t34\tf\nb\t2\tm\n", user_columns=("id=1", "gender=3"))
    assert found.knowledge.profiles == ["female", "male", "", ""]
    with pytest.raises(UserError, match=r"users.csv: --user-columns: 'shoe' is none of id, age, gender, occ"):
        read(tmp_path, "a\t34\tf\nb\t2\tm\n", user_columns=("id=1", "shoe=2"))


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ("customer,age\na,1\nb,2\na,3\n", r"users.csv:4: id a occurs twice"),
        ("customer,age\na,1\n,2\n", r"users.csv:3: no id"),
        ("name,age\na,1\n", r"users.csv: which column is the id\? Say so with --user-columns id=COLUMN"),
    ],
)
def test_broken_rows(tmp_path: Path, users: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, users)
    if "which" not in message:
        found = read(tmp_path, users, skip_bad=True)
        assert found.counts.dropped(KIND) == {"broken row": 1}
        assert found.knowledge.profiles[0] == "under 18 years old"


def test_users_need_a_log(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--users needs --interactions"):
        read(tmp_path, "customer,age\na,1\n", log=False)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("34.0", "25-34 years old"),
        ("56", "56 or more years old"),
        ("18-24", "18-24 years old"),
        ("45 to 49 years", "45-49 years old"),
        ("<25", "under 25 years old"),
        ("0", ""),
        ("1987", ""),
        ("-3", ""),
        ("forty", ""),
    ],
)
def test_ages(cell: str, words: str) -> None:
    assert age_words(cell) == words
