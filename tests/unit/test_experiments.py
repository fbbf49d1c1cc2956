"""Experiments: a mistake in a file is reported with its key and what would be right, when the file is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.experiments.loading import FOLDER, load_experiment

GOOD = """
name: Wine
seed: 7
models:
  - {label: cultivar, kind: multiclass, learner: random forest}
  - {label: alcohol, kind: regression, learner: ridge, input: input2}
parameters: {Number of trees: 40, Fraction of rows for training: 0.7}
"""


def test_an_experiment_is_read_with_its_ports(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(GOOD)
    experiment = load_experiment(file)
    assert experiment.parameters == {"Number of trees": "40", "Fraction of rows for training": "0.7"}
    first, second = experiment.parts()
    assert (first.resource, first.model, first.evaluation, first.scored) == (
        "Wine [trained model]",
        *("output1", "output2", "output3"),
    )
    assert (second.resource, second.model, second.scored) == ("Wine [trained model] 2", "output4", "output6")


def test_an_experiment_with_an_import_data_module_has_no_input_port(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace("seed: 7", "seed: 7\nimport: Path").replace("{Number", "{Path: a/b*.csv, Number"))
    experiment = load_experiment(file)
    assert (experiment.imports, experiment.inputs) == ("Path", [])
    file.write_text(GOOD)
    assert load_experiment(file).inputs == ["input1"]


@pytest.mark.parametrize("name", [file.stem for file in FOLDER.glob("*.yaml")])
def test_every_experiment_that_comes_with_the_studio_loads(name: str) -> None:
    assert load_experiment(name).models


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("random forest", "forest", "models[0].learner: 'forest' is not a learner for multiclass; those are: logistic"),
        (
            "learner: ridge",
            "learner: logistic regression",
            "models[1].learner: 'logistic regression' is not a learner for",
        ),
        ("kind: multiclass", "kind: many", "$.models[0].kind`; the kinds are two-class, multiclass, regression"),
        ("label: alcohol", "label: cultivar", "models[1].label: another model predicts 'cultivar' already"),
        (
            "Number of trees",
            "Trees",
            "parameters: 'Trees' is not a parameter of its learners; those are: Fraction of rows",
        ),
        ("40", "many", """parameters: "Number of trees" must be a whole number from 1 to 1000; it is 'many'"""),
        ("0.7", "7", 'parameters: "Fraction of rows for training" must be a number from 0.1 to 0.9'),
        ("0.7", "[1]", "Expected `str`, got `array` - at `$.parameters"),
        ("seed: 7", "seed: 7\nimport: Path", "import: 'Path' is not one of its parameters; give it there with a path"),
        ("seed: 7", "seed: -1", "seed: -1 is not a number from 0 to"),
        ("seed: 7", "seed: x", "Expected `int`, got `str` - at `$.seed`"),
        ("seed: 7", "", "missing required field `seed`"),
        ("input: input2", "inputs: input2", "unknown field `inputs` - at `$.models[1]`"),
        (GOOD, "models: [}", "while parsing"),
        (GOOD, "", "Expected `object`, got `null`"),
        (GOOD, "{name: a, seed: 1, models: []}", "models: the list is empty"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_would_be_right(
    tmp_path: Path, right: str, wrong: str, says: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(right, wrong))
    with pytest.raises(ValueError) as refused:
        load_experiment(file)
    assert str(file) in str(refused.value)
    assert says in str(refused.value)


def test_a_missing_experiment_is_reported_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'vine' does not exist.*breast-cancer, breast-cancer-folder, diabetes, wine, wine-cellar"
    ):
        load_experiment("vine")
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(ValueError, match="directory"):
        load_experiment(folder)
