"""A batch endpoint of a workspace in this process: its component, its deployments, and calls of it."""

from __future__ import annotations

import json
from typing import Any

from aml.identity import tokens
from tests.support.aml import ADDRESS, PORT, Here
from tests.support.asgi import Answer, ask
from tests.support.waiting import until

ENDPOINT = "batchEndpoints/counter"
DATA = {"jobInputType": "UriFile", "uri": "azureml://datastores/workspaceblobstore/paths/in/rows.csv"}


def publish(here: Here) -> None:
    """Publish `components/count`, a command, and `components/counting`, a pipeline of it."""
    place = here.workspace.id
    here.put("environments/python/versions/1", image="python:3.12")
    inputs = {"data": {"type": "uri_file"}, "times": {"type": "integer", "default": "3"}}
    outputs = {"counted": {"type": "uri_folder"}}
    command = "cp ${{inputs.data}} ${{outputs.counted}}/${{inputs.times}}"
    count = {"type": "command", "command": command, "environment": f"azureml:{place}/environments/python/versions/1"}
    here.put("components/count/versions/1", componentSpec={**count, "inputs": inputs, "outputs": outputs})
    node = {
        "type": "command",
        "componentId": f"{place}/components/count/versions/1",
        "inputs": {name: {"value": f"${{{{parent.inputs.{name}}}}}"} for name in inputs},
        "outputs": {"counted": {"value": "${{parent.outputs.counted}}"}},
    }
    spec = {"type": "pipeline", "inputs": inputs, "outputs": outputs, "jobs": {"count": node}}
    here.put("components/counting/versions/1", componentSpec=spec)


def deployment(here: Here, component: str = "counting", **members: Any) -> dict[str, Any]:
    """Return the properties of a deployment."""
    asset = {"referenceType": "Id", "assetId": f"{here.workspace.id}/components/{component}/versions/1"}
    kind = {"deploymentConfigurationType": "PipelineComponent", "componentId": asset}
    return {"deploymentConfiguration": {**kind, "settings": {}, **members}}


def made(here: Here, path: str, **properties: Any) -> Answer:
    """Make an endpoint or deployment, and wait until its operation has ended."""
    answer = here.put(path, **properties)
    assert answer.status in (200, 201), answer.body
    operation = answer.headers["azure-asyncoperation"]
    until(lambda: here.call("GET", operation).json["status"] == "Succeeded", "it is made")
    return answer


def ready(here: Here) -> None:
    """Have the endpoint with the deployments `first`, its default, and `second`."""
    publish(here)
    made(here, ENDPOINT)
    for name in ("first", "second"):
        made(here, f"{ENDPOINT}/deployments/{name}", **deployment(here))
    made(here, ENDPOINT, defaults={"deploymentName": "first"})


def invoked(here: Here, headers: dict[str, str] | None = None, token: str | None = None, **members: Any) -> Answer:
    """Call the endpoint at the address that it answers."""
    uri = str(here.call("GET", ENDPOINT).json["properties"]["scoringUri"])
    own = tokens.issue(here.workspace.identity, "https://ml.azure.com")[0]
    given = {"Authorization": f"Bearer {own if token is None else token}", **(headers or {})}
    body = json.dumps({"properties": {"inputData": {"data": DATA}, **members}}).encode()
    return ask(here.app, "POST", uri.removeprefix(ADDRESS), given, [body], PORT)
