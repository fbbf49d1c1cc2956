"""The resource manager's wire shapes against Microsoft's published specification, where a copy of it is at hand.

`RELEARN_SPECIFICATIONS` names its folder (`2017-01-01/webservices.json` in it, as in Azure/azure-rest-api-specs);
without the setting it is looked for beside the checkout.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft4Validator

from local.children import ROOT
from local.workplace import PIPELINE, Workplace
from shared.app import App
from shared.settings import Settings

FOLDER = Path(os.environ.get("RELEARN_SPECIFICATIONS") or ROOT.parent / "shared" / "specs")
FILE = FOLDER / "2017-01-01" / "webservices.json"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="Microsoft's specification of web services is not here; set RELEARN_SPECIFICATIONS"
)


def faults(definition: str, body: Any) -> list[str]:
    specification = json.loads(FILE.read_text("utf-8"))
    schema = {"$ref": f"#/definitions/{definition}", "definitions": specification["definitions"]}
    return [f"{list(error.path)}: {error.message}" for error in Draft4Validator(schema).iter_errors(body)]


def test_what_the_studio_answers_and_what_the_app_sends_is_as_specified(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, Any, Any]] = []
    request = requests.Session.request

    def recorded(self: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        answer = request(self, method, url, **options)
        sent.append((f"{method} {url}", options.get("json"), answer))
        return answer

    monkeypatch.setattr(requests.Session, "request", recorded)
    app = App(Settings(workplace.settings))
    endpoint = app.promotion.endpoints(app.pipelines[PIPELINE])["new"]
    endpoint.update(endpoint.model(), lambda _: None)

    bodies = {asked.split("?")[0].split("/")[-1]: (body, answer) for asked, body, answer in sent}
    name = workplace.new.management.rsplit("/", 1)[1]
    patched, _ = bodies[name]
    assert faults("PatchedWebService", patched) == []
    assert faults("WebServicePropertiesForGraph", patched["properties"]) == []
    [operation] = [answer.json() for asked, _, answer in sent if "/operationsStatus/" in asked]
    assert faults("AsyncOperationStatus", operation) == []

    service = f"{workplace.settings['ARM_ADDRESS']}{workplace.new.management}"
    options: dict[str, Any] = {
        "params": {"api-version": "2017-01-01"},
        "headers": {"Authorization": f"Bearer {workplace.settings['ARM_TOKEN']}"},
        "timeout": 30,
    }
    definition = requests.get(service, **options).json()
    assert faults("WebService", definition) == []
    assert faults("WebServicePropertiesForGraph", definition["properties"]) == []
    assert faults("WebServiceKeys", requests.get(f"{service}/listKeys", **options).json()) == []
    assert faults("PaginatedWebServicesList", requests.get(service.rsplit("/", 1)[0], **options).json()) == []
    assert faults("WebService", {**definition, "location": 7}) != []
