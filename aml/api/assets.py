"""Models, data, environments, components and code: an asset has versions, and what a version is never changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from aml.addresses import Address, of_resources
from aml.api import scope
from aml.api.listing import listed, marks_of_tags
from aml.call import Call
from aml.context import Context
from aml.errors import bad_request
from aml.members import text_of
from aml.state.assets import add_version, change_properties, find_or_make_asset, remove_version, with_properties
from aml.state.records import Asset, Version
from aml.storage.addresses import resolved

#: members of a version, and of an asset, that may change
CHANGEABLE = ("description", "tags", "properties", "isArchived", "stage", "provisioningState", "flavors")


_ADDRESSES = frozenset({"modelUri", "dataUri"})  #: of data; an output of a job is kept by the place that it has


@dataclass(frozen=True)
class Collection:
    """One kind of asset. `defaults` are members of a version unless they are given, `adds` those of the service."""

    name: str
    check: Callable[[dict[str, Any]], None]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    adds: Mapping[str, Any] = field(default_factory=lambda: {"provisioningState": "Succeeded"})

    def filled(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the properties of a version with what is not given."""
        given = {**properties, **self.adds, **_common(properties)}
        return {**self.defaults, **given, "isAnonymous": bool(properties.get("isAnonymous"))}


def _required(*members: str) -> Callable[[dict[str, Any]], None]:
    def check(properties: dict[str, Any]) -> None:
        for member in members:
            text_of(properties, member)

    return check


def _check_model(properties: dict[str, Any]) -> None:
    text_of(properties, "modelUri")
    flavors = properties.get("flavors")
    if not (
        flavors is None or (isinstance(flavors, dict) and all(isinstance(each, dict) for each in flavors.values()))
    ):
        raise bad_request("The member 'properties.flavors' must be an object of objects.", "properties.flavors")


def _check_environment(properties: dict[str, Any]) -> None:
    if not any(properties.get(member) for member in ("image", "build", "condaFile")):
        raise bad_request("An environment has an image, a build context or a conda file.", "properties.image")


def _check_component(properties: dict[str, Any]) -> None:
    specification = properties.get("componentSpec")
    if not isinstance(specification, dict):
        raise bad_request("A component has an object 'componentSpec'.", "properties.componentSpec")
    text_of(specification, "type")


MODELS = Collection("models", _check_model, {"modelType": "custom_model", "flavors": {}})
COLLECTIONS = (
    MODELS,
    Collection("data", _required("dataUri", "dataType"), adds={}),
    Collection("environments", _check_environment, {"environmentType": "UserCreated", "osType": "Linux"}),
    Collection("components", _check_component),
    Collection("codes", _required("codeUri")),
)


class Assets:
    """The calls of one collection."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    @property
    def addresses(self) -> list[Address]:
        operation, asset = f"arm.{self._collection.name}", f"{scope.WORKSPACE}/{self._collection.name}/{{name}}"
        version = f"{asset}/versions/{{version}}"
        return [
            *of_resources(operation, asset, self.list_assets, self.get_asset, self.put_asset, self.delete_asset),
            *of_resources(
                operation, version, self.list_versions, self.get_version, self.put_version, self.delete_version
            ),
        ]

    def list_assets(self, context: Context, call: Call) -> Response:
        return listed(context, call, Asset, self._collection.name, lambda each: self._shown(context, each))

    def get_asset(self, context: Context, call: Call) -> Response:
        return scope.answer(self._shown(context, self._asset(context, call)))

    def put_asset(self, context: Context, call: Call) -> Response:
        given = _common(scope.properties_of(call.json()))
        asset, made = find_or_make_asset(context.workspace.records, self._path(call))
        if not made and given["isArchived"] != asset.properties.get("isArchived", False):
            archived = {"isArchived": given["isArchived"]}
            versions = f"{asset.id}/versions"
            context.workspace.records.change_all(Version, versions, lambda each: with_properties(each, archived))
        changed = change_properties(context.workspace.records, asset, lambda _: given)
        return scope.answer(self._shown(context, changed), 201 if made else 200)

    def delete_asset(self, context: Context, call: Call) -> Response:
        records = context.workspace.records
        asset = records.find(Asset, self._path(call).lower())
        if asset is None:
            return scope.answer(None, 204)
        records.delete(asset, *records.all(Version, f"{asset.id}/versions"))
        return scope.answer(None, 200)

    def list_versions(self, context: Context, call: Call) -> Response:
        order = (call.query.get("$orderBy") or "createdtime desc").lower()
        if order not in ("createdtime desc", "createdtimeutc desc"):
            raise bad_request(f"$orderBy is {order[:40]!r}; it can be 'createdtime desc'.", "$orderBy")
        marks = marks_of_tags(call.query.get("tags") or call.query.get("$tags") or "")
        digest = call.query.get("hash")

        def wanted(version: Version) -> bool:
            hashed = (version.properties.get("properties") or {}).get("hash_sha256")
            return digest is None or hashed == digest

        parent = f"{self._path(call)}/versions"  # of an asset that is not there the list is empty
        return listed(context, call, Version, parent, lambda each: scope.shown(context, each), wanted, marks)

    def get_version(self, context: Context, call: Call) -> Response:
        return scope.answer(scope.shown(context, scope.find(context, Version, self._version_path(call))))

    def put_version(self, context: Context, call: Call) -> Response:
        """Make the version, or change what may be changed of it: a lost answer's call may come again."""
        scope.check_name(call.names["version"], "version")
        properties = scope.properties_of(call.json())
        self._collection.check(properties)
        for member in _ADDRESSES & properties.keys():
            if properties[member].lower().startswith(("azureml://jobs/", "runs:/")):
                properties[member] = resolved(context.workspace, properties[member], f"properties.{member}")
        given = self._collection.filled(properties)
        asset, _ = find_or_make_asset(context.workspace.records, self._path(call))
        kept, new = add_version(context.workspace.records, asset, call.names["version"], given)
        if not new:
            kept = self._changed(context, kept, given)
        return scope.answer(scope.shown(context, kept), 201 if new else 200)

    def delete_version(self, context: Context, call: Call) -> Response:
        found = context.workspace.records.find(Version, self._version_path(call).lower())
        if found is None:
            return scope.answer(None, 204)
        remove_version(context.workspace.records, found)
        return scope.answer(None, 200)

    def _changed(self, context: Context, kept: Version, given: dict[str, Any]) -> Version:
        for member in given.keys() - set(CHANGEABLE):
            if kept.properties.get(member) != given[member]:
                raise _fixed(kept, member)
        return change_properties(context.workspace.records, kept, lambda _: given)

    def _asset(self, context: Context, call: Call) -> Asset:
        return scope.find(context, Asset, self._path(call))

    def _path(self, call: Call) -> str:
        scope.check_name(call.names["name"], "name")
        return f"{self._collection.name}/{call.names['name']}"

    def _version_path(self, call: Call) -> str:
        return f"{self._path(call)}/versions/{call.names['version']}"

    def _shown(self, context: Context, asset: Asset) -> dict[str, Any]:
        newest = context.workspace.records.newest(Version, f"{asset.id}/versions", 1)
        latest = {"latestVersion": newest[0].name} if newest else {}
        answer = scope.shown(context, asset)
        answer["properties"] = {**asset.properties, **latest, "nextVersion": str(asset.highest + 1)}
        return answer


def _common(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that every asset and version has."""
    archived = properties.get("isArchived") or False
    if not isinstance(archived, bool):
        raise bad_request("The member 'properties.isArchived' must be true or false.", "properties.isArchived")
    description = properties.get("description")
    if not isinstance(description, str | None):
        raise bad_request("The member 'properties.description' must be a text.", "properties.description")
    return {
        **({"description": description} if description else {}),
        "tags": scope.texts_of(properties, "tags"),
        "properties": scope.texts_of(properties, "properties"),
        "isArchived": archived,
    }


def _fixed(kept: Version, member: str) -> Exception:
    if member in ("modelUri", "dataUri", "codeUri"):
        return bad_request("Asset paths cannot be updated.", f"properties.{member}")
    name = f"{kept.path.split('/')[1]}:{kept.name}"
    message = f"The {kept.collection[:-1]} {name} is there already, with another '{member}'. Give it a new version."
    return bad_request(message, f"properties.{member}")


ADDRESSES = [address for collection in COLLECTIONS for address in Assets(collection).addresses]
