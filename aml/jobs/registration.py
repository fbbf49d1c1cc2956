"""Outputs that a job names: each becomes a version of a model or of data when the job ends well."""

from __future__ import annotations

from typing import Any

from aml.errors import ArmError
from aml.jobs.task import MODELS, Port
from aml.state.assets import add_next_version, add_version, find_or_make_asset
from aml.state.workspace import Workspace
from aml.storage.addresses import resolved


def register(workspace: Workspace, job: str, name: str, port: Port, address: str) -> None:
    """Register the output of a job; without a version it gets the next number.

    Raises where that version is there already with other files.
    """
    uri = resolved(workspace, address, f"outputs.{name}")
    collection, member = ("models", "modelUri") if port.kind in MODELS else ("data", "dataUri")
    properties: dict[str, Any] = {"tags": {}, "properties": {}, "isAnonymous": False, "isArchived": False}
    if port.kind in MODELS:
        own = {"modelType": port.kind, "flavors": {}, "jobName": job, "provisioningState": "Succeeded"}
    else:
        own = {"dataType": port.kind}
    properties |= {member: uri, **own}
    asset, _ = find_or_make_asset(workspace.records, f"{collection}/{port.asset}")
    if not port.version:
        add_next_version(workspace.records, asset, properties)
        return
    kept, new = add_version(workspace.records, asset, port.version, properties)
    if not new and kept.properties[member] != uri:
        message = (
            f"The output {name!r} cannot be registered: {collection}/{port.asset}:{port.version} is there already, "
            f"with other files. The output is at {uri}."
        )
        raise ArmError(409, "UserError", message, f"properties.outputs.{name}.assetVersion")
