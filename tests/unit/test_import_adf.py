"""`import-adf`: Data Factory's pipelines become entries that load, and nothing is dropped without a word."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.children import ROOT
from shared.adf.command import import_adf
from shared.adf.translation import blob_pattern, duration
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.pipelines import Pipeline
from shared.domain.services import ClassicTarget, NewTarget

Json = dict[str, Any]
SECRETS = ["TRAINKEY==", "SCOREKEY==", "PRINCIPALKEY=", "STOREKEY==", "PASSWORD1", "PARAMKEY=="]
TRAINING = "https://ussouthcentral.services.azureml.net/workspaces/w1/services/t1"
SCORING = "https://ussouthcentral.services.azureml.net/workspaces/w1/services/s1"
PATCH = "https://management.azureml.net/workspaces/w1/webservices/p1/endpoints/retrained"
ARM_ID = "/subscriptions/11-22/resourceGroups/ml/providers/Microsoft.MachineLearning/webServices/income"
MODEL = "Training Exp for ADF ML [trained model]"
MEANT = {"RULE": "AUC >= 0.85", "ROWS_FILE": "rows.csv", "EVALUATION_PORT": "output2", "BLOBS": "income/*.csv"}
MEANT |= {"MODEL_PORT": "output1", "TRAINED_MODEL": "Income [trained model]"}


def reference(name: str, kind: str = "LinkedServiceReference") -> Json:
    return {"referenceName": name, "type": kind}


def secure(value: str) -> Json:
    return {"type": "SecureString", "value": value}


def service(name: str, **members: object) -> Json:
    return {"name": name, "properties": {"type": "AzureML", "typeProperties": members}}


def pipeline(name: str, *activities: Json, **properties: object) -> Json:
    return {"name": name, "properties": {"activities": list(activities), **properties}}


def blob(path: str) -> Json:
    return {"LinkedServiceName": reference("StorageLinkedService"), "FilePath": path}


def v1_data_set(name: str, **inside: object) -> Json:
    properties = {
        "type": "AzureBlob",
        "linkedServiceName": "StorageLinkedService",
        "typeProperties": {**inside, "format": {"type": "TextFormat"}},
        "availability": {"frequency": "Week", "interval": 1},
    }
    return {"name": name, "properties": properties}


STORAGE = {
    "name": "StorageLinkedService",
    "properties": {
        "type": "AzureStorage",
        "typeProperties": {"connectionString": "DefaultEndpointsProtocol=https;AccountName=n;AccountKey=STOREKEY=="},
    },
}


def v1() -> dict[str, Json]:
    """The forms of version 1: names of data sets, keys in plain text, a placeholder output."""
    retraining = {
        "name": "retraining",
        "type": "AzureMLBatchExecution",
        "inputs": [{"name": "trainingData"}],
        "outputs": [{"name": "trainedModelBlob"}, {"name": "evaluationBlob"}],
        "linkedServiceName": "trainingEndpoint",
        "typeProperties": {
            "webServiceInputs": {"census": "trainingData"},
            "webServiceOutputs": {"output2": "trainedModelBlob", "output1": "evaluationBlob"},
            "globalParameters": {"Account name": "mystore", "Number of trees": 8},
        },
        "policy": {"concurrency": 1, "retry": 1, "timeout": "02:00:00"},
    }
    updating = {
        "name": "AzureML Update Resource",
        "type": "AzureMLUpdateResource",
        "inputs": [{"name": "trainedModelBlob"}],
        "outputs": [{"name": "placeholderBlob"}],
        "linkedServiceName": "updatableScoringEndpoint",
        "typeProperties": {"trainedModelName": MODEL, "trainedModelDatasetName": "trainedModelBlob"},
    }
    partitions = [{"name": "month", "value": {"type": "DateTime", "date": "SliceStart", "format": "yyyyMM"}}]
    scoring = {"mlEndpoint": f"{SCORING}/jobs?api-version=2.0", "apiKey": "SCOREKEY==", "updateResourceEndpoint": PATCH}
    return {
        "pipeline.json": pipeline("incomePipeline", retraining, updating, start="2015-02-13T00:00:00Z"),
        "training.json": service("trainingEndpoint", mlEndpoint=f"{TRAINING}/jobs", apiKey="TRAINKEY=="),
        "scoring.json": service("updatableScoringEndpoint", **scoring),
        "storage.json": STORAGE,
        "data.json": v1_data_set(
            "trainingData", folderPath="labeled/income/{month}", fileName="{month}.csv", partitionedBy=partitions
        ),
        "model.json": v1_data_set("trainedModelBlob", folderPath="out", fileName="model.ilearner"),
        "evaluation.json": v1_data_set("evaluationBlob", folderPath="out", fileName="evaluation.csv"),
        "placeholder.json": v1_data_set("placeholderBlob", folderPath="any"),
    }


def v2_batch(name: str = "train", **more: object) -> Json:
    inside: Json = {
        "webServiceInputs": {"input1": blob("labeled/income/november.csv")},
        "webServiceOutputs": {"output1": blob(f"out/{name}.ilearner"), "output2": blob("out/evaluation.csv")},
        "globalParameters": {},
    }
    return {
        "name": name,
        "type": "AzureMLBatchExecution",
        "dependsOn": [],
        "policy": {"timeout": "1.12:00:00", "retry": 0},
        "linkedServiceName": reference("trainingEndpoint"),
        "typeProperties": inside | more,
    }


def v2_update(name: str = "update", takes: str = "out/train.ilearner", model: object = MODEL, to: str = "new") -> Json:
    inside = {
        "trainedModelName": model,
        "trainedModelLinkedServiceName": reference("StorageLinkedService"),
        "trainedModelFilePath": takes,
    }
    return {
        "name": name,
        "type": "AzureMLUpdateResource",
        "dependsOn": [{"activity": "train", "dependencyConditions": ["Succeeded"]}],
        "linkedServiceName": reference(f"{to}Endpoint"),
        "typeProperties": inside,
    }


def v2(*activities: Json, **properties: object) -> dict[str, Json]:
    """The forms of version 2: references, secure strings, files of a storage, a New web service."""
    new = {
        "mlEndpoint": "https://ussouthcentral.services.azureml.net/subscriptions/1122/services/n1/jobs?api-version=2.0",
        "apiKey": secure("SCOREKEY=="),
        "updateResourceEndpoint": f"https://management.azure.com{ARM_ID}?api-version=2016-05-01-preview.",
        "servicePrincipalId": "fe20",
        "servicePrincipalKey": secure("PRINCIPALKEY="),
        "tenant": "mycompany.com",
    }
    classic = {"mlEndpoint": f"{SCORING}/jobs", "apiKey": secure("SCOREKEY=="), "updateResourceEndpoint": f"{PATCH}."}
    return {
        "pipeline.json": pipeline("Income", *(activities or (v2_batch(), v2_update())), **properties),
        "training.json": service("trainingEndpoint", mlEndpoint=f"{TRAINING}/jobs/", apiKey=secure("TRAINKEY==")),
        "new.json": service("newEndpoint", **new),
        "classic.json": service("classicEndpoint", **classic),
        "storage.json": STORAGE,
    }


def exported() -> Json:
    """A whole factory as the portal exports it: an ARM template with parameters for what is secret or differs."""

    def resource(kind: str, artefact: Mapping[str, Any]) -> Json:
        name = f"[concat(parameters('factoryName'), '/{artefact['name']}')]"
        return {"name": name, "type": f"Microsoft.DataFactory/factories/{kind}", "properties": artefact["properties"]}

    files = v2(
        v2_batch(globalParameters={"Note": "[[kept]", "Query": "[concat('a', uniqueString('b'))]"}),
        v2_update(model="Income [trained model]"),
    )
    training = service(
        "trainingEndpoint",
        mlEndpoint="[parameters('trainingEndpoint_mlEndpoint')]",
        apiKey=secure("[parameters('trainingEndpoint_apiKey')]"),
    )
    trigger = {"name": "Weekly", "properties": {"type": "ScheduleTrigger", "pipelines": [], "typeProperties": {}}}
    return {
        "$schema": "http://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "factoryName": {"type": "string"},
            "trainingEndpoint_apiKey": {"type": "secureString", "defaultValue": "TRAINKEY=="},
            "trainingEndpoint_mlEndpoint": {"type": "string", "defaultValue": f"{TRAINING}/jobs"},
        },
        "variables": {"factoryId": "[concat('Microsoft.DataFactory/factories/', parameters('factoryName'))]"},
        "resources": [
            resource("pipelines", files["pipeline.json"]),
            resource("linkedServices", training),
            resource("linkedServices", files["new.json"]),
            resource("linkedServices", STORAGE),
            resource("triggers", trigger),
        ],
    }


class Outcome:
    """What an import gave: exit code, stdout, stderr; and the pipelines once everything asked for is filled in."""

    def __init__(self, folder: Path, code: int, out: str, said: str) -> None:
        self.folder, self.code, self.out, self.said = folder, code, out, said

    @property
    def entries(self) -> Json:
        found: Json = yaml.safe_load(self.out)["pipelines"]
        return found

    def filled(self) -> dict[str, Pipeline]:
        """Load the output as a user would: fill-ins replaced in the text, each setting made that the report names."""
        text = re.sub(r"\$\{FILL_IN_(\w+)\}", lambda sign: MEANT.get(sign[1], "filled"), self.out)
        named = re.findall(r"^  ([A-Z0-9_]+): ", self.said, re.MULTILINE)
        values = {name: f"https://h/{name}" if name.endswith("ADDRESS") else f"value-of-{name}" for name in named}
        (self.folder / "rows.csv").write_text("age\n30\n", "utf-8")
        file = self.folder / "filled.yaml"
        file.write_text(text, "utf-8")
        return load_pipelines(file, Settings(values))


class Import:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def of(self, files: Mapping[str, object], into: Path | None = None) -> Outcome:
        paths = [self.folder / name for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return self.paths(paths, into)

    def paths(self, paths: list[Path], into: Path | None = None) -> Outcome:
        code = import_adf(paths, into)
        out, said = self.capsys.readouterr()
        assert not [secret for secret in SECRETS if secret in out + said]
        return Outcome(self.folder, code, out, said)


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def test_a_version_1_pipeline_becomes_an_entry_that_loads(imported: Import) -> None:
    outcome = imported.of(v1())

    found = outcome.filled()["income-pipeline"]
    assert outcome.code == 0
    assert found.blobs == "income/*/*.csv"
    assert found.training.address == TRAINING
    assert (found.training.input, found.training.model, found.training.evaluation) == ("census", "output2", "output1")
    assert found.training.parameters == {"Account name": "mystore", "Number of trees": "8"}
    assert (found.training.waiting, found.training.running) == (7200, 7200)
    assert found.training.key.reveal() == "value-of-TRAINING_ENDPOINT_KEY"
    (target,) = found.targets
    assert isinstance(target, ClassicTarget)
    assert (target.address, target.resource, target.scoring.address) == (PATCH, MODEL, SCORING)
    assert target.key.reveal() == target.scoring.key.reveal() == "value-of-UPDATABLE_SCORING_ENDPOINT_KEY"


def test_a_version_2_pipeline_becomes_an_entry_that_loads(imported: Import) -> None:
    outcome = imported.of(v2())

    found = outcome.filled()["income"]
    assert found.blobs == "income/november.csv"
    assert found.training.address == TRAINING
    assert (found.training.model, found.training.evaluation) == ("output1", "output2")
    assert found.training.running == 36 * 3600
    (target,) = found.targets
    assert isinstance(target, NewTarget)
    assert (target.id, target.asset) == (ARM_ID, MODEL)
    assert target.address == "https://management.azure.com"
    assert target.scoring.address.endswith("/subscriptions/1122/services/n1")


def test_an_exported_factory_becomes_an_entry_that_loads(imported: Import) -> None:
    outcome = imported.of({"arm_template.json": exported()})

    found = outcome.filled()["income"]
    assert found.training.address == TRAINING
    assert found.training.parameters == {"Note": "[kept]", "Query": "filled"}
    assert [target.name for target in found.targets] == ["update"]
    assert "globalParameters.Query: an expression" in outcome.said
    assert "arm_template.json: 'Weekly': ScheduleTrigger: no counterpart here" in outcome.said


def test_a_parameters_file_gives_the_template_its_values_but_no_secret(imported: Import) -> None:
    values = {
        "factoryName": {"value": "myfactory"},
        "TRAININGENDPOINT_MLENDPOINT": {"value": f"{SCORING}9/jobs"},
        "trainingEndpoint_apiKey": {"value": "TRAINKEY=="},
    }
    schema = "https://schema.management.azure.com/schemas/2015-01-01/deploymentParameters.json#"

    outcome = imported.of({"template.json": exported(), "parameters.json": {"$schema": schema, "parameters": values}})

    assert outcome.entries["income"]["training"]["address"] == f"{SCORING}9"


def test_a_secure_parameter_of_a_template_is_never_put_in(imported: Import) -> None:
    template = exported()
    train = template["resources"][0]["properties"]["activities"][0]
    train["typeProperties"]["globalParameters"] = {"Note": "[parameters('trainingEndpoint_apiKey')]"}

    outcome = imported.of({"template.json": template})

    assert outcome.entries["income"]["training"]["parameters"] == {"Note": "${FILL_IN_NOTE}"}


def test_version_1_templates_nest_short_types_in_the_factory(imported: Import) -> None:
    kinds = {"pipeline.json": "datapipelines", "data.json": "datasets", "model.json": "datasets"}
    inside = [
        {"type": kinds.get(file, "datasets" if "format" in json.dumps(body) else "linkedservices"), **body}
        for file, body in v1().items()
    ]
    template = {"resources": [{"name": "f", "type": "Microsoft.DataFactory/datafactories", "resources": inside}]}

    outcome = imported.of({"template.json": template})

    assert outcome.filled()["income-pipeline"].blobs == "income/*/*.csv"


def test_the_report_says_which_setting_takes_which_key_and_what_to_fill_in(imported: Import) -> None:
    said = imported.of(v2()).said

    assert "TRAINING_ENDPOINT_KEY: training.json: linked service 'trainingEndpoint': apiKey" in said
    assert "NEW_ENDPOINT_KEY: new.json: linked service 'newEndpoint': apiKey" in said
    assert "pipelines.income.gate.rules: ${FILL_IN_RULE}: " in said
    assert "gate.baseline" in said
    assert "pipelines.income.proof.rows: ${FILL_IN_ROWS_FILE}: " in said
    assert "container 'labeled' of linked service 'StorageLinkedService'" in said
    assert f"servicePrincipalId: the app's identity takes its place; make it Contributor on {ARM_ID}" in said


def test_an_entry_that_is_not_filled_in_does_not_load(imported: Import, tmp_path: Path) -> None:
    outcome = imported.of(v2())
    (tmp_path / "pipelines.yaml").write_text(outcome.out, "utf-8")
    settings = Settings({"TRAINING_ENDPOINT_KEY": "k", "NEW_ENDPOINT_KEY": "k"})

    with pytest.raises(Exception, match=r"\.gate\.rules\[0\]: Missing setting: FILL_IN_RULE"):
        load_pipelines(tmp_path / "pipelines.yaml", settings)


def test_each_update_activity_of_a_model_is_a_target(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch(), v2_update("first"), v2_update("second", to="classic")))

    targets = outcome.filled()["income"].targets
    assert [(type(target), target.name) for target in targets] == [(NewTarget, "first"), (ClassicTarget, "second")]
    assert targets[1].address == PATCH, "the full stop at the end is trimmed"


def test_the_same_model_of_the_same_endpoint_is_a_target_once(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch(), v2_update("first"), v2_update("second")))

    assert [target.name for target in outcome.filled()["income"].targets] == ["first"]
    assert "activity 'second': updates the same model of the same endpoint as pipeline.json: activity 'first'" in (
        outcome.said
    )


def test_each_batch_execution_is_an_entry_with_the_updates_of_its_model(imported: Import) -> None:
    outcome = imported.of(
        v2(v2_batch("men"), v2_batch("women"), v2_update("a", "out/women.ilearner", to="classic"),
           v2_update("b", "out/men.ilearner"))
    )  # fmt: skip

    found = outcome.filled()
    assert {name: [target.name for target in entry.targets] for name, entry in found.items()} == {
        "income-men": ["b"],
        "income-women": ["a"],
    }


def test_two_models_of_one_experiment_are_two_entries(imported: Import) -> None:
    outputs = {"a": blob("out/a.ilearner"), "b": blob("out/b.ilearner"), "c": blob("out/c.csv")}
    outcome = imported.of(
        v2(
            v2_batch(webServiceOutputs=outputs),
            v2_update("u1", "out/a.ilearner"),
            v2_update("u2", "out/b.ilearner", model="Other [trained model]"),
        )
    )

    found = {name: (entry.training.model, entry.training.evaluation) for name, entry in outcome.filled().items()}
    assert found == {"income-train-a": ("a", "c"), "income-train-b": ("b", "c")}
    assert "webServiceOutputs.b: the entry takes the model of 'a', not it" in outcome.said
    assert "activity 'train': gives 2 models, each an entry; each entry pays its own training" in outcome.said


def test_an_output_folder_gives_the_model_that_lies_in_it(imported: Import) -> None:
    batch = v2_batch(webServiceOutputs={"o1": blob("out/models"), "o2": blob("out/tables")})

    outcome = imported.of(v2(batch, v2_update(takes="out/tables/model.ilearner")))

    assert outcome.entries["income"]["training"]["model"] == "o2"


def test_the_very_file_comes_before_a_folder_and_the_own_pipeline_before_another(imported: Import) -> None:
    outputs = {"o1": blob("out"), "o2": blob("out/model.ilearner")}
    files = v2(v2_batch(webServiceOutputs=outputs), v2_update(takes="out/model.ilearner", to="classic"))
    other = pipeline("Other", v2_batch(webServiceOutputs=outputs), v2_update("new", takes="out/model.ilearner"))

    entries = imported.of({**files, "other.json": other}).entries

    assert {name: entry["training"]["model"] for name, entry in entries.items()} == {"income": "o2", "other": "o2"}
    assert [entry["targets"][0]["name"] for entry in entries.values()] == ["update", "new"]


def test_two_containers_are_reported_because_an_app_watches_one(imported: Import) -> None:
    inputs = {"input1": blob("elsewhere/income.csv")}
    outcome = imported.of(v2(v2_batch("a"), v2_batch("b", webServiceInputs=inputs)))
    assert "TRAINING_DATA_PATH: the training data lie in containers elsewhere, labeled" in outcome.said


def test_an_update_whose_file_is_computed_belongs_to_the_training_before_it(imported: Import) -> None:
    path = {"value": "@concat('out/', pipeline().parameters.name)", "type": "Expression"}
    update = v2_update()
    update["typeProperties"]["trainedModelFilePath"] = path

    outcome = imported.of(v2(v2_batch("other"), v2_batch("train"), update))

    assert [t["name"] for t in outcome.entries["income-train"]["targets"]] == ["update"]


def test_a_training_that_no_update_follows_has_a_target_to_fill_in(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch()))

    assert [target.name for target in outcome.filled()["income"].targets] == ["classic"]
    assert "activity 'train': no further update takes its model" in outcome.said


def test_a_batch_execution_that_scores_is_reported_and_no_entry(imported: Import) -> None:
    scoring = v2_batch("score", webServiceOutputs={"output1": blob("out/scored.csv")})

    outcome = imported.of(v2(scoring, v2_batch(), v2_update()))

    assert list(outcome.entries) == ["income"]
    assert "activity 'score': none of its outputs is an .ilearner: it scores, it does not train" in outcome.said


def test_an_activity_of_another_kind_is_reported_also_where_it_is_nested(imported: Import) -> None:
    loop = {
        "name": "each",
        "type": "ForEach",
        "typeProperties": {"items": {}, "activities": [v2_batch(), {"name": "copy", "type": "Copy"}]},
    }

    outcome = imported.of(v2(loop, v2_update(), {"name": "mail", "type": "WebActivity", "typeProperties": {}}))

    assert list(outcome.entries) == ["income"]
    for name, kind in {"each": "ForEach", "copy": "Copy", "mail": "WebActivity"}.items():
        assert f"pipeline.json: activity '{name}': {kind}: no counterpart here" in outcome.said


def test_keys_without_a_counterpart_are_reported(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch(azureBatchPoolId="p"), v2_update(), parameters={"x": {"type": "String"}}))

    assert "activity 'train': typeProperties.azureBatchPoolId, policy.retry: no counterpart here" in outcome.said
    assert "pipeline 'Income': parameters: no counterpart here" in outcome.said


@pytest.mark.parametrize(
    "computed",
    [
        "@pipeline().parameters.x",
        "a @{pipeline().parameters.x}",
        "$$Text.Format('{0:yyyy}', SliceStart)",
        {"value": "@pipeline().parameters.x", "type": "Expression"},
    ],
)
def test_a_computed_parameter_is_to_be_filled_in(imported: Import, computed: object) -> None:
    outcome = imported.of(v2(v2_batch(globalParameters={"Database query": computed}), v2_update()))

    assert outcome.entries["income"]["training"]["parameters"] == {"Database query": "${FILL_IN_DATABASE_QUERY}"}
    assert "pipeline.json: activity 'train': globalParameters.Database query: an expression" in outcome.said
    assert "SliceStart" not in outcome.said
    outcome.filled()


def test_computed_addresses_and_names_are_asked_for(imported: Import) -> None:
    files = v2(v2_batch(), v2_update(model="@pipeline().parameters.model"))
    for file in ("training.json", "new.json"):
        members = files[file]["properties"]["typeProperties"]
        members |= {"mlEndpoint": "@{linkedService().url}/jobs", "updateResourceEndpoint": "@linkedService().update"}

    outcome = imported.of(files)

    (target,) = outcome.filled()["income"].targets
    assert isinstance(target, ClassicTarget)
    assert target.address == "https://h/NEW_ENDPOINT_UPDATE_ADDRESS"
    assert target.resource == MEANT["TRAINED_MODEL"]
    assert "TRAINING_ENDPOINT_ADDRESS: training.json: linked service 'trainingEndpoint': mlEndpoint" in outcome.said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Server user account password", "PASSWORD1"),
        ("Account key", "PARAMKEY=="),
        ("Source", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=PARAMKEY=="),
        ("Source", "https://user:PASSWORD1@host/x"),
        ("Source", "Server=x;Password=PASSWORD1"),
        ("Source", "https://a.example/c/b?sv=1&sig=PARAMKEY=="),
        ("Source", "A" * 78 + "PARAMKEY=="),
    ],
)
def test_a_parameter_that_may_be_a_key_becomes_a_setting(imported: Import, name: str, value: str) -> None:
    outcome = imported.of(v2(v2_batch(globalParameters={name: value}), v2_update()))

    written = outcome.entries["income"]["training"]["parameters"][name]
    assert written == f"${{TRAINING_ENDPOINT_{name.upper().replace(' ', '_')}}}"
    assert f"pipeline.json: activity 'train': globalParameters.{name}" in outcome.said
    outcome.filled()


def test_a_blob_path_with_a_signature_is_not_written(imported: Import) -> None:
    batch = v2_batch(webServiceInputs={"input1": blob("c/income.csv?sv=1&sig=PARAMKEY==")})
    assert imported.of(v2(batch, v2_update())).entries["income"]["blobs"] == "${FILL_IN_BLOBS}"


def test_missing_linked_services_and_data_sets_are_named_and_the_entry_still_loads(imported: Import) -> None:
    outcome = imported.of({"pipeline.json": v1()["pipeline.json"]})

    (found,) = outcome.filled().values()
    assert found.training.address == "https://h/TRAINING_ENDPOINT_ADDRESS"
    assert "activity 'retraining': linkedServiceName: 'trainingEndpoint' is in none of the files" in outcome.said
    assert "activity 'retraining': webServiceInputs.census: data set 'trainingData' is in none" in outcome.said


def test_a_service_without_input_port_name_or_input_is_reported(imported: Import) -> None:
    files = v1()
    inside = files["pipeline.json"]["properties"]["activities"][0]["typeProperties"]
    inside["webServiceInput"] = inside.pop("webServiceInputs")["census"]
    assert "webServiceInput names no port; input1 is assumed" in imported.of(files).said
    del inside["webServiceInput"]
    outcome = imported.of(files)
    assert "activity 'retraining': has no web service input" in outcome.said
    outcome.filled()


@pytest.mark.parametrize(
    ("path", "blobs"), [("labeled/income/*.csv", "income/*.csv"), ("labeled/income", "income/*"), ("@concat('a')", "")]
)
def test_the_path_of_an_import_data_module_becomes_the_folder_parameter(
    imported: Import, path: str, blobs: str
) -> None:
    parameters = {"Path to container, directory or blob": path, "Number of trees": "8"}
    files = v2(v2_batch(webServiceInputs={}, globalParameters=parameters), v2_update())
    outcome = imported.of(files)
    found = outcome.filled()["income"]
    assert found.training.folder == "Path to container, directory or blob"
    assert found.training.input is None
    assert found.training.parameters == {"Number of trees": "8"}
    assert found.blobs == (blobs or MEANT["BLOBS"])
    assert ("RETRAINING_STORE to the storage that the experiment imports from" in outcome.said) == bool(blobs)
    lacks = "globalParameters.Path to container, directory or blob: its file is an expression" in outcome.said
    assert lacks == (not blobs)


def test_the_default_endpoint_and_the_training_as_its_own_target_are_reported(imported: Import) -> None:
    files = v2(v2_batch(), v2_update(to="classic"))
    members = files["classic.json"]["properties"]["typeProperties"]
    members |= {"mlEndpoint": f"{TRAINING}/jobs", "updateResourceEndpoint": PATCH.replace("retrained", "default")}

    said = imported.of(files).said

    assert (
        "classic.json: linked service 'classicEndpoint': updateResourceEndpoint: the default endpoint takes no" in said
    )
    assert "classic.json: linked service 'classicEndpoint': mlEndpoint: is the address of the training" in said


def test_into_adds_the_entry_and_leaves_every_line_and_comment(imported: Import, tmp_path: Path) -> None:
    into = tmp_path / "pipelines.yaml"
    sample = (ROOT / "pipelines.sample.yaml").read_text("utf-8")
    into.write_text(sample.rstrip("\n"), "utf-8")

    outcome = imported.of(v2(), into)

    text = into.read_text("utf-8")
    assert outcome.out == ""
    assert text.startswith(sample)
    assert list(yaml.safe_load(text)["pipelines"]) == ["breast-cancer", "income"]


def test_into_makes_the_file_that_is_not_there(imported: Import, tmp_path: Path) -> None:
    imported.of(v2(), tmp_path / "new.yaml")
    assert list(yaml.safe_load((tmp_path / "new.yaml").read_text("utf-8"))["pipelines"]) == ["income"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("pipelines:\n  income: {}\n", "pipelines.yaml: pipelines.income is there already and is never overwritten"),
        ("pipelines: {other: {}}\n", "pipelines.yaml: its form allows no entry at its end"),
        ("pipelines:\n  other: {}\n...\n", "pipelines.yaml: its form allows no entry at its end"),
        ("other: 1\n", "pipelines.yaml has no 'pipelines' with entries"),
        ("pipelines:\n  a: {key: PASSWORD1\n", "pipelines.yaml is not YAML: line 3"),
    ],
)
def test_into_refuses_and_changes_nothing(imported: Import, tmp_path: Path, content: str, said: str) -> None:
    into = tmp_path / "pipelines.yaml"
    into.write_text(content, "utf-8")

    outcome = imported.of(v2(), into)

    assert outcome.code == 2
    assert outcome.said.startswith(said)
    assert into.read_text("utf-8") == content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "p",\n "properties": {,}}', "x.json is not JSON: line 2, column 17: "),
        ("[1]", "x.json is not a Data Factory artefact: a JSON object was expected"),
        ('{"dependencies": {}}', "x.json is not a Data Factory artefact: a pipeline, linked service or data set"),
        ('{"resources": []}', "x.json is not a Data Factory artefact"),
        ('{"name": "p", "properties": {"activities": {}}}', "x.json: pipeline 'p': activities must be a list"),
        ('{"name": "p", "properties": {"activities": [7]}}', "x.json: pipeline 'p': activities[0] is not an activity"),
        (
            '{"name": "p", "properties": {"activities": [{"name": "a", "type": "AzureMLBatchExecution",'
            ' "typeProperties": {"webServiceOutputs": "output1"}}]}}',
            "x.json: activity 'a': webServiceOutputs must be an object",
        ),
        ("[" * 100_000, "x.json is not JSON that can be read: it is nested too deep"),
    ],
)
def test_a_file_that_cannot_be_read_gives_one_line_and_exit_code_2(imported: Import, content: str, said: str) -> None:
    outcome = imported.of({**v2(), "x.json": content})

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.said.startswith(said)
    assert outcome.said.count("\n") == 1


def test_a_file_that_is_not_there_is_named(imported: Import, tmp_path: Path) -> None:
    outcome = imported.paths([tmp_path / "nowhere.json"])
    assert (outcome.code, outcome.said.count("\n")) == (2, 1)
    assert "nowhere.json cannot be read" in outcome.said


def test_files_without_a_training_give_exit_code_2_and_the_reason(imported: Import) -> None:
    outcome = imported.of({"p.json": pipeline("other", {"name": "copy", "type": "Copy"})})
    assert outcome.code == 2
    assert "p.json: pipeline 'other': trains nothing; its activities: Copy" in outcome.said


def test_a_folder_is_read_whole_and_other_files_in_it_are_reported(imported: Import, tmp_path: Path) -> None:
    imported.of({**v2(), "package.json": '{"dependencies": {}}'})

    outcome = imported.paths([tmp_path])

    assert list(outcome.entries) == ["income"]
    assert "package.json: is not a Data Factory artefact" in outcome.said


def test_the_same_artefact_twice_is_one_and_another_under_its_name_is_refused(imported: Import) -> None:
    files = v2()
    assert imported.of({**files, "copy.json": files["training.json"]}).code == 0
    outcome = imported.of({**files, "copy.json": service("TrainingEndpoint", mlEndpoint="https://h/other/jobs")})
    assert outcome.code == 2
    assert outcome.said.startswith("copy.json: linked service 'TrainingEndpoint' is another one in training.json")


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("c/folder/a.csv", ("c", "folder/a.csv")),
        ("/c/folder", ("c", "folder/*")),
        ("c/", ("c", "*")),
        ("c/{year}/{month}{day}.csv", ("c", "*/*.csv")),
        ("c/@{pipeline().parameters.month}.csv", ("c", "*.csv")),
        ("{container}/a.csv", None),
        ("", None),
    ],
)
def test_a_path_becomes_a_pattern_within_its_container(path: str, pattern: tuple[str, str] | None) -> None:
    assert blob_pattern(path) == pattern


@pytest.mark.parametrize(
    ("span", "written"),
    [
        ("02:00:00", "2h"),
        ("1.12:00:00", "36h"),
        ("7.00:00:00", "7d"),
        ("00:01:30", "90s"),
        ("00:00:00", None),
        ("2h", None),
    ],
)
def test_a_time_span_is_written_in_its_largest_whole_unit(span: str, written: str | None) -> None:
    assert duration(span) == written


def test_the_command_writes_yaml_to_stdout_and_the_report_to_stderr(tmp_path: Path) -> None:
    for name, content in v2().items():
        (tmp_path / name).write_text(json.dumps(content), "utf-8")

    command = [sys.executable, "-m", "shared", "import-adf", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert list(yaml.safe_load(done.stdout)["pipelines"]) == ["income"]
    assert done.stderr.startswith("stdout: pipelines.income\n")


def test_the_functions_app_does_not_load_the_import() -> None:
    code = "import sys, function_app; print([name for name in sys.modules if name.startswith('shared.adf')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
