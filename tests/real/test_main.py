"""The command, from two wheels to a summary, with a tiny model; cut short in between."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from rerec_engine.errors import UserError
from rerec_engine.real import stages
from rerec_engine.real.__main__ import main
from rerec_engine.real.films import FILMS
from rerec_engine.real.packages import MOVIELENS
from rerec_engine.real.summary import STAGES

pandas = pytest.importorskip("pandas", reason="pandas is missing: pip install .[real]")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--train.stepps", "3"], "--train.stepps is not understood .did you mean --train.steps"),
        (["--train.steps", "some"], "--train.steps: expected an integer"),
        (["--data", "data/demo"], "--data: this command sets it"),
        (["--resume", "runs/real"], "--resume: this command sets it"),
    ],
)
def test_mistakes_are_told_before_anything_is_fetched(words, told, tmp_path):
    with pytest.raises(UserError, match=told):
        main(["--output", str(tmp_path / "run"), "--inputs", str(tmp_path / "inputs"), *words])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder with a wheel of ratings: forty users, each of whom saw forty of three hundred of the shipped films."""
    with gzip.open(files("rerec_engine.real").joinpath(FILMS).open("rb"), "rt", encoding="utf-8") as file:
        films = pandas.read_csv(file).sample(300, random_state=0)
    rng, rows = np.random.default_rng(0), []
    for user in range(40):
        for place in rng.choice(len(films), 40, replace=False):
            film = films.iloc[int(place)]
            genres = ["Drama|War", "Comedy", "Drama", "Comedy|Romance"][int(place) % 4]
            rows.append([int(place), film["title"], float(film["year"]), genres, user, 4.0, int(rng.integers(10**9))])
    names = ["movieId", "title", "year", "genres", "userId", "rating", "timestamp"]
    pandas.DataFrame(rows, columns=names).to_pickle(tmp_path / "ratings", compression="xz")
    with zipfile.ZipFile(tmp_path / MOVIELENS.file, "w") as archive:
        archive.write(tmp_path / "ratings", MOVIELENS.member)
    found = hashlib.sha256((tmp_path / MOVIELENS.file).read_bytes()).hexdigest()
    monkeypatch.setattr(stages, "MOVIELENS", replace(MOVIELENS, sha256=found))
    return tmp_path


@pytest.fixture
def model(tiny_policy, tmp_path):
    place = tmp_path / "model"
    tiny_policy("llama", max_position_embeddings=8192).save(place)
    return place


@pytest.mark.slow
def test_from_wheels_to_a_summary(wheels, model, follow, monkeypatch, tmp_path, capsys):
    ran = []

    def run_here(stage):
        ran.append(stage.name)
        stage.product.parent.mkdir(parents=True, exist_ok=True)
        follow(stage.words[0], list(stage.words[1:]))
        stages._note(stage, 2.0, 0.5)

    for name, value in (("REQUESTS", 6), ("VAL_REQUESTS", 4), ("TRAIN_REQUESTS", 8), ("TRACES", 6), ("_run", run_here)):
        monkeypatch.setattr(stages, name, value)
    small = "--data.max-prompt-tokens 6000 --model.dtype fp32 --train.steps 1 --train.queries-per-step 2"
    small += " --train.queries-per-update 2 --rollout.responses-per-query 2 --rollout.max-new-tokens 8"
    places = ["--output", str(tmp_path / "run"), "--inputs", str(tmp_path / "inputs"), "--wheels", str(wheels)]
    words = [*places, "--model", str(model), *small.split()]
    main(words)
    evaluated = ["evaluation of warm_start", "evaluation of final"]
    untrained = ["evaluation of untrained"] * 2
    assert ran == ["films", "films-20", *untrained, "training", *evaluated]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    found = [(own["requests"], own["candidates"], own["stage"], own["n"]) for own in summary["evaluations"]]
    assert found == [("made", count, stage, 6) for count in (10, 20) for stage in STAGES]
    assert summary["peak_memory_gb"] == 0.5
    assert summary["seconds"].items() >= {"training": 2.0, "evaluation of untrained": 4.0}.items()
    assert summary["seconds"]["reinforcement"] > 0
    assert "talk to it: python -m rerec_engine.recommend --model" in capsys.readouterr().out
    ran.clear()
    stages.evaluation_file(tmp_path / "run", "final", "films-20").unlink()
    main(words)
    assert ran == ["evaluation of final"]
