"""`import-adf --azureml`: activities that run a pipeline of Azure Machine Learning become entries of kind azureml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.adf.command import import_adf
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining
from tests.support.data_factory import Json, pipeline, reference, v2

WORKSPACE = "/subscriptions/11-22/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/income"
#: as a person fills the entry in
MEANT = {"RULE": "AUC >= 0.85", "ROWS_FILE": "rows.csv", "BLOBS": "income/*.csv", "COMPONENT": "train:7"}
MEANT |= {"COMPUTE": "cpu", "ENDPOINT": "income", "MODEL_NAME": "income", "MONTH": "november"}


def linked(**more: object) -> Json:
    """The form of Data Factory's documents."""
    inside = {"subscriptionId": "11-22", "resourceGroupName": "ml", "mlWorkspaceName": "income"}
    secret = {"servicePrincipalId": "p", "servicePrincipalKey": {"type": "SecureString", "value": "PRINCIPALKEY="}}
    properties = {"type": "AzureMLService", "typeProperties": {**inside, **secret, "tenant": "t", **more}}
    return {"name": "AzureMLService", "properties": properties}


def run(name: str = "train", **more: object) -> Json:
    inside = {
        "mlPipelineId": "93b9ccc4-0000-0000-8968-43a0a0fe0c44",
        "experimentName": "income",
        "mlPipelineParameters": {"c": "0.5", "rounds": 10, "apiKey": "PARAMKEY=="},
        "dataPathAssignments": {"data": {"DataStoreName": "drops", "RelativePath": "income/november.csv"}},
    }
    return {
        "name": name,
        "type": "AzureMLExecutePipeline",
        "linkedServiceName": reference("AzureMLService"),
        "policy": {"timeout": "0.12:00:00"},
        "typeProperties": {**inside, **more},
    }


class Import:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.said = folder, capsys, ""

    def of(self, *documents: Json, with_workspaces: bool = True) -> dict[str, Json]:
        """Return the entries; what was said is kept."""
        paths = [self.folder / f"{number}.json" for number in range(len(documents))]
        for path, document in zip(paths, documents, strict=True):
            path.write_text(json.dumps(document), "utf-8")
        self.code = import_adf(paths, None, with_workspaces=with_workspaces)
        out, self.said = self.capsys.readouterr()
        assert not [each for each in ("PRINCIPALKEY", "PARAMKEY") if each in out + self.said]
        found: dict[str, Json] = (yaml.safe_load(out) or {}).get("pipelines", {}) if out else {}
        return found

    def filled(self, entries: dict[str, Json]) -> Any:
        text = re.sub(r"\$\{FILL_IN_(\w+)\}", lambda sign: MEANT[sign[1]], yaml.safe_dump({"pipelines": entries}))
        (self.folder / "rows.csv").write_text("age\n30\n", "utf-8")
        file = self.folder / "filled.yaml"
        file.write_text(text, "utf-8")
        return load_pipelines(file, Settings(dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), WORKSPACE)))


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def test_an_activity_of_a_workspace_becomes_an_entry_that_loads(imported: Import) -> None:
    entries = imported.of(linked(), pipeline("Income", run()))

    found = imported.filled(entries)["income"]
    training, [target] = found.training, found.targets
    assert isinstance(training, AzureMLTraining) and isinstance(target, AzureMLOnlineTarget)
    assert (found.blobs, training.workspace, training.data) == ("income/november.csv", WORKSPACE, "data")
    assert (training.parameters["c"], training.parameters["rounds"]) == ("0.5", "10")
    assert (training.experiment, training.waiting, training.running) == ("income", 43200, 43200)
    assert (training.datastore, target.datastore, target.workspace) == ("relearn_batches", "relearn_models", WORKSPACE)
    assert entries["income"]["training"]["parameters"]["apiKey"] == "${AZURE_MLSERVICE_API_KEY}"
    assert "published pipeline 93b9ccc4-0000-0000-8968-43a0a0fe0c44" in imported.said
    assert "income/november.csv lies in the datastore 'drops'" in imported.said
    assert "give it the role AzureML Data Scientist" in imported.said


def test_without_the_option_the_report_names_it(imported: Import) -> None:
    assert imported.of(linked(), pipeline("Income", run()), with_workspaces=False) == {}
    assert imported.code == 2
    assert "--azureml makes an entry of AzureMLExecutePipeline" in imported.said


def test_studios_entries_are_the_same_beside_those_of_a_workspace(imported: Import) -> None:
    studio = [*v2().values()]
    alone = imported.of(*studio, with_workspaces=False)
    both = imported.of(*studio, linked(), pipeline("Other", run()))
    assert {name: both[name] for name in alone} == alone
    assert set(both) == {*alone, "other"}


def test_what_data_factory_computes_is_to_be_filled_in_or_reported(imported: Import) -> None:
    computed = {"type": "Expression", "value": "@pipeline().parameters.all"}
    entries = imported.of(
        linked(mlWorkspaceName="@{linkedService().name}"),
        pipeline(
            "Income",
            run(mlPipelineParameters={"month": "@formatDateTime(utcnow())"}, experimentName=computed),
            run("again", mlPipelineParameters=computed, dataPathAssignments=computed, mlParentRunId="r"),
        ),
    )
    first, second = entries["income-train"], entries["income-again"]
    assert first["training"]["parameters"] == {"month": "${FILL_IN_MONTH}"}
    assert first["training"]["workspace"] == "${AZURE_MLSERVICE_WORKSPACE}"
    assert "parameters" not in second["training"] and second["blobs"] == "${FILL_IN_BLOBS}"
    assert "typeProperties.mlPipelineParameters (an expression)" in imported.said
    assert "typeProperties.mlParentRunId" in imported.said
    assert "experimentName: an expression" in imported.said
    assert imported.filled({"income-train": first})["income-train"].training.parameters == {"month": "november"}


def test_a_linked_service_that_is_missing_or_of_another_kind_is_named(imported: Import) -> None:
    entries = imported.of(pipeline("Income", run()))
    assert entries["income"]["training"]["workspace"] == "${AZURE_MLSERVICE_WORKSPACE}"
    assert "linked service 'AzureMLService': is in none of the files" in imported.said
    other = {
        "name": "AzureMLService",
        "properties": {"type": "AzureML", "typeProperties": {"mlEndpoint": "https://a/b"}},
    }
    imported.of(other, pipeline("Income", run()))
    assert "type 'AzureML': is not a workspace ('AzureMLService')" in imported.said


@pytest.mark.parametrize("inside", [{"dataPathAssignments": "x"}, {"mlPipelineParameters": [1]}])
def test_a_malformed_activity_is_named(imported: Import, inside: dict[str, Any]) -> None:
    assert imported.of(linked(), pipeline("Income", run(**inside))) == {}
    assert imported.code == 2
    assert "activity 'train'" in imported.said and "must be an object" in imported.said


def test_several_data_paths_are_one_input_and_a_line_each(imported: Import) -> None:
    paths = {name: {"dataStoreName": "d", "relativePath": f"{name}/"} for name in ("rows", "labels")}
    entries = imported.of(linked(), pipeline("Income", run(dataPathAssignments=paths)))
    assert (entries["income"]["blobs"], entries["income"]["training"]["data"]) == ("rows/*", "rows")
    assert "dataPathAssignments.labels: a job gets one file, 'rows'" in imported.said
