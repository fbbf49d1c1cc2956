"""What a PUT or PATCH makes of a web service's definition, and what it may not change. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from studio.api.arm import scope
from studio.definitions.definition import Member, Properties, stamp
from studio.errors import StudioError, bad_argument
from studio.state.records import WebService, now

#: the members that count as payload, and are in a blob when they are together larger than `INLINE`
PAYLOAD = ("assets", "input", "output", "package", "parameters", "exampleRequest")
INLINE = 3 << 20
#: members that a PUT does not take away; some are the service's own to write
_STAYING = ("createdOn", "provisioningState", "payloadsInBlobStorage", "storageAccount", "machineLearningWorkspace")
_UNLESS_GIVEN: dict[str, Any] = {
    "readOnly": False,
    "exposeSampleData": True,
    "realtimeConfiguration": {"maxConcurrentCalls": 4},
    "diagnostics": {"level": "None"},
    "parameters": {},
}
_NOT_SHOWN = ("keys", "commitmentPlan", "storageAccount", "payloadsInBlobStorage", "payloadsLocation")
CALLS = range(4, 201)  #: concurrent calls that an endpoint may take


class Whole(Member):
    """The body of a PUT, and of the preview's PATCH."""

    location: str
    properties: Properties
    tags: dict[str, str] | None = None


class Patch(Member):
    """The body of a PATCH; a location in it is not read."""

    properties: Properties | None = None
    tags: dict[str, str] | None = None


def check_values(given: Properties) -> None:
    """Raise for a value that no service may have."""
    calls = given.realtime_configuration.max_concurrent_calls if given.realtime_configuration else None
    if calls is not None and calls not in CALLS:
        few = "WebServiceConcurrentRequestRequirementInvalid"
        raise bad_argument(
            few if calls < CALLS[0] else "WebServiceTooManyConcurrentRequestRequirement",
            f"realtimeConfiguration.maxConcurrentCalls must be {CALLS[0]} to {CALLS[-1]}, not {calls}.",
            "maxConcurrentCalls",
        )
    if given.diagnostics and given.diagnostics.level not in ("None", "Error", "All"):
        message = f"diagnostics.level must be None, Error or All, not {given.diagnostics.level!r}."
        raise bad_argument("BadParameterValue", message, "level")


def check_type(given: Properties, kept: dict[str, Any] | None) -> None:
    """Raise for a package of another type than Graph, which is the only one there is."""
    if given.package_type == "Graph":
        return
    if kept:
        raise scope.cannot_change("PackageType", "The PackageType cannot be changed. Currently configured = 'Graph'.")
    raise bad_argument(
        "WebServiceTypeInvalid", f"packageType must be Graph, not {given.package_type!r}.", "packageType"
    )


def check_read_only(service: WebService) -> None:
    if service.definition["properties"].get("readOnly"):
        raise scope.cannot_change("ReadOnly", "The web service is read-only; it can only be deleted.")


def check_unchanged(service: WebService, given: Properties) -> None:
    """Raise for a member that stays as it was made. The text for the storage account is from recorded traffic."""
    kept = service.definition["properties"]
    account = kept["storageAccount"]["name"]
    if given.storage_account and (given.storage_account.name or account) != account:
        raise _cannot_change("StorageAccount", "storage account name", account)
    if given.commitment_plan and given.commitment_plan.id.lower() != service.plan:
        raise _cannot_change("CommitmentPlan", "commitment plan", service.plan)
    workspace = kept.get("machineLearningWorkspace", {}).get("id", "")
    other = given.machine_learning_workspace
    if other and workspace and other.id.lower() != workspace.lower():
        raise _cannot_change("MachineLearningWorkspace", "workspace", workspace)


def merged(kept: dict[str, Any], given: Properties, whole: bool) -> dict[str, Any]:
    """Return the properties with those given: in place of all (`whole`) or member by member, assets by their keys."""
    members = {name: value for name, value in msgspec.to_builtins(given).items() if name not in _NOT_SHOWN}
    assets = {key: _without_credentials(asset) for key, asset in members.get("assets", {}).items()}
    if assets:
        members["assets"] = assets if whole else {**kept.get("assets", {}), **assets}
    base = {**_UNLESS_GIVEN, **{name: kept[name] for name in _STAYING if name in kept}} if whole else kept
    return {**base, **members, "modifiedOn": stamp(now())}


def is_large(properties: dict[str, Any]) -> bool:
    """Return whether the payload is kept in a blob."""
    return sum(len(msgspec.json.encode(properties[name])) for name in PAYLOAD if name in properties) > INLINE


def _without_credentials(asset: dict[str, Any]) -> dict[str, Any]:
    location = asset["locationInfo"]
    return {**asset, "locationInfo": {**location, "credentials": ""}} if location.get("credentials") else asset


def _cannot_change(member: str, what: str, configured: str) -> StudioError:
    return scope.cannot_change(member, f"The {member} cannot be changed. Currently configured {what} = '{configured}'.")
