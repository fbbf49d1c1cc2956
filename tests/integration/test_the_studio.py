"""A New web service on the wire, asked with a plain HTTP client."""

from __future__ import annotations

from typing import Any

import requests

from local.workplace import Workplace
from tests.support.studio import Client, error_of


def test_a_new_web_service_keeps_its_keys_to_itself_and_refuses_what_cannot_change(workplace: Workplace) -> None:
    settings = workplace.settings
    client = Client(f"{settings['ARM_ADDRESS']}{settings['BREAST_CANCER_NEW_ID']}", settings["ARM_TOKEN"])

    def call(method: str, path: str = "", body: Any = None) -> requests.Response:
        return client.call(method, path, body, version="2017-01-01")

    definition = call("GET").json()
    assert "keys" not in definition["properties"]
    assert set(definition["properties"]["storageAccount"]) == {"name"}
    assert call("GET", "/listKeys").json()["primary"] == workplace.new.key
    other = {"properties": {"packageType": "Graph", "StorageAccount": {"Name": "other"}}}
    assert error_of(call("PATCH", "", other)) == (400, "BadRequest", "CannotChangeStorageAccount")

    uri = f"{workplace.studio.studio.blobs.address}models/none.ilearner"
    assets = {key: dict(asset) for key, asset in definition["properties"]["assets"].items()}
    for asset in assets.values():
        if asset["type"] == "Resource":
            asset["LocationInfo"] = {"Uri": uri}
            del asset["locationInfo"]
    accepted = call("PATCH", "", {"Properties": {"packageType": "Graph", "Assets": assets}})
    assert accepted.status_code == 200
    assert accepted.json()["properties"]["provisioningState"] == "Provisioning"
    operation = requests.get(
        accepted.headers["Azure-AsyncOperation"],
        headers={"Authorization": f"Bearer {settings['ARM_TOKEN']}"},
        timeout=30,
    ).json()
    assert (operation["status"], operation["error"]["details"][0]["code"]) == ("Failed", "BlobNotFound")
    assert call("GET").json()["properties"]["assets"] == definition["properties"]["assets"]
    titled = call("PATCH", "", {"properties": {"packageType": "Graph", "title": "Other"}, "tags": {"team": "a"}})
    assert titled.status_code == 200
    assert (call("GET").json()["properties"]["title"], call("GET").json()["tags"]) == ("Other", {"team": "a"})
    made = Client(f"{client.address}two", settings["ARM_TOKEN"])
    created = made.call("PUT", "", {**definition, "location": "South Central US"}, version="2017-01-01")
    assert created.status_code == 201
    keys = made.call("GET", "/listKeys", version="2017-01-01").json()
    base = made.call("GET", version="2017-01-01").json()["properties"]["swaggerLocation"].removesuffix("/swagger.json")
    table = {"ColumnNames": workplace.header, "Values": workplace.rows[:1]}
    assert Client(base, keys["primary"]).call("POST", "/execute", {"Inputs": {"input1": table}}).status_code == 200
    missing = Client(f"{client.address}x", settings["ARM_TOKEN"]).call("GET", version="2017-01-01")
    assert error_of(missing) == (404, "NotFound", "WebServiceNotFound")
