"""Pipelines of Data Factory in each form, and an import of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.adf.command import import_adf
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.pipelines import Pipeline

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
