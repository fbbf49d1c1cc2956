"""The resources of the local Azure Machine Learning workspace: made, read, changed, listed and deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.aml import MODEL, Here, refusal

#: of each collection, the right properties of a version, and a member that cannot change with another value
VERSIONS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "models": (MODEL, "modelUri", "azureml://datastores/workspaceblobstore/paths/models/b/"),
    "data": ({"dataType": "uri_file", "dataUri": "azureml://datastores/a/paths/b"}, "dataUri", "azureml://other"),
    "environments": ({"image": "python:3.12"}, "image", "python:3.13"),
    "components": ({"componentSpec": {"type": "command", "command": "a"}}, "componentSpec", {"type": "command"}),
    "codes": ({"codeUri": "https://account.blob.core.windows.net/a/b"}, "codeUri", "https://other"),
}


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


@pytest.mark.parametrize("collection", VERSIONS)
def test_a_put_that_comes_twice_makes_one_version(here: Here, collection: str) -> None:
    properties, _, _ = VERSIONS[collection]
    answers = [here.put(f"{collection}/income/versions/1", **properties) for _ in range(2)]
    assert [each.status for each in answers] == [201, 200]
    assert answers[0].json["properties"] == answers[1].json["properties"]
    assert here.names(f"{collection}/income/versions") == ["1"]
    assert here.call("GET", f"{collection}/income/versions/1").json["properties"].items() >= properties.items()


@pytest.mark.parametrize("collection", VERSIONS)
def test_what_a_version_is_never_changes_and_its_tags_do(here: Here, collection: str) -> None:
    properties, member, other = VERSIONS[collection]
    here.put(f"{collection}/income/versions/1", **properties)
    refused = here.put(f"{collection}/income/versions/1", **{**properties, member: other})
    assert refusal(refused) == (400, "UserError")
    assert refused.json["error"]["target"] == f"properties.{member}"
    changed = here.put(f"{collection}/income/versions/1", **properties, tags={"a": "b"}, description="text")
    assert (changed.status, changed.json["properties"]["tags"]) == (200, {"a": "b"})
    assert changed.json["properties"][member] == properties[member]


def test_ids_are_read_in_any_case_and_answered_as_they_were_made(here: Here) -> None:
    here.put("models/Income/versions/A", **MODEL)
    assert here.put("MODELS/income/VERSIONS/a", **MODEL).status == 200
    found = here.call("GET", f"{here.workspace.id.upper()}/Models/INCOME/versions/a")
    assert found.json["id"] == f"{here.workspace.id}/models/Income/versions/A"
    assert found.json["type"] == "Microsoft.MachineLearningServices/workspaces/models/versions"


def test_the_newest_version_is_the_latest_and_the_next_one_follows_the_largest_number(here: Here) -> None:
    for version in ("1", "10", "3f2a91", "2"):
        here.put(f"models/income/versions/{version}", **MODEL)
    properties = here.call("GET", "models/income").json["properties"]
    assert (properties["latestVersion"], properties["nextVersion"]) == ("2", "11")
    newest = here.call("GET", "models/income/versions", **{"$orderBy": "createdtime desc", "$top": "1"}).json
    assert [each["name"] for each in newest["value"]] == ["2"]
    assert "nextLink" not in newest


def test_a_list_leaves_out_what_is_archived_unless_asked(here: Here) -> None:
    here.put("models/income/versions/1", **MODEL)
    here.put("models/income/versions/2", **MODEL, isArchived=True)
    shown = {view: here.names("models/income/versions", listViewType=view) for view in ("ActiveOnly", "ArchivedOnly")}
    assert shown == {"ActiveOnly": ["1"], "ArchivedOnly": ["2"]}
    assert here.names("models/income/versions", listViewType="All") == ["2", "1"]
    here.put("models/income", isArchived=True)
    assert here.names("models/income/versions") == []
    assert here.names("models") == []


def test_a_list_by_tags_has_what_has_all_of_them(here: Here) -> None:
    for version, tags in {"1": {"a": "b"}, "2": {"a": "c"}, "3": {"a": "b", "d": "e"}}.items():
        here.put(f"models/income/versions/{version}", **MODEL, tags=tags)
    assert here.names("models/income/versions", tags="a=b") == ["3", "1"]
    assert here.names("models/income/versions", tags="a,d=e") == ["3"]


@pytest.mark.parametrize("place", ["models/a/versions", "jobs", "onlineEndpoints"])
def test_a_list_by_more_tags_than_a_resource_has_is_refused(here: Here, place: str) -> None:
    many = ",".join(map(str, range(60)))
    assert refusal(here.call("GET", place, tags=many, tag=many)) == (400, "UserError")
    assert here.names(place, tags="a,a", tag="a," * 60) == []


def test_next_links_lead_to_every_resource_once(here: Here) -> None:
    for number in range(7):
        here.put(f"models/income/versions/{number}", **MODEL)
    first = here.call("GET", "models/income/versions", count="3")
    assert len(first.json["value"]) == 3
    here.put("models/income/versions/later", **MODEL)  # between two pages
    second = here.call("GET", first.json["nextLink"])
    third = here.call("GET", second.json["nextLink"])
    pages = [[each["name"] for each in page.json["value"]] for page in (first, second, third)]
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    assert "nextLink" not in third.json


def test_a_deleted_version_is_gone_and_may_be_deleted_again(here: Here) -> None:
    here.put("models/income/versions/1", **MODEL)
    assert [here.call("DELETE", "models/income/versions/1").status for _ in range(2)] == [200, 204]
    assert refusal(here.call("GET", "models/income/versions/1")) == (404, "UserError")
    here.put("models/income/versions/2", **MODEL)
    assert [here.call("DELETE", "models/income").status for _ in range(2)] == [200, 204]
    assert refusal(here.call("GET", "models/income")) == (404, "UserError")
    assert here.names("models/income/versions") == []


def test_what_was_made_is_there_after_a_restart(here: Here) -> None:
    here.put("models/income/versions/1", **MODEL)
    again = Here(here.workspace.folder)
    assert again.workspace.identity == here.workspace.identity
    assert again.call("GET", "models/income/versions/1", token=here.token).status == 200


def test_a_workspace_has_its_stores_and_a_compute(here: Here) -> None:
    assert sorted(here.names("datastores")) == ["workspaceartifactstore", "workspaceblobstore"]
    assert here.names("datastores", isDefault="true") == ["workspaceblobstore"]
    assert here.call("GET", "computes/cpu-cluster").json["properties"]["provisioningState"] == "Succeeded"


def test_a_datastore_names_a_container_of_the_own_account_only(here: Here) -> None:
    own = {"datastoreType": "AzureBlob", "accountName": here.workspace.account.name, "containerName": "data"}
    key = {"credentialsType": "AccountKey", "secrets": {"secretsType": "AccountKey", "key": "c2VjcmV0"}}
    assert here.put("datastores/relearn", **own, credentials=key).status == 201
    assert b"c2VjcmV0" not in here.call("GET", "datastores/relearn").body
    other = here.put("datastores/other", **{**own, "accountName": "somebodyelses"}, credentials=key)
    assert refusal(other) == (400, "UserError")
    assert refusal(here.put("datastores/relearn", **{**own, "containerName": "other"})) == (400, "UserError")
    assert refusal(here.call("DELETE", "datastores/workspaceblobstore")) == (409, "Conflict")
    assert [here.call("DELETE", "datastores/relearn").status for _ in range(2)] == [200, 204]


@pytest.mark.parametrize("version", ["2022-02-01-preview", "2023-04-01", "2025-01-01-preview"])
def test_every_version_that_clients_send_is_taken(here: Here, version: str) -> None:
    assert here.call("GET", "", version=version).status == 200


@pytest.mark.parametrize(
    ("version", "code"), [("", "MissingApiVersionParameter"), ("latest", "InvalidApiVersionParameter")]
)
def test_a_call_without_a_right_version_is_refused(here: Here, version: str, code: str) -> None:
    assert refusal(here.call("GET", "", version=version)) == (400, code)


@pytest.mark.parametrize(
    ("member", "value"), [("description", {"a": "b"}), ("flavors", "azureml:"), ("flavors", {"sklearn": "1"})]
)
def test_a_member_of_a_version_has_the_form_of_its_type(here: Here, member: str, value: Any) -> None:
    answer = here.put("models/a/versions/1", **{**MODEL, member: value})
    assert refusal(answer) == (400, "UserError")
    assert answer.json["error"]["target"] == f"properties.{member}"
    assert here.call("GET", "models/a/versions/1").status == 404
