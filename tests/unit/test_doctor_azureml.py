"""What `doctor` finds in a workspace of Azure Machine Learning: each part that a pipeline names, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from aml.api.online_forms import read_deployment
from aml.state import serving
from aml.state.records import make
from local.children import ROOT
from service.faults.orders import Fault
from shared.adapters.azureml.parts import Compute, Datastore, Deployment, Endpoint, Parts, ports_of
from shared.adapters.azureml.workspace import Workspace
from shared.adapters.identity import Tokens
from shared.base.errors import UnexpectedAnswer
from shared.base.settings import Settings
from shared.cli.doctor import azureml
from shared.cli.doctor import azureml_findings as decide
from shared.cli.doctor.azureml_findings import Known
from shared.cli.doctor.finding import Finding, Health
from shared.cli.doctor.services import look, look_at_fleet
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining, ChampionScored, ModelOutput, ScoredOutput
from shared.domain.values import WorkspaceId
from tests.support.aml import ADDRESS, STORAGE, Here
from tests.support.aml_session import Answering, Credential, LedApp
from tests.support.waiting import until

SAMPLE = ROOT / "samples" / "azureml"

NAME = "breast-cancer"

TRAINING, TARGET = f"pipelines.{NAME}.training", f"pipelines.{NAME}.targets (online)"

WORKSPACE = WorkspaceId("/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """A workspace with all that the sample names but a deployment."""
    here = Here(tmp_path / "aml")
    component = yaml.safe_load((SAMPLE / "component.yml").read_text("utf-8"))
    for name, container in (("relearn_batches", "batches"), ("relearn_models", "models")):
        assert open_datastore(here, name, container) == 201
    specification = {**component, "environment": "azureml:breast-cancer:1"}
    assert here.put("components/train_breast_cancer/versions/1", componentSpec=specification).status == 201
    endpoint = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
    endpoint["properties"] = {"authMode": "AADToken"}  # type: ignore[assignment]
    assert here.call("PUT", f"onlineEndpoints/{NAME}", endpoint).status == 201
    return here


def open_datastore(here: Here, name: str, container: str) -> int:
    return here.put(
        f"datastores/{name}",
        datastoreType="AzureBlob",
        accountName=here.workspace.account.name,
        containerName=container,
        credentials={"credentialsType": "None"},
    ).status


def app_of(
    here: Here, tmp_path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None, workspace: str = ""
) -> LedApp:
    """Return the app with the sample's entry, changed."""
    document = yaml.safe_load((SAMPLE / "pipelines.yaml").read_text("utf-8"))
    entry = document["pipelines"][NAME]
    entry["proof"]["rows"] = str(ROOT / "samples" / "breast-cancer-rows.csv")
    change(entry)
    file = tmp_path / "pipelines.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    settings = {"RETRAINING_STORE": STORAGE, "PIPELINES_FILE": str(file), "AML_ADDRESS": ADDRESS}
    return LedApp(Settings({**settings, "AML_WORKSPACE": workspace or here.workspace.id}), here)


def serve(here: Here, **traffic: int) -> None:
    """Record deployments that answer, and the traffic among them."""
    for name in traffic:
        given = {"endpointComputeType": "Managed", "model": f"{here.workspace.id}/models/{NAME}/versions/1"}
        properties = read_deployment({**given, "instanceType": "Standard_DS3_v2"})
        sku = {"name": "Default", "capacity": 2}
        path = f"onlineendpoints/{NAME}/deployments/{name}"
        there = make(serving.Deployment, path, properties, state="Succeeded", sku=sku, served="f", folder="f")
        here.workspace.records.put(there)
    properties = {"authMode": "AADToken", "traffic": {name: share for name, share in traffic.items() if share}}
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties}
    until(lambda: state_of(here) == "Succeeded", "the endpoint is made")
    answer = here.call("PUT", f"onlineEndpoints/{NAME}", body)
    assert answer.status == 200, answer.body
    until(lambda: state_of(here) == "Succeeded", "the traffic is divided")


def state_of(here: Here) -> str:
    return str(here.call("GET", f"onlineEndpoints/{NAME}").json["properties"]["provisioningState"])


def found(app: LedApp) -> dict[str, Finding]:
    findings = list(look(app, app.pipelines[NAME]))
    assert all(each.remedy for each in findings if each.health is not Health.OK)
    return {each.what: each for each in findings}


def of_target(app: LedApp) -> dict[str, Finding]:
    """Return what is found of the target, but for its answers and its live model, which need a storage."""
    [target] = app.pipelines[NAME].targets
    assert isinstance(target, AzureMLOnlineTarget)
    return {each.what: each for each in azureml.target(app, app.pipelines[NAME], target)}


def bad(findings: Iterable[Finding]) -> dict[str, str]:
    return {each.what: each.found for each in findings if each.health is not Health.OK}


def test_each_part_of_the_training_is_looked_at_and_only_read(here: Here, tmp_path: Path) -> None:
    app = app_of(here, tmp_path)
    looked = {what: each for what, each in found(app).items() if what.startswith(TRAINING)}
    assert bad(looked.values()) == {}
    parts = ("workspace", "workspace, rights", "component", "data", "model", "scored", "compute", "datastore")
    assert set(looked) >= {f"{TRAINING}.{part}" for part in parts}
    assert looked[f"{TRAINING}.workspace"].found == "is there, in westeurope"
    assert looked[f"{TRAINING}.compute"].found == "AmlCompute, Standard_DS3_v2, at most 2 nodes"
    others = [each.path for each in app.wire.calls if each.method != "GET"]
    assert [path.rpartition("/")[2] for path in others] == ["search", NAME], "it only searches and scores"


def test_the_datastore_of_the_champion_is_over_the_models(here: Here, tmp_path: Path) -> None:
    champion = {"datastore": "relearn_batches", "input": "live"}
    app = app_of(here, tmp_path, lambda entry: entry["training"].update(champion=champion))
    wrong = bad(found(app).values())
    assert "the container batches" in wrong[f"{TRAINING}.champion.datastore"]
    assert "the input 'live' does not exist" in wrong[f"{TRAINING}.champion.input"]


def test_a_missing_workspace_is_one_finding(here: Here, tmp_path: Path) -> None:
    app = app_of(here, tmp_path, workspace=f"{here.workspace.id}-other")
    of_training = [each for what, each in found(app).items() if what.startswith(TRAINING)]
    assert [(each.what, each.health) for each in of_training] == [(f"{TRAINING}.workspace", Health.WRONG)]
    assert f"correct {TRAINING}.workspace" in of_training[0].remedy


def test_a_refused_identity_gets_the_name_of_the_role_that_it_needs(here: Here, tmp_path: Path) -> None:
    here.faults.order(Fault(kind="expired token"))
    refused = found(app_of(here, tmp_path))[f"{TRAINING}.workspace"]
    assert "401" in refused.found and "AzureML Data Scientist" in refused.remedy


def test_a_component_without_the_configured_ports_is_named_with_those_that_it_has(here: Here, tmp_path: Path) -> None:
    def misname(entry: dict[str, Any]) -> None:
        entry["training"] |= {"data": "dta", "parameters": {"C": "1"}, "model": {"output": "modle"}}
        entry["training"]["scored"]["output"] = "rest"

    findings = found(app_of(here, tmp_path, misname))
    assert findings[f"{TRAINING}.data"].remedy == "did you mean 'data'?"
    assert findings[f"{TRAINING}.model"].remedy == "did you mean 'model'?"
    assert findings[f"{TRAINING}.scored"].remedy == "there are champion_scored, model, scored"
    assert "'data', which has no default" in findings[f"{TRAINING}.parameters"].found


def test_a_part_that_the_workspace_does_not_have_is_named_with_how_to_make_it(here: Here, tmp_path: Path) -> None:
    def misname(entry: dict[str, Any]) -> None:
        entry["training"] |= {"component": "train_breast_cancer:2", "compute": "gpu", "datastore": "nowhere"}
        entry["targets"][0] |= {"endpoint": "nothing", "datastore": "relearn_batches"}

    findings = found(app_of(here, tmp_path, misname))
    assert "no component train_breast_cancer:2" in findings[f"{TRAINING}.component"].found
    assert "az ml compute create" in findings[f"{TRAINING}.compute"].remedy
    assert "no datastore 'nowhere'" in findings[f"{TRAINING}.datastore"].found
    assert "over the container batches of devstoreaccount1" in findings[f"{TARGET}.datastore"].found
    assert "no online endpoint 'nothing'" in findings[f"{TARGET}.endpoint"].found


def test_an_endpoint_without_traffic_has_no_live_deployment(here: Here, tmp_path: Path) -> None:
    what = f"{TARGET}.endpoint, live deployment"
    assert "no deployment has traffic" in of_target(app_of(here, tmp_path))[what].found
    serve(here, blue=100, green=0)
    findings = of_target(app_of(here, tmp_path))
    assert findings[what].found == f"blue, 2 x Standard_DS3_v2, serves {NAME}/versions/1"
    assert "costs 2 x Standard_DS3_v2" in bad(findings.values())[f"{TARGET}.endpoint, deployment green"]
    serve(here, blue=90, green=10)
    assert "blue 90 %, green 10 %" in of_target(app_of(here, tmp_path))[what].found


def test_the_cost_of_two_deployments_is_said_with_size_and_time(here: Here, tmp_path: Path) -> None:
    serve(here, blue=100)
    second = of_target(app_of(here, tmp_path))[f"{TARGET}, second deployment"].found
    assert "(2 x Standard_DS3_v2): while it starts, 30m of steps, and 4h after the switch" in second

    def more(entry: dict[str, Any]) -> None:
        entry["targets"][0]["deployment"] = {"instances": 50, "instance_type": "Standard_F4s_v2"}

    findings = of_target(app_of(here, tmp_path, more))
    assert "(50 x Standard_F4s_v2)" in findings[f"{TARGET}, second deployment"].found
    assert (
        "needs about 240 cores of standardFSv2Family, and 100 are left"
        in findings[f"{TARGET}, second deployment, quota"].found
    )
    full = decide.room("room", 3, 2)
    assert full and full.found == "needs 3 instances, and the service allows 2"
    assert decide.room("room", 2, 2) is None and decide.room("room", 2, None) is None


def test_what_a_job_file_names_is_looked_for(here: Here, tmp_path: Path) -> None:
    def by_file(entry: dict[str, Any]) -> None:
        del entry["training"]["component"], entry["training"]["compute"]
        entry["training"]["job"] = "train.yml"

    job = {"command": "python train.py", "environment": "azureml:sklearn:7", "code": "azureml:train:1"}
    job |= {"compute": "azureml:cpu-cluster", "inputs": {"data": {"type": "uri_file"}}}
    (tmp_path / "train.yml").write_text(yaml.safe_dump({**job, "outputs": {"model": None, "scored": None}}), "utf-8")
    app = app_of(here, tmp_path, by_file)
    findings = found(app)
    assert "codes/train/versions/1" in findings[f"{TRAINING}.job"].found
    assert "environments/sklearn/versions/7" in findings[f"{TRAINING}.job"].found
    assert findings[f"{TRAINING}.compute"].health is Health.OK
    here.put("environments/sklearn/versions/7", image="an/image")
    here.put("codes/train/versions/1", codeUri="https://store.example/c/train")
    assert found(app)[f"{TRAINING}.job"].found == "what the file names is there"


PORTS = {"type": "command", "inputs": {"data": {"type": "uri_file"}}, "outputs": {"model": {"type": "mlflow_model"}}}


@pytest.mark.parametrize(
    ("change", "training", "said"),
    [
        ({}, {}, {}),
        ({"type": "pipeline"}, {}, {"t.component": "is of the type pipeline"}),
        ({"inputs": {"data": {"type": "uri_folder"}}}, {}, {"t.data": "of the type uri_folder"}),
        ({"outputs": {"model": {"type": "custom_model"}}}, {}, {}),
        (
            {"outputs": {"model": {"type": "mlflow_model"}}},
            {"model": ModelOutput(type="custom_model")},
            {"t.model": ""},
        ),
        ({"inputs": {"data": {"type": "uri_file"}, "c": {"type": "number"}}}, {}, {"t.parameters": "do not give"}),
        ({"inputs": {"data": {"type": "uri_file"}, "c": {"type": "number"}}}, {"parameters": {"c": "1"}}, {}),
        ({"inputs": {"data": {"type": "uri_file"}, "c": {"type": "number", "optional": "True"}}}, {}, {}),
        ({"inputs": {"data": {"type": "uri_file"}, "c": {"type": "number", "default": 0}}}, {}, {}),
        (
            {"inputs": {"data": {"type": "uri_file"}, "champion": {"type": "uri_file"}}},
            {"champion": ChampionScored()},
            {"t.champion.input": "of the type uri_file", "t.champion.scored": "does not exist"},
        ),
        (
            {
                "inputs": {"data": {"type": "uri_file"}, "champion": {"type": "mlflow_model"}},
                "outputs": {"model": {"type": "mlflow_model"}, "champion_scored": {"type": "uri_folder"}},
            },
            {"champion": ChampionScored()},
            {},
        ),
        ({"outputs": None}, {"scored": ScoredOutput()}, {"t.model": "does not exist", "t.scored": "does not exist"}),
    ],
)
def test_ports_are_judged_by_name_type_and_default(
    change: dict[str, Any], training: dict[str, Any], said: dict[str, str]
) -> None:
    settings = AzureMLTraining(workspace=WORKSPACE, component="c:1", datastore="d", **training)
    wrong = bad(decide.ports("t", settings, ports_of({**PORTS, **change})))
    assert set(wrong) == set(said)
    assert all(text in wrong[what] for what, text in said.items())


@pytest.mark.parametrize(
    ("found", "health", "said"),
    [
        (Datastore("AzureBlob", "Store", "models", "None"), Health.OK, "by identity"),
        (Datastore("AzureBlob", "store", "models", "AccountKey"), Health.WARNING, "of the type AccountKey"),
        (Datastore("AzureBlob", "other", "models", "None"), Health.WRONG, "models of other, and the app uses"),
        (Datastore("AzureBlob", "store", "batches", "None"), Health.WRONG, "the container batches"),
        (Datastore("AzureDataLakeGen2", "store", "models", "None"), Health.WRONG, "of the kind AzureDataLakeGen2"),
        (None, Health.WRONG, "no datastore"),
    ],
)
def test_a_datastore_is_over_the_apps_container_and_has_no_key(
    found: Datastore | None, health: Health, said: str
) -> None:
    finding = decide.datastore("d", "name", found, "store", "models")
    assert (finding.health, said in finding.found) == (health, True)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (Compute("AmlCompute", "succeeded", "S", 2, "SystemAssigned"), []),
        (Compute("Kubernetes", "", "", None, "UserAssigned"), []),
        (Compute("AmlCompute", "succeeded", "S", 0, "SystemAssigned"), ["c"]),
        (Compute("AmlCompute", "failed", "S", 2, ""), ["c", "c, identity"]),
        (None, ["c"]),
    ],
)
def test_a_compute_has_nodes_and_an_identity(found: Compute | None, wrong: list[str]) -> None:
    assert list(bad(decide.compute("c", "cpu", found))) == wrong


def test_the_quota_counts_what_is_deployed(here: Here, tmp_path: Path) -> None:
    serve(here, blue=100)
    app = app_of(here, tmp_path)
    app.wire.lost = "/locations/"
    away = of_target(app)[f"{TARGET}, second deployment, quota"]
    assert (away.health, "got no answer" in away.found) == (Health.WRONG, True)
    known = of_target(app)[f"{TARGET}, second deployment, quota"]
    assert known.found.startswith("the second deployment needs about 12 cores of standardDSv2Family, and 92 are left")


LIVE = Deployment("blue", "succeeded", "S", 1, "/models/a/versions/1", {})


def test_a_deployment_without_traffic_that_the_app_made_or_keeps_is_well() -> None:
    made = replace(LIVE, name="m1", tags={"relearn.sha256": "1"})
    endpoint = Endpoint("Managed", "succeeded", "aadtoken", "", {"blue": 100}, (LIVE, made))
    target = AzureMLOnlineTarget(name="t", workspace=WORKSPACE, endpoint="e", model="m", datastore="d")
    assert list(bad(decide.endpoint("e", target, endpoint, Known()))) == ["e, identity"]
    former = replace(endpoint, identity="SystemAssigned", deployments=(LIVE, replace(LIVE, name="green")))
    assert list(bad(decide.endpoint("e", target, former, Known()))) == ["e, deployment green"]
    assert list(bad(decide.endpoint("e", target, former, Known(kept=1)))) == []


@pytest.mark.parametrize("body", ['{"value": 1}', '{"properties": []}', '{"properties": {"properties": [1]}}', "[]"])
def test_an_answer_of_another_shape_is_an_error_of_that_call(here: Here, body: str) -> None:
    session = requests.Session()
    session.mount(ADDRESS, Answering(body))
    parts = Parts(Workspace(session, Tokens(lambda: Credential(here)), ADDRESS, here.workspace.id))
    with pytest.raises(UnexpectedAnswer, match="answered no"):
        parts.missing_rights(["jobs/read"])
    for look_at in (parts.component, parts.compute, parts.datastore):
        with suppress(UnexpectedAnswer):
            look_at("a:1")


def test_of_a_fleet_what_its_members_share_is_looked_at_once(here: Here, tmp_path: Path) -> None:
    def of_many(entry: dict[str, Any]) -> None:
        entry |= {"for_each": "clinic", "blobs": "cancer/{clinic}/*.csv"}
        entry["targets"][0] |= {"endpoint": "cancer-{clinic}", "model": "cancer-{clinic}"}

    app = app_of(here, tmp_path, of_many)
    findings = {each.what: each for each in look_at_fleet(app, app.pipelines.fleets[NAME])}
    assert bad(findings.values()) == {}
    assert set(findings) >= {f"{TRAINING}.component", f"{TARGET}.workspace", f"{TARGET}.datastore"}
    assert f"{TARGET}.endpoint" not in findings
    member = {each.what: each for each in look(app, app.pipelines.fleets[NAME].member("north"))}
    missing = member[f"pipelines.{NAME}-north.targets (online).endpoint"]
    assert "no online endpoint 'cancer-north'" in missing.found


def test_a_workspace_that_does_not_answer_is_for_later(here: Here, tmp_path: Path) -> None:
    app = app_of(here, tmp_path)
    app.wire.lost = "GET"
    away = found(app)[f"{TRAINING}.workspace"]
    assert "got no answer" in away.found and away.remedy.endswith("then ask again")
