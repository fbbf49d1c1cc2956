"""What a workspace says of the parts that a pipeline names, for people who set it up. No retraining needs it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from shared.adapters.azureml.workspace import Workspace, is_same, state_of
from shared.adapters.http import understood
from shared.adapters.permissions import PERMISSIONS, VERSION, allows

_QUOTA_VERSION = "2024-04-01"
_DEDICATED = "vmfamily/dedicatedcores/usages"
_ACTIONS = "Microsoft.MachineLearningServices/workspaces"
#: what the app does in a workspace, by the names of Azure's roles
TRAIN = ("jobs/read", "jobs/write", "datastores/read", "experiments/runs/read")
DEPLOY = (
    "models/write",
    "onlineEndpoints/write",
    "onlineEndpoints/score/action",
    "onlineEndpoints/deployments/write",
    "onlineEndpoints/deployments/delete",
)


@dataclass(frozen=True)
class Input:
    type: str
    required: bool = False  #: the job does not run without a value for it


@dataclass(frozen=True)
class Ports:
    """The inputs and the outputs of a component, each with its type."""

    kind: str
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Compute:
    kind: str
    state: str
    size: str
    nodes: int | None  #: at most; None where the kind of compute does not say
    identity: str


@dataclass(frozen=True)
class Datastore:
    kind: str
    account: str
    container: str
    credentials: str  #: type of them; `None` is by identity


@dataclass(frozen=True)
class Deployment:
    name: str
    state: str
    instance_type: str
    instances: int
    model: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Room:
    """What the region has left of the cores of one family of machines."""

    family: str
    cores: int  #: of one instance
    left: int


@dataclass(frozen=True)
class Endpoint:
    """`traffic` has the shares above 0, by the deployments' names in lower case."""

    kind: str
    state: str
    opened_by: str  #: in lower case: key, amltoken or aadtoken
    identity: str
    traffic: Mapping[str, int]
    deployments: tuple[Deployment, ...]


class Parts:
    """A part that is not there is None; any other refusal is raised."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def location(self) -> str:
        """Return the workspace's region. That it answers shows that it is there, and that the identity may read it."""
        answer = self._workspace.get("")
        with self._reading("workspace"):
            return str(answer.get("location") or "an unknown region")

    def missing_rights(self, needed: Iterable[str]) -> list[str]:
        """Return the actions that the identity may not take."""
        answer = self._workspace.get(PERMISSIONS, **{"api-version": VERSION})
        with self._reading("list of permissions"):
            return [action for action in needed if not allows(answer["value"], f"{_ACTIONS}/{action}")]

    def runs(self) -> str:
        """Return what answers, which is the data plane: jobs are followed there, and their metrics are read."""
        answer = self._workspace.mlflow("POST", "experiments/search", {"max_results": 1})
        count = answer.read(lambda body: len(body.get("experiments") or []), "list of experiments")
        return "answer" if count else "answer; no experiment exists yet"

    def component(self, written: str) -> Ports | None:
        name, _, version = written.removeprefix("azureml:").partition(":")
        found = self._workspace.find(f"components/{name}/versions/{version}")
        with self._reading("component"):
            return ports_of(_properties(found).get("componentSpec") or {}) if found else None

    def has(self, resource: str) -> bool:
        """Return whether an asset is there; one of a registry or of another workspace cannot be looked at."""
        path = self._workspace.below(resource)
        return path is None or self._workspace.find(path) is not None

    def compute(self, name: str) -> Compute | None:
        found = self._workspace.find(f"computes/{name}")
        with self._reading("compute"):
            return _compute(found) if found else None

    def datastore(self, name: str) -> Datastore | None:
        found = self._workspace.find(f"datastores/{name}")
        with self._reading("datastore"):
            return _datastore(found) if found else None

    def endpoint(self, name: str) -> Endpoint | None:
        found = self._workspace.find(f"onlineEndpoints/{name}")
        if found is None:
            return None
        deployments = list(self._workspace.listed(f"onlineEndpoints/{name}/deployments"))
        with self._reading("endpoint with its deployments"):
            return _endpoint(found, deployments)

    def most_instances(self, endpoint: str, deployment: str) -> int | None:
        """Return how many instances the service allows a deployment of this instance type, if it says so."""
        skus = list(self._workspace.listed(f"onlineEndpoints/{endpoint}/deployments/{deployment}/skus"))
        with self._reading("list of sizes"):
            found = [(each.get("capacity") or {}).get("maximum") for each in skus]
            return max((each for each in found if isinstance(each, int)), default=None)

    def room(self, location: str, instance_type: str) -> Room | None:
        """Return the quota for an instance type; None where the service does not know it, or has no limit."""
        subscription = "/".join(self._workspace.id.split("/")[:3])
        place = f"{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"
        version = {"api-version": _QUOTA_VERSION}
        sizes = list(self._workspace.listed(f"{place}/vmSizes", **version))
        usages = list(self._workspace.listed(f"{place}/usages", **version))
        with self._reading("list of sizes and usages"):
            return _room(sizes, usages, instance_type)

    def _reading(self, what: str) -> AbstractContextManager[None]:
        return understood(f"workspace {self._workspace.name} answered no {what}")


def ports_of(specification: Mapping[str, Any]) -> Ports:
    """Return the ports of a component's specification."""
    inputs = (specification.get("inputs") or {}).items()
    outputs = (specification.get("outputs") or {}).items()
    return Ports(
        kind=str(specification.get("type")),
        inputs={name: _input(each) for name, each in inputs},
        outputs={name: str((each or {}).get("type") or "uri_folder") for name, each in outputs},
    )


def _input(written: Mapping[str, Any]) -> Input:
    optional = str(written.get("optional")).lower() == "true"
    return Input(str(written.get("type")), required=not optional and written.get("default") is None)


def _compute(resource: Mapping[str, Any]) -> Compute:
    properties = _properties(resource)
    own = properties.get("properties") or {}
    nodes = (own.get("scaleSettings") or {}).get("maxNodeCount")
    return Compute(
        kind=str(properties.get("computeType")),
        state=state_of(resource),
        size=str(own.get("vmSize") or ""),
        nodes=None if nodes is None else int(nodes),
        identity=_identity(resource),
    )


def _datastore(resource: Mapping[str, Any]) -> Datastore:
    properties = _properties(resource)
    return Datastore(
        kind=str(properties.get("datastoreType")),
        account=str(properties.get("accountName") or ""),
        container=str(properties.get("containerName") or ""),
        credentials=str((properties.get("credentials") or {}).get("credentialsType") or "None"),
    )


def _endpoint(resource: Mapping[str, Any], deployments: Iterable[Mapping[str, Any]]) -> Endpoint:
    properties = _properties(resource)
    return Endpoint(
        kind=str(resource.get("kind") or "Managed"),
        state=state_of(resource),
        opened_by=str(properties.get("authMode")).lower(),
        identity=_identity(resource),
        traffic={name.lower(): int(share) for name, share in (properties.get("traffic") or {}).items() if share},
        deployments=tuple(map(_deployment, deployments)),
    )


def _deployment(resource: Mapping[str, Any]) -> Deployment:
    properties = _properties(resource)
    return Deployment(
        name=str(resource["name"]),
        state=state_of(resource),
        instance_type=str(properties.get("instanceType") or "unknown instance type"),
        instances=int((resource.get("sku") or {}).get("capacity") or 1),
        model=str(properties.get("model") or ""),
        tags=resource.get("tags") or {},
    )


def _room(sizes: list[Mapping[str, Any]], usages: list[Mapping[str, Any]], instance_type: str) -> Room | None:
    size = next((each for each in sizes if is_same(str(each["name"]), instance_type)), None)
    if size is None:
        return None
    family = str(size["family"])
    for each in usages:
        is_dedicated = str(each.get("type") or _DEDICATED).lower().endswith(_DEDICATED)
        if is_dedicated and is_same(str(each["name"]["value"]), family) and each["limit"] >= 0:
            return Room(family, int(size["vCPUs"]), max(0, int(each["limit"]) - int(each["currentValue"])))
    return None


def _identity(resource: Mapping[str, Any]) -> str:
    kind = str((resource.get("identity") or {}).get("type") or "")
    return "" if kind.lower() == "none" else kind


def _properties(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = resource.get("properties") or {}
    return found
