"""`pipelines.yaml` with Azure Machine Learning v2: a mistake names the key, what is wrong and what would be right."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from shared.base.errors import BadConfiguration
from shared.configuration.azureml import notes
from shared.configuration.file import schema
from shared.configuration.loading import load_pipelines
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining, ChampionScored, ShareSettings
from tests.support.azureml_entries import (
    NAME,
    ROOT,
    SAMPLE,
    SETTINGS,
    WORKSPACE,
    load,
    one,
    put,
    refused,
    sample,
)

JOB: dict[str, Any] = {
    "command": "python train.py ${{inputs.data}}",
    "environment": "azureml:sklearn:1",
    "inputs": {"data": {"type": "uri_file"}, "c": 0.5},
    "outputs": {"model": {"type": "mlflow_model"}, "scored": {"type": "uri_folder"}},
}


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rows.csv").write_text("mean radius,mean texture\n1,2\n")
    return deepcopy(sample()) | {"proof": {"rows": "rows.csv"}}


def test_the_sample_is_valid() -> None:
    pipeline = load_pipelines(SAMPLE, SETTINGS)[NAME]
    training, [target] = pipeline.training, pipeline.targets
    assert isinstance(training, AzureMLTraining)
    assert isinstance(target, AzureMLOnlineTarget)
    assert training.where == f"https://management.azure.com{WORKSPACE}"
    assert training.outputs == ("model", None, "scored", None)
    assert training.scored_columns == {"Scored Labels": "prediction", "Scored Probabilities": "probability"}
    assert pipeline.share == ShareSettings(steps=[10, 50, 100])
    assert (training.copies, training.folder, target.stages, target.batch_output) == (True, None, True, None)


def test_the_sample_is_valid_by_the_schema_and_a_mistake_is_not(entry: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema())
    assert not list(validator.iter_errors({"pipelines": {NAME: entry}}))
    entry["training"]["kind"] = "studio"
    assert list(validator.iter_errors({"pipelines": {NAME: entry}}))


def test_targets_that_stage_have_steps_of_the_traffic_without_any_being_written(
    entry: dict[str, Any], tmp_path: Path
) -> None:
    del entry["share"]
    found = one(tmp_path, entry)
    assert found.share == ShareSettings()
    assert any(
        "gets all calls in one step" in note and "share.steps: [10, 50, 100]" in note for note in notes(found, None)
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("training.kind", "aml", ".training.kind: Invalid value 'aml'; write one of: studio, azureml"),
        ("training.kind", None, ".training.workspace: is not a key here; known keys: address, cancel_late, eval"),
        ("training.workspace", "${ARM}/w", ".training.workspace: Missing setting: ARM"),
        ("training.workspace", WORKSPACE.replace("Services", ""), ".training.workspace: '/subscriptions/s/resourceGro"),
        ("training.parameters", {"data": "x"}, ".training.parameters.data: is the input that gets the data; remove it"),
        ("training.parameters", {"a b": "x"}, ".training.parameters.a b: is 'a b', which is not a name of the service"),
        ("training.datastore", "a/b?c", ".training.datastore: is 'a/b?c', which is not a name of the service; it has"),
        ("training.compute", "cpu/../x", ".training.compute: is 'cpu/../x', which is not a name of the service"),
        ("training.model.output", "a b", ".training.model.output: is 'a b', which is not a name of the service"),
        ("training.data", "", ".training.data: is '', which is not a name of the service"),
        ("training.metrics", {"AUC": " "}, ".training.metrics.AUC: is empty; write the metric's name in the run"),
        ("targets.0.model", "a/../../x", ".targets[0].model: is 'a/../../x', which is not a name of the service"),
        ("targets.0.scoring", {"form": "json", "body": '{"a": {rows}'}, ".targets[0].scoring.body: is not JSON once"),
        ("training.component", None, ".training: needs a component or a job, and not both"),
        ("training.component", "train", ".training.component: is 'train'; write NAME:VERSION, so that each job runs"),
        (
            "training.component",
            "azureml:train@latest",
            ".training.component: is 'azureml:train@latest'; write NAME:VER",
        ),
        ("training.compute", None, ".training: needs compute (a cluster) or serverless (an instance type), and not bo"),
        ("training.serverless", "Standard_DS3_v2", ".training: needs compute (a cluster) or serverless (an instance"),
        ("training.key", "k" * 40, ".training.key: is not a key here: the app's identity is used, and no secret is "),
        ("targets.0.token", "t", ".targets[0].token: is not a key here: the app's identity is used, and no secret is"),
        ("targets.0.scoring.key", "k", ".targets[0].scoring.key: is not a key here: the app's identity is used"),
        ("training.evaluation", "output2", ".training.evaluation: is not a key here; known keys: address, cancel_la"),
        ("training.scored.labels", "x", ".training.scored.labels: is not a key here; did you mean 'label'?"),
        ("training.scored.label", "probability", ".training.scored: names the column 'probability' twice"),
        ("training.scored.probabilities", {"a": "p0", "b": "p1"}, ".training.scored: has 'probability', for two cla"),
        ("training.scored.file", "../scored.csv", ".training.scored.file: is '../scored.csv'; write the name of a "),
        ("training.champion", {"scored": "scored"}, ".training.champion.scored: is 'scored', which is the output of"),
        ("training.champion", {"scored": "model"}, ".training.champion.scored: is 'model', which is the output of t"),
        ("training.champion", {"input": "data"}, ".training.champion.input: is 'data', which is also the data's or "),
        ("training.champion", {"input": "a b"}, ".training.champion.input: is 'a b', which is not a name of the ser"),
        ("training.champion", {"datastore": "a/b"}, ".training.champion.datastore: is 'a/b', which is not a name of"),
        ("training.champion", {"output": "x"}, ".training.champion.output: is not a key here; known keys: datastor"),
        ("training.scored.output", "model", ".training.scored.output: is 'model', which is the output of the model"),
        ("training.metrics", {"AUCC": "x"}, ".training.metrics.AUCC: is not a metric of the gate; did you mean 'AUC'?"),
        ("training.metrics", {"F1": "x", "F-Score": "y"}, ".training.metrics.F-Score: names F-Score a second time"),
        (
            "training.metrics",
            {"AUC": "a", "RMSE": "b"},
            ".training.metrics.Root Mean Squared Error: is of regression m",
        ),
        (
            "training.scored",
            {"probabilities": {"malignant": "p1", "benign": "p0"}},
            ".training.scored.probabilities: has the classes malignant, benign, and targets[0].scoring.classes are b",
        ),
        ("training.model.type", "custom_model", ".targets[0].type: is mlflow_model, and training.model.type is custom"),
        ("training.scored.probability", None, ".gate.rules[1]: AUC needs probabilities, and the scored rows have lab"),
        ("targets.0.scoring.answer", "label", ".gate.rules[1]: AUC of the champion needs probabilities, and the end"),
        ("targets.0.scoring.answer", "value", ".targets[0].scoring.answer: is 'value', and the gate's metrics are of"),
        ("targets.0.scoring.classes", None, ".targets[0].scoring.classes: is missing; write the classes in the mod"),
        ("targets.0.scoring.classes", ["a", "a"], ".targets[0].scoring.classes: has 'a' twice"),
        ("targets.0.scoring.body", "{rows}", ".targets[0].scoring.body: is for form: json; remove it, or write that"),
        ("targets.0.scoring", {"form": "json", "body": "{}"}, ".targets[0].scoring.body: has no place for the rows"),
        ("targets.0.endpoint", "9-income", ".targets[0].endpoint: is '9-income'; an endpoint's name has 3 to 32 let"),
        ("targets.0.endpoint", "in--come", ".targets[0].endpoint: is 'in--come'; an endpoint's name has 3 to 32 let"),
        ("targets.0.deployment", {"instances": 0}, ".targets[0].deployment.instances: is 0: Expected `int` >= 1"),
        ("targets.0.deployment", {"environment": "serve"}, ".targets[0].deployment.environment: is 'serve'; write NA"),
        (
            "targets.0.kind",
            "azureml",
            ".targets[0].kind: Invalid value 'azureml'; write one of: classic, new, azureml-",
        ),
        ("share.steps", [10, 50], ".share.steps: are [10, 50]; they must rise, and end with 100: [10, 50, 100]"),
        ("share.steps", [50, 10, 100], ".share.steps: are [50, 10, 100]; they must rise, and end with 100"),
        ("share.steps", [10, 10, 100], ".share.steps: are [10, 10, 100]; they must rise, and end with 100"),
        ("share.steps", [], ".share.steps: "),
        (
            "gate.rules",
            ["Average accuracy >= 0.5"],
            ".training.metrics: lacks Average accuracy, which the gate looks a",
        ),
    ],
)
def test_a_mistake_names_the_key_what_is_wrong_and_what_would_be_right(
    entry: dict[str, Any], tmp_path: Path, path: str, value: object, said: str
) -> None:
    put(entry, path, value)
    assert refused(tmp_path, entry).startswith(said)


def test_a_key_of_another_kind_says_which_kind_has_it(entry: dict[str, Any], tmp_path: Path) -> None:
    entry["training"]["evaluation"] = "output2"
    assert refused(tmp_path, entry).endswith("; it is one of kind: studio")
    del entry["training"]["kind"]
    assert refused(tmp_path, entry).endswith("; it is one of kind: azureml")


def test_a_key_in_the_wrong_place_is_not_shown(entry: dict[str, Any], tmp_path: Path) -> None:
    for path in ("training.key", "targets.0.key", "targets.0.scoring.key", "training.workspace"):
        mistaken = deepcopy(entry)
        put(mistaken, path, "hidden" * 8)
        assert "hidden" not in refused(tmp_path, mistaken)


def test_a_training_and_its_targets_are_of_one_service(entry: dict[str, Any], tmp_path: Path) -> None:
    studio = yaml.safe_load((ROOT / "pipelines.sample.yaml").read_text("utf-8"))["pipelines"]["breast-cancer"]
    for part, value in (("address", "https://studio.example/services/t"), ("key", "k1")):
        studio["training"][part] = value
    mixed = {**entry, "training": studio["training"]}
    assert refused(tmp_path, mixed).startswith(
        ".targets[0].kind: cannot serve a model of a training of kind studio; wri"
    )
    target = {"kind": "classic", "name": "c", "address": "https://studio.example/e", "key": "k", "resource": "r"}
    entry["targets"].append({**target, "scoring": {"services": "https://studio.example"}})
    assert refused(tmp_path, entry) == (
        ".targets[1].kind: cannot serve a model of a training of kind azureml; write azureml-online"
    )
    mixed["targets"] = entry["targets"][1:]
    assert refused(tmp_path, mixed).startswith(
        ".share: is for targets of kind azureml-online; a Studio endpoint has one"
    )


def test_metrics_that_autolog_names_need_no_mapping_and_all_may_have_one(entry: dict[str, Any], tmp_path: Path) -> None:
    entry["training"]["metrics"] = {"f1": "my_f1"}
    training = one(tmp_path, entry).training
    assert training.metrics == {"F-Score": "my_f1"}
    entry["gate"]["rules"] = ["Average accuracy >= 0.5"]
    entry["targets"][0]["scoring"]["classes"] = ["a", "b", "c"]
    entry["training"]["metrics"] = {"Average accuracy": "mean_accuracy"}
    assert one(tmp_path, entry).training.metrics == {"Average accuracy": "mean_accuracy"}


def test_labels_are_enough_for_rules_that_need_no_probabilities(entry: dict[str, Any], tmp_path: Path) -> None:
    del entry["training"]["scored"]["probability"]
    entry["gate"]["rules"] = ["AUC >= 0.9"]  # the run's, which no row is needed for
    entry["targets"][0]["scoring"] = {"answer": "label"}
    one(tmp_path, entry)
    entry["gate"]["rules"] = ["for each sex: Average Log Loss <= 0.5"]
    assert refused(tmp_path, entry).startswith(".gate.rules[0]: Average Log Loss needs probabilities, and the scored")


def test_a_training_that_scores_the_champion_needs_no_probabilities_of_the_endpoint(
    entry: dict[str, Any], tmp_path: Path
) -> None:
    entry["targets"][0]["scoring"] = {"answer": "label"}
    assert "or have the training score the champion too (training.champion)" in refused(tmp_path, entry)
    entry["training"]["champion"] = {"input": "live"}
    training = one(tmp_path, entry).training
    assert isinstance(training, AzureMLTraining)
    assert training.champion == ChampionScored(input="live", datastore="relearn_models")
    assert training.scored_files == {"scored": "scored.csv", "champion_scored": "scored.csv"}
    entry["targets"][0]["workspace"] = f"{WORKSPACE}2"
    assert refused(tmp_path, entry).startswith(".training.champion.datastore: is missing, and the first target is in")
    entry["training"]["champion"]["datastore"] = "kept"
    one(tmp_path, entry)
    entry["gate"]["rules"] = ["AUC >= 0.9"]
    assert refused(tmp_path, entry).startswith(".training.champion: is for rules that compare with the champion on sco")
    del entry["training"]["scored"]
    assert refused(tmp_path, entry).startswith(".training.champion: needs training.scored: both outputs have the same")


def test_two_pipelines_do_not_share_an_endpoint(entry: dict[str, Any], tmp_path: Path) -> None:
    other = deepcopy(entry)
    other |= {"blobs": "other/*.csv"}
    other["targets"][0] |= {"model": "another", "endpoint": "Breast-Cancer"}
    with pytest.raises(BadConfiguration, match="the same model of the same endpoint is the target of"):
        load(tmp_path, breast_cancer=entry, other=other)
    other["targets"][0]["endpoint"] = "other"
    assert len(load(tmp_path, breast_cancer=entry, other=other)) == 2


def write_job(folder: Path, **changed: object) -> None:
    (folder / "train.yml").write_text(yaml.safe_dump({**JOB, **changed}), "utf-8")


@pytest.fixture
def by_job(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with a job file in place of its component."""
    del entry["training"]["component"]
    entry["training"]["job"] = "train.yml"
    return entry


def test_a_job_file_is_beside_the_pipelines_file(by_job: dict[str, Any], tmp_path: Path) -> None:
    training = by_job["training"]
    assert refused(tmp_path, by_job) == (
        ".training.job: train.yml: does not exist; training.job names a file beside the pipelines file"
    )
    for place in ("../train.yml", "/train.yml", "a\\..\\train.yml", "C:train.yml"):
        training["job"] = place
        assert "write the name of a file beside the pipelines file" in refused(tmp_path, by_job)


def test_a_job_file_and_the_entry_name_one_compute(by_job: dict[str, Any], tmp_path: Path) -> None:
    training = by_job["training"]
    write_job(tmp_path, code="azureml:train:3")
    assert one(tmp_path, by_job).training.outputs.model == "model"
    write_job(tmp_path, compute="azureml:cpu")
    assert refused(tmp_path, by_job) == (
        ".training.compute: cannot stand beside the compute that train.yml names; remove one"
    )
    for serverless in ({"compute": "azureml:serverless"}, {"resources": {"instance_count": 1}}):
        write_job(tmp_path, **serverless)
        one(tmp_path, by_job)
    del training["compute"]
    write_job(tmp_path, resources={"instance_type": "Standard_DS3_v2"})
    one(tmp_path, by_job)
    write_job(tmp_path)
    assert refused(tmp_path, by_job).startswith(".training: needs compute (a cluster) or serverless")


def test_a_mistake_of_a_job_file_is_named_with_its_line(by_job: dict[str, Any], tmp_path: Path) -> None:
    training = by_job["training"]
    training["compute"] = "cpu"
    for changed, said in (
        ({"type": "pipeline"}, ".training.job: train.yml:12: 'type' is 'pipeline'; it can be command; publish"),
        (
            {"code": "./src"},
            ".training.job: train.yml:1: 'code' is './src', and the app uploads no file; write azureml:NAME:VERSION",
        ),
        (
            {"environment": "azureml:env@latest"},
            ".training.job: train.yml:2: 'environment' is 'azureml:env@latest'; w",
        ),
        (
            {"environment": {"image": "i", "conda_file": "c.yml"}},
            ".training.job: train.yml:2: 'conda_file' names c.ym",
        ),
        ({"enviroment": "x"}, ".training.job: train.yml:2: 'enviroment' is not a key that is read here; did you mean"),
        ({"command": ""}, ".training.job: train.yml:1: 'command' must be a text"),
        (
            {"inputs": {"data": {"type": "uri_file"}, "more": {"type": "uri_folder"}}},
            ".training.job: train.yml:6: the input 'more' has no path, and no job gets one for it; write its path",
        ),
        ({"inputs": {"Data": 1}}, ".training.data: train.yml has no input 'data'; 'Data' differs in case only; its"),
        ({"outputs": {"model": {}}}, ".training.scored: train.yml has no output 'scored'; its outputs are: model"),
        (
            {"inputs": {"data": 1}, "_champion": {}},
            ".training.champion.input: train.yml has no input 'champion'; its i",
        ),
        ({"outputs": None}, ".training.model: train.yml has no output 'model'; its outputs are: none"),
    ):
        training["champion"] = changed.pop("_champion", None)  # type: ignore[attr-defined]
        write_job(tmp_path, **changed)
        assert refused(tmp_path, by_job).startswith(said)


def test_the_ports_of_a_job_file_fit_the_champion_and_the_parameters(by_job: dict[str, Any], tmp_path: Path) -> None:
    training = by_job["training"]
    training["champion"] = {}
    write_job(tmp_path, inputs={"data": 1, "champion": {"type": "mlflow_model"}})
    assert refused(tmp_path, by_job).startswith(".training.champion.scored: train.yml has no output 'champion_scored'")
    write_job(
        tmp_path,
        inputs={"data": 1, "champion": {"type": "uri_file"}},
        outputs={**JOB["outputs"], "champion_scored": {}},
    )
    assert refused(tmp_path, by_job).startswith(
        ".training.champion.input: train.yml has the input 'champion' of type u"
    )
    del training["champion"]
    write_job(tmp_path)
    training["parameters"] = {"d": "1"}
    assert refused(tmp_path, by_job).startswith(".training.parameters.d: train.yml has no input 'd'")
    (tmp_path / "train.yml").write_bytes(b"command: [\n")
    assert refused(tmp_path, by_job).startswith(".training.job: train.yml: is not YAML")
