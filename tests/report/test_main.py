"""The command: what it prints, and what it refuses before it reads anything."""

from __future__ import annotations

import pytest

from rerec_engine.errors import UserError
from rerec_engine.report.__main__ import main


@pytest.mark.slow
def test_the_page_is_written_where_it_is_asked_for_and_its_path_printed(make_run, tmp_path, capsys):
    run, output = str(make_run()), tmp_path / "both.html"
    main([run, run, "--output", str(output)])
    assert capsys.readouterr().out == f"{output}\n"
    assert output.stat().st_size < 1_000_000


def test_a_folder_that_is_no_run_is_named(tmp_path):
    message = rf"^{tmp_path}: no config\.yaml there; expected a run directory \(train's --output\)$"
    with pytest.raises(UserError, match=message):
        main([str(tmp_path)])


def test_one_or_two_runs_are_taken():
    with pytest.raises(UserError, match=r"^one or two run directories, got 3$"):
        main(["a", "b", "c"])
    with pytest.raises(UserError, match="required: RUN_DIR"):
        main([])
