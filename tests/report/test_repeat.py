import pytest
import yaml

from app.config import RunConfig
from app.recipe import load_config
from app.report.repeat import settings_yaml, verbs_of
from tests.report.report_runs import make_config


def test_the_settings_are_a_recipe_that_is_read_back(tmp_path):
    config = make_config(tmp_path / "run")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(settings_yaml(config), "utf-8")
    assert load_config(str(recipe)) == config


def test_a_shipped_recipe_is_read_back(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(settings_yaml(load_config("laptop")), "utf-8")
    assert load_config(str(recipe)) == load_config("laptop")
    assert yaml.safe_load(recipe.read_text("utf-8"))["seed"] == 1


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [({}, ["bootstrap"]), ({"evaluate": None, "train": None, "serve": None}, ["synthesize"])],
)
def test_the_commands_do_all_that_is_asked_for(tmp_path, left_out, expected):
    assert verbs_of(make_config(tmp_path, **left_out)) == expected


def test_a_run_without_documents_has_no_dataset_to_make(tmp_path):
    config = make_config(tmp_path)
    alone = RunConfig(run_dir="r", train=config.train, evaluate=config.evaluate)
    assert verbs_of(alone) == ["train", "evaluate"]
