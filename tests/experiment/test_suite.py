"""Suites: what a YAML file may say, and the settings that come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.errors import UserError
from rerec_engine.experiment.runner import arm_runs, command_line, open_places, start_key, start_run, start_settings
from rerec_engine.experiment.suite import BUILT_IN, load_suite
from rerec_engine.runs.settings import CONFIGS, read_yaml

PLACES = {"data": Path("D"), "answers": Path("A.parquet"), "starts": Path("S")}
NAMES = sorted(path.stem for path in BUILT_IN.glob("*.yaml") if "{inputs}" not in path.read_text())


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_built_in_suites_are_whole(name):
    suite = load_suite(name, Path("M"))
    assert len(suite.seeds) >= 5
    places = {**open_places(suite), **PLACES}
    runs = arm_runs(suite, Path("OUT"), places, list(suite.arms), (0, 3))
    assert [run.arm for run in runs] == 2 * list(suite.arms)
    for run in runs[len(suite.arms) :]:
        assert run.config.seed == 3
        assert run.config.data.path in {"D", *(str(places[name]) for name in suite.datasets)}
        assert run.config.model.path == "S/seed_3/final"
    assert len({run.path for run in runs}) == len(runs)
    assert command_line(suite, suite.against).startswith("python -m rerec_engine.train --data.path DATA ")
    start = start_run(start_settings(suite, places), places, 3)
    assert (start.config.train.steps, start.config.warm_start.epochs, start.config.model.path) == (0, 1, None)


@pytest.mark.slow
def test_suites_of_the_demo_share_their_warm_starts():
    suites = [load_suite(name, Path("M")) for name in NAMES if name != "lists"]  # other traces
    assert len({start_key(suite) for suite in suites if "movielens" not in suite.data}) == 1


def test_a_suite_of_real_sequences_needs_the_folder():
    with pytest.raises(UserError, match="suite next_item is of real sequences: give movielens"):
        load_suite("next_item")
    assert load_suite("next_item", Path("M")).data["movielens"] == str(Path("M").resolve())


def test_a_suite_of_real_films_takes_model_and_requests_from_its_inputs(tmp_path):
    with pytest.raises(
        UserError, match="suite real is of real data: give --inputs, the folder that holds films and model"
    ):
        load_suite("real")
    suite = load_suite("real", inputs=tmp_path)
    assert suite.data == tmp_path / "films"
    config = suite.config("rerec", {})
    assert config.model.path == str(tmp_path / "model")
    assert config.rollout == read_yaml(CONFIGS / "real.yaml").rollout
    assert suite.config("grpo", {}).advantage.estimator == "grpo"


def test_the_suite_of_products_ranks_its_own_data(tmp_path):
    suite = load_suite("office", inputs=tmp_path)
    runs = arm_runs(suite, Path("O"), PLACES, list(suite.arms), (0,))
    assert [run.config.advantage.estimator for run in runs][1:] == ["grpo", "rank"]
    assert {run.config.reward.k for run in runs} == {5}
    assert {run.measures[:4] for run in runs} == {("--tests", "data=D", "--rank-by", "answers")}


def test_an_unknown_base_is_told(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: nothing\narms: {a: {}}\n")
    with pytest.raises(UserError, match=r"mine\.yaml: base: no settings 'nothing' in the package"):
        load_suite(str(path))


def test_an_arms_settings_come_over_the_suites_over_the_demos(tmp_path):
    suite = load_suite(
        write(
            tmp_path / "mine.yaml",
            "settings: {train: {steps: 7}, optim.learning-rate: 0.5}\n"
            "arms:\n"
            "  plain: {train.steps: 9, curriculum.enabled: false}\n"
            "  taught: {warm_start: {path: '{answers}', epochs: 2}}",
        )
    )
    assert (suite.name, suite.against, len(suite.seeds), suite.data) == ("mine", "plain", 5, {})
    plain, taught = (suite.config(arm, PLACES) for arm in suite.arms)
    assert (plain.train.steps, plain.optim.learning_rate, plain.curriculum.enabled) == (9, 0.5, False)
    assert plain.rollout.responses_per_query == 8  # of the demo
    assert (taught.train.steps, taught.warm_start.path) == (7, "A.parquet")
    runs = arm_runs(suite, Path("O"), PLACES, ["plain", "taught"], (0,))
    assert [run.config.warm_start.epochs for run in runs] == [0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arms: [", "not readable as YAML"),
        ("title: nothing", "expected a mapping with `arms`"),
        ("arms: {a: {}}\nseed: 3", "unknown: seed; known are"),
        ("arms: {a: {}}\nseeds: 0", "seeds: expected how many"),
        ("arms: {a: {}}\nagainst: b", "against: no arm 'b'"),
        ("arms: {a: {}}\njudge: recall@3", "judge: expected accuracy or ndcg@K, got 'recall@3'"),
        ("arms: {a: {train.step: 3}}", "arm a: unknown setting 'train.step'"),
        ("arms: {a: {}}\ndatasets: [b]", "datasets: expected options of `prepare demo` by name"),
        ("arms: {a: {}}\ndata: D\nretention: true", "datasets and retention go with the demo's data alone"),
        ("arms: {a: {}}\ndatasets: {b: {}}\ntests: [b, c]", "tests: expected a list of datasets (data, b)"),
        ("arms: {a: {}}\npermutations: 3", "permutations: expected how many orders of `tests`"),
        ("arms: {a: {}}\nrank_by: scores", "rank_by: there are no `tests` to rank"),
        ("arms: {a: {}}\nlimit: 0", "limit: expected how many queries of a test"),
        ("arms: {a: 3}", "arm a: expected settings by name"),
    ],
)
def test_mistakes_name_the_file(tmp_path, text, message):
    path = write(tmp_path / "suite.yaml", text)
    with pytest.raises(UserError, match=r"suite\.yaml: ") as caught:
        load_suite(path)
    assert message in str(caught.value)


def test_what_is_measured_of_the_suites_own_data(tmp_path):
    text = "arms: {a: {}}\ntests: [data]\nrank_by: votes\nlimit: 7\nsettings: {rollout.max_new_tokens: 9}"
    suite = load_suite(write(tmp_path / "s.yaml", text))
    (run,) = arm_runs(suite, Path("O"), PLACES, ["a"], (0,))
    assert run.measures == ("--tests", "data=D", "--rank-by", "votes", "--limit", "7", "--max-new-tokens", "9")


def test_a_bad_value_names_the_arm(tmp_path):
    suite = load_suite(
        write(tmp_path / "s.yaml", "arms: {a: {optim.learning_rate: -1}, b: {warm_start.path: '{nowhere}'}}")
    )
    for arm, message in (("a", "optim.learning_rate"), ("b", "nowhere")):
        with pytest.raises(UserError, match=f"suite s, arm '{arm}': .*{message}"):
            suite.config(arm, PLACES)


def test_no_such_suite():
    with pytest.raises(UserError, match="no suite 'nothing': give a YAML file or one of ablation, baselines, "):
        load_suite("nothing")
