"""Data Factory's JSON forms, version 1 and 2, read once into records. No key and no password is ever read.

An artefact is a JSON object with `name` and `properties`: a pipeline, a linked service, a data set, a trigger. A
malformed one raises `BadConfiguration`, which names the file, the activity and the key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.base.errors import BadConfiguration

_NO_SERVICES = {"Managed", "SelfHosted", "MappingDataFlow", "WranglingDataFlow", "Flowlet"}
_INSIDE = ("activities", "ifTrueActivities", "ifFalseActivities", "defaultActivities")
_ACTIVITY = {"name", "type", "description", "linkedServiceName", "typeProperties", "policy", "dependsOn", "inputs"}
_ACTIVITY |= {"outputs", "userProperties"}
_BATCH = {"webServiceInput", "webServiceInputs", "webServiceOutputs", "globalParameters"}
_OBJECTS = ("mlPipelineParameters", "dataPathAssignments")
_RUN = {"mlPipelineId", "mlPipelineEndpointId", "experimentName", *_OBJECTS}
_UPDATE = {"trainedModelName", "trainedModelDatasetName", "trainedModelLinkedServiceName", "trainedModelFilePath"}
_PIPELINE = {"activities", "description", "annotations", "folder", "lastPublishTime", "policy"}


@dataclass(frozen=True)
class Expression:
    """A value that Data Factory computes when it runs."""

    text: str = field(repr=False)


Text = str | Expression


@dataclass(frozen=True)
class Named:
    """What an artefact or an activity has: its name, and the file that it is in."""

    name: str
    file: str = field(compare=False)


@dataclass(frozen=True)
class LinkedService(Named):
    kind: str
    ml_endpoint: Text | None
    update_endpoint: Text | None
    service_principal: bool
    workspace: tuple[Text | None, ...] = ()  #: subscription, resource group and name of one of Azure Machine Learning


@dataclass(frozen=True)
class DataSet(Named):
    storage: str | None
    path: Text | None  #: container/folder/file
    scheduled: bool


@dataclass(frozen=True)
class Place:
    """Where an activity reads or writes: a data set (version 1), or a file of a storage (version 2)."""

    dataset: str | None = None
    storage: str | None = None
    path: Text | None = None


@dataclass(frozen=True, kw_only=True)
class Activity(Named):
    """An activity of a kind that has no counterpart here, or what all kinds have."""

    kind: str
    service: str | None
    after: tuple[str, ...]
    timeout: Text | None
    ignored: tuple[str, ...]  #: the keys that were not read

    @property
    def where(self) -> str:
        return f"{self.file}: activity {self.name!r}"


@dataclass(frozen=True, kw_only=True)
class BatchExecution(Activity):
    inputs: Mapping[str, Place]
    input_named: bool  #: False for version 1's `webServiceInput`, which has no port name
    outputs: Mapping[str, Place]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class UpdateResource(Activity):
    model_name: Text | None
    model: Place


@dataclass(frozen=True, kw_only=True)
class ExecutePipeline(Activity):
    published: Text | None  #: id of what it runs
    experiment: Text | None
    parameters: Mapping[str, Any]
    paths: Mapping[str, Place]  #: by the name of the parameter; the storage is a datastore


@dataclass(frozen=True)
class Pipeline(Named):
    activities: tuple[Activity, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Other(Named):
    """An artefact that has no counterpart here: a trigger, an integration runtime."""

    kind: str


Artefact = Pipeline | LinkedService | DataSet | Other


def read_artefact(document: Mapping[str, Any], file: str) -> Artefact | None:
    """Return the artefact, or None when the JSON object is not one."""
    name, properties = document.get("name"), document.get("properties")
    if not isinstance(name, str) or not isinstance(properties, dict):
        return None
    kind = properties.get("type")
    if "activities" in properties:
        activities = tuple(_activities(properties["activities"], f"{file}: pipeline {name!r}: activities", file))
        return Pipeline(name, file, activities, tuple(sorted(set(properties) - _PIPELINE)))
    if not isinstance(kind, str):
        return None
    if "linkedServiceName" in properties:
        return _data_set(name, file, properties)
    if kind.endswith("Trigger") or kind in _NO_SERVICES:
        return Other(name, file, kind)
    return _linked_service(name, file, kind, properties)


def read_text(value: object) -> Text | None:
    """Return the text, or the expression in any of its forms; None for what is neither."""
    if isinstance(value, dict) and value.get("type") == "Expression":
        return Expression(str(value.get("value")))
    if not isinstance(value, str):
        return None
    if value.startswith("@@"):
        return value[1:]
    return Expression(value) if value.startswith(("@", "$$")) or "@{" in value else value


def _activities(items: object, where: str, file: str) -> Iterator[Activity]:
    if not isinstance(items, list):
        raise BadConfiguration(f"{where} must be a list")
    for index, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise BadConfiguration(f"{where}[{index}] is not an activity: an object with 'type' was expected")
        yield _activity(item, file)
        inside = _object(item, "typeProperties", where)
        cases = inside.get("cases")
        branches = [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []
        for branch, key in [(inside, key) for key in _INSIDE] + [(case, "activities") for case in branches]:
            if key in branch:
                yield from _activities(branch[key], f"{where}[{index}].{key}", file)


def _activity(item: Mapping[str, Any], file: str) -> Activity:
    kind = item["type"]
    name = str(item.get("name") or kind)
    where = f"{file}: activity {name!r}"
    properties, policy = _object(item, "typeProperties", where), _object(item, "policy", where)
    depends = item.get("dependsOn") or []
    known = {"AzureMLBatchExecution": _BATCH, "AzureMLExecutePipeline": _RUN}.get(kind, _UPDATE)
    common: dict[str, Any] = {
        "name": name,
        "file": file,
        "kind": kind,
        "service": _reference(item.get("linkedServiceName")),
        "after": tuple(str(step.get("activity")) for step in depends if isinstance(step, dict)),
        "timeout": read_text(policy.get("timeout")),
        "ignored": (
            *sorted(set(item) - _ACTIVITY),
            *sorted(f"typeProperties.{key}" for key in set(properties) - known),
            *sorted(f"policy.{key}" for key in set(policy) - {"timeout"}),
        ),
    }
    if kind == "AzureMLBatchExecution":
        inputs = {port: _place(value) for port, value in _object(properties, "webServiceInputs", where).items()}
        nameless = not inputs and "webServiceInput" in properties
        return BatchExecution(
            **common,
            inputs={"input1": _place(properties["webServiceInput"])} if nameless else inputs,
            input_named=not nameless,
            outputs={port: _place(value) for port, value in _object(properties, "webServiceOutputs", where).items()},
            parameters=_object(properties, "globalParameters", where),
        )
    if kind == "AzureMLUpdateResource":
        model = Place(
            dataset=_reference(properties.get("trainedModelDatasetName")),
            storage=_reference(properties.get("trainedModelLinkedServiceName")),
            path=read_text(properties.get("trainedModelFilePath")),
        )
        return UpdateResource(**common, model_name=read_text(properties.get("trainedModelName")), model=model)
    if kind == "AzureMLExecutePipeline":
        computed = [key for key in _OBJECTS if isinstance(read_text(properties.get(key)), Expression)]
        plain = {key: {} if key in computed else _object(properties, key, where) for key in _OBJECTS}
        common["ignored"] += tuple(f"typeProperties.{key} (an expression)" for key in computed)
        return ExecutePipeline(
            **common,
            published=read_text(properties.get("mlPipelineId")) or read_text(properties.get("mlPipelineEndpointId")),
            experiment=read_text(properties.get("experimentName")),
            parameters=plain["mlPipelineParameters"],
            paths={name: _place(value) for name, value in plain["dataPathAssignments"].items()},
        )
    return Activity(**common)


def _linked_service(name: str, file: str, kind: str, properties: Mapping[str, Any]) -> LinkedService:
    inside = _object(properties, "typeProperties", f"{file}: linked service {name!r}")
    return LinkedService(
        name,
        file,
        kind,
        read_text(inside.get("mlEndpoint")),
        read_text(inside.get("updateResourceEndpoint")),
        "servicePrincipalId" in inside,
        tuple(read_text(inside.get(key)) for key in ("subscriptionId", "resourceGroupName", "mlWorkspaceName")),
    )


def _data_set(name: str, file: str, properties: Mapping[str, Any]) -> DataSet:
    where = f"{file}: data set {name!r}"
    inside = _object(properties, "typeProperties", where)
    at = _object(inside, "location", where) or inside
    parts = [read_text(at[key]) for key in ("container", "folderPath", "fileName") if at.get(key)]
    texts = [part.strip("/") for part in parts if isinstance(part, str)]
    path: Text | None = "/".join(texts) if len(texts) == len(parts) else Expression(repr(parts))
    if texts and len(texts) == len(parts) and not at.get("fileName"):
        path = f"{path}/"
    storage = _reference(properties["linkedServiceName"])
    return DataSet(name, file, storage, path or None, bool(properties.get("availability")))


def _place(value: object) -> Place:
    """Return a data set, or a path within a storage (`FilePath`) or within a datastore (`RelativePath`)."""
    if not isinstance(value, dict) or "referenceName" in value:
        return Place(dataset=_reference(value))
    # The documents write FilePath, the libraries filePath.
    members = {str(key).casefold(): member for key, member in value.items()}
    storage = members.get("linkedservicename", members.get("datastorename"))
    return Place(storage=_reference(storage), path=read_text(members.get("filepath", members.get("relativepath"))))


def _reference(value: object) -> str | None:
    """Return the name that is referred to: a string in version 1, an object in version 2."""
    name = value.get("referenceName") if isinstance(value, dict) else value
    return name if isinstance(name, str) else None


def _object(parent: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadConfiguration(f"{where}: {key} must be an object")
    return value
