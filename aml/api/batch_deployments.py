"""Deployments of batch endpoints: each is a pipeline component, of which a call makes a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from aml.addresses import of_resources
from aml.api import scope
from aml.api.batch_endpoints import endpoint_of, path_of
from aml.api.changes import begin, check_still, delete, followed, make_or_begin, shown_deployment
from aml.api.jobs import check_nodes
from aml.api.listing import listed
from aml.api.online_forms import MOST_DEPLOYMENTS, check_deployment_name, read_described
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.jobs.runner import component_of
from aml.jobs.task import members_of
from aml.members import text_of
from aml.state.records import make
from aml.state.serving import BatchDeployment

KIND = "PipelineComponent"
#: what is kept and answered, and changes nothing: each is of deployments that score with a model
_OF_MODELS: Mapping[str, Any] = {
    "errorThreshold": -1,
    "loggingLevel": "Info",
    "maxConcurrencyPerInstance": 1,
    "miniBatchSize": 10,
    "outputAction": "AppendRow",
    "outputFileName": "predictions.csv",
    "retrySettings": {"maxRetries": 3, "timeout": "PT30S"},
}
_CONFIGURATION = "properties.deploymentConfiguration"


def put_deployment(context: Context, call: Call) -> Response:
    """Make the deployment, or replace it."""
    check_deployment_name(call.names["deployment"])
    body = call.json()
    endpoint = endpoint_of(context, call)
    properties = _read(scope.properties_of(body))
    component = component_of(context.workspace, component_id(properties))
    if component["type"] != "pipeline":
        message = f"The component is a {str(component['type'])[:40]!r}; a batch deployment has a pipeline component."
        raise bad_request(message, f"{_CONFIGURATION}.componentId")
    check_nodes(context, component)
    fresh = make(BatchDeployment, f"{endpoint.path}/deployments/{call.names['deployment']}", properties)
    changes: dict[str, Any] = {
        "properties": properties,
        "tags": scope.texts_of(body, "tags"),
        "location": context.workspace.identity.location,
    }
    with context.serving.writes:
        check_still(endpoint_of(context, call))
        there = context.workspace.records.all(BatchDeployment, f"{endpoint.id}/deployments")
        if len(there) >= MOST_DEPLOYMENTS and fresh.id not in {each.id for each in there}:
            raise bad_request(f"The endpoint has {MOST_DEPLOYMENTS} deployments already, the most that one can have.")
        deployment, operation, new = make_or_begin(context, fresh, "bdidp", changes)
    return followed(context, call, operation, shown_deployment(context, call, deployment), 201 if new else 200)


def patch_deployment(context: Context, call: Call) -> Response:
    """Change tags and description."""
    body = call.json()
    check_still(endpoint_of(context, call))
    found = deployment_of(context, call)
    changes: dict[str, Any] = {}
    if "tags" in body:
        changes["tags"] = scope.texts_of(body, "tags")
    if members_of(body, "properties").get("description") is not None:
        text = text_of(body["properties"], "description")
        changes["properties"] = {**found.properties, "description": text}
    deployment, operation = begin(context, found, "bdidp", "Updating", changes)
    return followed(context, call, operation, shown_deployment(context, call, deployment), 200)


def get_deployment(context: Context, call: Call) -> Response:
    return scope.answer(shown_deployment(context, call, deployment_of(context, call)))


def list_deployments(context: Context, call: Call) -> Response:
    parent = f"{endpoint_of(context, call).id}/deployments"
    return listed(context, call, BatchDeployment, parent, lambda each: shown_deployment(context, call, each))


def delete_deployment(context: Context, call: Call) -> Response:
    """Delete the deployment. The jobs that it started stay; an endpoint whose default it is has none then."""
    with context.serving.writes:
        found = context.workspace.records.find(BatchDeployment, _path(call).lower())
        if found:
            check_still(endpoint_of(context, call))
        return delete(context, call, found, "bdidp")


def deployment_of(context: Context, call: Call) -> BatchDeployment:
    """Return the deployment that the call names."""
    return scope.find(context, BatchDeployment, _path(call))


def component_id(properties: Mapping[str, Any]) -> str:
    return str(properties["deploymentConfiguration"]["componentId"]["assetId"])


def _path(call: Call) -> str:
    return f"{path_of(call)}/deployments/{call.names['deployment']}"


def _read(given: dict[str, Any]) -> dict[str, Any]:
    configuration = members_of(given, "deploymentConfiguration")
    if configuration.get("deploymentConfigurationType") != KIND:
        message = f"Here a batch deployment has a deploymentConfiguration of the type {KIND}: no model scores in batch."
        raise bad_request(message, f"{_CONFIGURATION}.deploymentConfigurationType")
    component = text_of(members_of(configuration, "componentId"), "assetId", f"{_CONFIGURATION}.componentId")
    described = text_of(configuration, "description", _CONFIGURATION, required=False)
    return {
        **read_described(given),
        **{name: given.get(name, default) for name, default in _OF_MODELS.items()},
        "deploymentConfiguration": {
            "deploymentConfigurationType": KIND,
            "componentId": {"referenceType": "Id", "assetId": component},
            "settings": scope.texts_of(configuration, "settings"),
            "tags": scope.texts_of(configuration, "tags"),
            **({"description": described} if described else {}),
        },
    }


_ONE = f"{scope.WORKSPACE}/batchEndpoints/{{endpoint}}/deployments/{{deployment}}"
ADDRESSES = of_resources(
    "arm.batchDeployments", _ONE, list_deployments, get_deployment, put_deployment, delete_deployment, patch_deployment
)
