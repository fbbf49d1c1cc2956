"""A user's script in which the service's real host names lead to the workspace: files of local paths go up and down."""

import json
import os
import tempfile
from pathlib import Path

import mlflow
import requests
from azure.ai.ml import Input, MLClient, Output, command
from azure.ai.ml.entities import (
    CodeConfiguration,
    Data,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from azure.identity import DefaultAzureCredential
from jobs import wait
from report import report

NAME = "named"


def run(client, folder):
    client.environments.create_or_update(Environment(name=NAME, version="1", image="python:3.12"))
    endpoint = client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=NAME, auth_mode="key"))
    rows = client.data.create_or_update(Data(name=NAME, version="1", type="uri_file", path="rows.json"))
    report("a file of a local path becomes data", [rows.version, rows.path.endswith("/rows.json")])
    job = command(
        code="counting",
        command="python count.py ${{inputs.rows}} ${{outputs.counted}}",
        environment=f"{NAME}:1",
        compute="cpu-cluster",
        inputs={"rows": Input(type="uri_file", path=f"azureml:{NAME}:1")},
        outputs={"counted": Output(type="uri_folder", name="counted")},
    )
    begun = client.jobs.create_or_update(job)
    endpoint.result()
    code = CodeConfiguration(code="scoring", scoring_script="score.py")
    given = {"name": "blue", "endpoint_name": NAME, "environment": f"{NAME}:1", "instance_count": 1}
    deployment = client.online_deployments.begin_create_or_update(
        ManagedOnlineDeployment(code_configuration=code, **given)
    )
    report("a job runs the code of a local path", wait(client, begun.name))
    client.jobs.download(begun.name, output_name="counted", download_path=folder)
    report("the output of a job is downloaded", [each.read_text() for each in folder.rglob("rows.txt")])
    report("an output with a name is registered", client.data.get("counted", label="latest").version)
    client.models.create_or_update(Model(name=NAME, version="1", type="custom_model", path="rows.json"))
    client.models.download(NAME, "1", download_path=folder / "model")
    report("a model is downloaded as it was uploaded", [each.name for each in (folder / "model").rglob("*.json")])
    artifacts(client, folder)
    report("a deployment has the script of a local path", deployment.result().provisioning_state)
    score(client)


def artifacts(client, folder):
    """MLflow's plug-in for Azure Machine Learning writes and reads artifacts by links to the storage."""
    mlflow.set_tracking_uri(client.workspaces.get().mlflow_tracking_uri)
    with mlflow.start_run() as begun:
        mlflow.log_text("a note", "notes/a.txt")
    run = begun.info.run_id
    report("the artifacts of a run are listed", [each.path for each in mlflow.MlflowClient().list_artifacts(run)])
    place = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="notes", dst_path=folder / "run")
    report("an artifact is downloaded as it was logged", (Path(place) / "a.txt").read_text())
    mlflow.MlflowClient().create_registered_model("notes")
    mlflow.MlflowClient().create_model_version("notes", f"runs:/{run}/notes", run)
    place = mlflow.artifacts.download_artifacts("models:/notes/1", dst_path=folder / "version")
    report("the files of a version are downloaded", (Path(place) / "a.txt").read_text())


def score(client):
    endpoint = client.online_endpoints.get(NAME)
    endpoint.traffic = {"blue": 100}
    client.online_endpoints.begin_create_or_update(endpoint).result()
    report("an endpoint has its real address", endpoint.scoring_uri)
    report("it answers the client there", json.loads(client.online_endpoints.invoke(NAME, request_file="rows.json")))
    key = client.online_endpoints.get_keys(NAME).primary_key
    rows = Path("rows.json").read_bytes()
    answers = [
        requests.post(endpoint.scoring_uri, rows, headers={"Authorization": f"Bearer {each}"})
        for each in (key, "wrong")
    ]
    report("it answers a key there, and no other one", [answers[0].json(), answers[1].status_code])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")
        run(MLClient(DefaultAzureCredential(), *(os.environ[name] for name in names)), Path(place))
