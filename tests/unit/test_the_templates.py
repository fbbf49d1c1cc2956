"""The templates for Azure against the app: neither may change without the other. No template is run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from function_app import app
from local import deployed
from local.children import ROOT
from shared.base.settings import Settings, read_settings
from shared.cli.doctor import settings as doctor
from shared.cli.doctor.finding import Health
from shared.cli.doctor.storage import OWN, POISON

TEMPLATES = deployed.read_templates(ROOT)
MAIN = TEMPLATES["main.bicep"]
SETTINGS = deployed.settings(ROOT)
#: what azd gives each parameter of main.bicep
GIVEN = json.loads((ROOT / "infra/main.parameters.json").read_text("utf-8"))["parameters"]
SAMPLE = read_settings(ROOT / "local.settings.sample.json")
CONNECTIONS = ("AzureWebJobsStorage", "TRAINING_DATA", "RETRAINING_STORE", "PROMOTIONS")
LISTED = app.get_functions()  #: they can be listed only once
#: each function with the kind of its trigger
FUNCTIONS = {each.get_function_name(): each.get_trigger().get_dict_repr()["type"] for each in LISTED}
#: where the app's code asks for a setting or for the storage of one
ASKED = re.compile(r'(?:settings|self|environ)\.(?:get|require|secret)\("([A-Z_]+)"|open_\w+\(\w*settings, "([A-Z_]+)"')
LOGGERS = re.compile(r'^log = logging.getLogger\("?([^")]*)', re.MULTILINE)
#: the built-in roles of Azure that the templates name, by their ids, as Azure's documentation lists them
BUILT_IN = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "db58b8e5-c6ad-4a2a-8342-4190687cbf4a": "Storage Blob Delegator",
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": "AzureML Data Scientist",
}


def module(name: str) -> Mapping[str, Any]:
    params: Mapping[str, Any] = MAIN["modules"][name]["config"]["params"]
    return params


def roles(name: str) -> set[tuple[str, str]]:
    """Return the roles that a template gives, each with the scope that it is given on."""
    template = TEMPLATES[name]
    values = {name: each["value"] for name, each in template["variables"].items()}
    names = {name: BUILT_IN[value] for name, value in values.items() if isinstance(value, str) and value in BUILT_IN}
    found = set()
    for each in template["resources"].values():
        if each["type"] == "Microsoft.Authorization/roleAssignments":
            loop, config = each["config"].get("loop_type"), each["config"].get("config", each["config"])
            role = config["properties"]["roleDefinitionId"]["function"]["parameters"]["resource_name_1"]
            given = [role] if role in names else values[loop["detail"]["array_name"]]
            scope = config["scope"] if isinstance(config["scope"], str) else "each of ownContainers"
            found |= {(names[one], scope) for one in given}
    return found


def test_the_templates_give_every_setting_that_the_sample_has_and_no_other() -> None:
    platform = {"FUNCTIONS_WORKER_RUNTIME"}  # on Flex Consumption a member of the app, not a setting
    given = {name.split("__")[0] for name in SETTINGS if not name.startswith("APPLICATIONINSIGHTS_")}
    assert given == set(SAMPLE) - platform


def test_the_templates_give_every_setting_that_a_trigger_or_the_code_asks_for_and_no_other() -> None:
    bindings = [each.get_dict_repr() for function in LISTED for each in function.get_bindings()]
    asked = {each["connection"] for each in bindings if "connection" in each}
    asked |= set(re.findall(r"%(\w+)%", json.dumps([[*map(str, each.values())] for each in bindings])))
    for path in [ROOT / "function_app.py", *(ROOT / "shared").rglob("*.py")]:
        asked |= {first or second for first, second in ASKED.findall(path.read_text("utf-8"))}
    own = {name.split("__")[0] for name in SETTINGS}
    of_the_host = {"AzureWebJobsStorage"} | {name for name in own if name.startswith("APPLICATIONINSIGHTS_")}
    of_this_machine = {"REQUESTS_CA_BUNDLE"}  # for local services with their own certificate
    assert asked - of_this_machine == own - of_the_host


def test_telemetry_of_the_app_itself_is_off_by_default_and_changes_no_setting_of_the_app() -> None:
    telemetry = deployed.settings(ROOT, "telemetry")
    assert MAIN["parameters"]["openTelemetry"]["default"] is False
    assert telemetry["AzureFunctionsJobHost__telemetryMode"] == "OpenTelemetry"
    assert set(telemetry) & set(SETTINGS) == set()
    text = (ROOT / "infra/modules/app.bicep").read_text("utf-8")
    assert "union(pipelineSettings, settings, openTelemetry ? telemetry : {})" in text
    loggers = {each for path in (ROOT / "shared").rglob("*.py") for each in LOGGERS.findall(path.read_text("utf-8"))}
    loggers |= set(LOGGERS.findall((ROOT / "function_app.py").read_text("utf-8")))
    assert len(loggers) > 8
    assert {each.split(".")[0] for each in loggers} == {telemetry["PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME"]}


@pytest.mark.parametrize("name", sorted(set(SAMPLE) & set(SETTINGS) - {"TRAINING_DATA_SOURCE"}))
def test_a_setting_that_is_not_of_a_place_has_the_samples_value(name: str) -> None:
    assert SETTINGS[name] == SAMPLE[name]


def test_flex_consumption_has_the_only_source_of_blobs_that_it_knows() -> None:
    assert SETTINGS["TRAINING_DATA_SOURCE"] == "eventgrid"


def test_the_doctor_finds_nothing_wrong_with_the_settings_of_the_templates() -> None:
    found = list(doctor.look(Settings(SETTINGS)))
    assert len(found) > 8
    assert [each for each in found if each.health is not Health.OK] == []


@pytest.mark.parametrize("name", CONNECTIONS)
def test_every_connection_is_by_the_apps_own_identity_and_has_no_key(name: str) -> None:
    members = {
        member.removeprefix(f"{name}__"): value for member, value in SETTINGS.items() if member.startswith(f"{name}__")
    }
    assert members.pop("credential") == "managedidentity"
    assert members.pop("clientId") == SETTINGS["RETRAINING_STORE__clientId"]
    assert members
    assert all(member.endswith("ServiceUri") and value.startswith("https://") for member, value in members.items())


def test_the_data_account_has_the_containers_and_queues_that_the_app_uses() -> None:
    account = module("dataStorage")
    assert set(account["containers"]) == {"dataContainer", *OWN, "dead-letters"}
    queue = SETTINGS["PROMOTIONS_QUEUE"]
    assert set(account["queues"]) == {queue, f"{queue}-poison", POISON}
    default = MAIN["parameters"]["dataContainer"]["default"]
    assert SAMPLE["TRAINING_DATA_PATH"] == f"{default}/{{name}}"


def test_the_apps_identity_has_the_roles_that_it_needs_on_each_place_and_no_others() -> None:
    assert roles("modules/host-roles.bicep") == {
        ("Storage Blob Data Owner", "storage"),
        ("Storage Queue Data Contributor", "storage"),
        ("Storage Table Data Contributor", "storage"),
    }
    assert set(TEMPLATES["modules/data-roles.bicep"]["variables"]["ownContainers"]["value"]) == {*OWN, "dead-letters"}
    assert roles("modules/data-roles.bicep") == {
        ("Storage Blob Data Owner", "dropped"),
        ("Storage Blob Data Contributor", "each of ownContainers"),
        ("Storage Blob Delegator", "data"),
        ("Storage Queue Data Contributor", "data"),
    }


def test_the_app_has_its_role_in_a_workspace_of_machine_learning_only_where_one_is_named() -> None:
    assert roles("modules/workspace-role.bicep") == {("AzureML Data Scientist", "workspace")}
    condition = json.dumps(MAIN["modules"]["workspaceRole"]["config"]["condition"])
    for_people = json.dumps(MAIN["modules"]["deployerRoles"]["config"]["condition"])
    assert condition == for_people.replace("deployerId", "workspaceId") != for_people
    assert MAIN["parameters"]["workspaceId"]["default"] == ""


def test_deployer_and_operators_have_the_apps_rights_on_data_and_records_and_none_on_the_hosts_account() -> None:
    users = {
        name: each["config"]["config"]["params"] if "condition" in each["config"] else each["config"]["params"]
        for name, each in MAIN["modules"].items()
        if "principalId" in str(each["config"])
    }
    people = {name: params for name, params in users.items() if isinstance(params.get("principalId"), str)}
    assert {name: (params["principalId"], params["principalType"]) for name, params in people.items()} == {
        "deployerRoles": ("deployerId", "deployerType"),
        "operatorRoles": ("operatorsGroupId", "Group"),
    }
    assert {MAIN["modules"][name]["detail"]["path"] for name in people} == {"modules/data-roles.bicep"}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_role_is_called_what_azure_calls_it(name: str) -> None:
    text = (ROOT / deployed.TEMPLATES / name).read_text("utf-8")
    assert all(BUILT_IN[one] == called for one, called in re.findall(r"= '([0-9a-f-]{36})' // (.+)", text))
    assert len(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)) == len(re.findall(r"= '[0-9a-f-]{36}' // ", text))


def test_keys_are_off_everywhere() -> None:
    account = TEMPLATES["modules/storage.bicep"]["resources"]["account"]["config"]["properties"]
    assert (account["allowSharedKeyAccess"], account["isLocalUserEnabled"], account["allowBlobPublicAccess"]) == (
        False,
        False,
        False,
    )
    insights = TEMPLATES["modules/monitoring.bicep"]["resources"]["insights"]["config"]["properties"]
    assert insights["DisableLocalAuth"] is True


def test_events_of_whole_blobs_of_the_data_container_go_to_the_function_with_the_blob_trigger() -> None:
    [trigger] = [name for name, kind in FUNCTIONS.items() if kind == "blobTrigger"]
    properties = TEMPLATES["subscription.bicep"]["resources"]["subscription"]["config"]["properties"]
    assert f"?functionName=Host.Functions.{trigger}&code=" in properties["destination"]["properties"]["endpointUrl"]
    assert properties["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    assert properties["filter"]["subjectBeginsWith"] == "/blobServices/default/containers/${dataContainer}/blobs/"
    [calls] = properties["filter"]["advancedFilters"]
    assert calls == {
        "operatorType": "StringIn",
        "key": "data.api",
        "values": ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"],
    }
    dead = properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]["blobContainerName"]
    assert dead in module("dataStorage")["containers"]


@pytest.mark.parametrize("hook", ["subscribe.sh", "subscribe.ps1"])
def test_a_hook_gives_the_subscription_every_parameter_from_an_output_of_main(hook: str) -> None:
    text = (ROOT / deployed.TEMPLATES / "hooks" / hook).read_text("utf-8")
    given = dict(re.findall(r'(\w+)="?\$(?:env:)?(\w+)"?', text))
    assert set(given) >= set(TEMPLATES["subscription.bicep"]["parameters"])
    assert set(given.values()) <= set(MAIN["outputs"])
    # The Azure CLI may be signed in to another subscription than azd.
    assert re.search(r'--subscription "?\$(env:)?AZURE_SUBSCRIPTION_ID', text)


@pytest.mark.skipif(sys.platform == "win32", reason="a hook of sh; Windows has the one of PowerShell")
@pytest.mark.parametrize(("fails", "attempts", "status"), [(0, 1, 0), (3, 4, 0), (9, 5, 1)])
def test_the_hook_tries_again_while_the_app_is_starting_and_says_when_it_gives_up(
    tmp_path: Path, fails: int, attempts: int, status: int
) -> None:
    calls = tmp_path / "calls"
    programs = {"az": f'echo "$@" >> {calls}\n[ $(wc -l < {calls}) -gt {fails} ]\n', "sleep": "exit 0\n"}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}", "utf-8")
        (tmp_path / name).chmod(0o755)
    hook = ROOT / deployed.TEMPLATES / "hooks/subscribe.sh"
    values = dict.fromkeys(re.findall(r"\$([A-Z_]+)", hook.read_text("utf-8")), "x")
    environment = {**values, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(hook)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, len(calls.read_text("utf-8").splitlines())) == (status, attempts)
    assert ("azd hooks run postdeploy" in done.stderr) == bool(status)


def test_azd_runs_the_hooks_and_deploys_to_the_tagged_app() -> None:
    [(name, service)] = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))["services"].items()
    for hook in service["hooks"]["postdeploy"].values():  # beside prepackage, which test_predeploy.py has
        assert (ROOT / hook["run"]).exists()
    site = TEMPLATES["modules/app.bicep"]["resources"]["app"]["config"]
    assert f"'azd-service-name': '{name}'" in (ROOT / "infra/modules/app.bicep").read_text("utf-8")
    assert site["properties"]["functionAppConfig"]["runtime"]["name"] == "python"


def test_the_workflow_deploys_with_every_parameter_and_as_the_branch_that_azd_gave_rights() -> None:
    deploy = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]["deploy"]
    named = set(re.findall(r"\$\{(\w+)", json.dumps(GIVEN))) - {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
    assert len(named) > 4
    # The runner's azd environment is empty: what is missing here would get its default back, the network too.
    assert {name: deploy["env"].get(name) for name in named} == {name: f"${{{{ vars.{name} }}}}" for name in named}
    # `azd pipeline config` trusts the token of a branch; the token of a job with an environment has another subject.
    assert "environment" not in deploy


def test_the_package_goes_to_a_container_that_there_is_and_runs_on_a_python_that_is_tested() -> None:
    configuration = TEMPLATES["modules/app.bicep"]["resources"]["app"]["config"]["properties"]["functionAppConfig"]
    container = configuration["deployment"]["storage"]["value"].removeprefix("${host.blob}")
    assert container in module("hostStorage")["containers"]
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]["test"]["strategy"][
        "matrix"
    ]
    assert configuration["runtime"]["version"] in matrix["python"]


def test_a_private_network_closes_both_accounts_and_holds_the_app() -> None:
    for name in ("hostStorage", "dataStorage"):
        assert module(name)["private"] == "privateNetwork"
    text = (ROOT / "infra/modules/storage.bicep").read_text("utf-8")
    assert "publicNetworkAccess: private ? 'Disabled' : 'Enabled'" in text
    assert "defaultAction: private ? 'Deny' : 'Allow'" in text
    closed = {name for name, each in MAIN["modules"].items() if each["config"].get("condition") == "privateNetwork"}
    assert closed == {"network", "hostEndpoints", "dataEndpoints"}


def test_every_parameter_is_given_has_a_default_and_is_documented() -> None:
    assert set(GIVEN) == set(MAIN["parameters"])
    document = (ROOT / "docs/azure.md").read_text("utf-8")
    for name, parameter in MAIN["parameters"].items():
        assert any(each["type"] == "description" for each in parameter["decorators"]), name
        variable = re.fullmatch(r"\$\{(\w+)(=.*)?\}", str(GIVEN[name]["value"]))
        assert variable
        assert (variable[2] is None) == (parameter["default"] is None), name
        assert f"`{variable[1]}`" in document


def test_names_fit_what_azure_allows_whatever_the_environment_is_called() -> None:
    token = "a" * 13  # uniqueString gives 13 letters and digits
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "infra").rglob("*.bicep"))
    names = {each.replace("${token}", token) for each in re.findall(r"'([a-z-]+\$\{token\})'", text)}
    assert len(names) > 8
    for name in names:
        if name.startswith("st"):
            assert re.fullmatch("[a-z0-9]{3,24}", name)
        else:
            assert re.fullmatch("[a-z][a-z0-9-]{1,38}[a-z0-9]", name), name
    assert len("rg-") + 64 <= 90  # the longest name of an environment, within a resource group's name


def test_alerts_watch_poison_queues_failures_and_the_poll() -> None:
    rules = {each["name"]: each for each in TEMPLATES["modules/alerts.bicep"]["variables"]["rules"]["value"]}
    assert set(rules) == {"poison-messages", "failing-functions", "no-poll"}
    named = set(re.findall(r'"(\w+)"', " ".join(rule["query"] for rule in rules.values())))
    assert named <= set(FUNCTIONS)
    assert named == {"poll_jobs", "watch_poisoned_blobs", "watch_poisoned_promotions"}
