"""What the page shows of the records. Decides only: nothing here reads or writes, and no key is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aml.page.plots import Plot, number, plot
from aml.state.records import FINAL, Asset, Job, Version
from aml.state.runs import Point
from aml.state.serving import BatchDeployment, BatchEndpoint, Deployment, Endpoint, Served

#: classes of a badge by state: what is done, what goes on, what is wrong
_DONE, _BUSY, _WRONG = "done", "busy", "wrong"
_ASSET = re.compile(
    r"(?:azureml:)?(?:/?subscriptions/.*)?/workspaces/[^/]+/(?P<kind>models|data)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/?",
    re.IGNORECASE,
)
_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/.+", re.IGNORECASE)


@dataclass(frozen=True)
class Link:
    """A text, and the page that it leads to, if there is one."""

    text: str
    place: str = ""


@dataclass(frozen=True)
class Port:
    """An input or output: how it is called, its kind, and what it is."""

    name: str
    kind: str
    value: Link


@dataclass(frozen=True)
class JobView:
    name: str
    title: str
    place: str
    state: str
    badge: str
    kind: str
    experiment: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    took: str
    error: str
    command: str
    archived: bool
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Metric:
    name: str
    latest: str
    step: int
    plot: Plot | None
    shown: int  #: values that the plot has


@dataclass(frozen=True)
class Share:
    """What part of an endpoint's calls a deployment gets."""

    deployment: str
    percent: int
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class ServedView:
    """What every endpoint and deployment has."""

    name: str
    state: str
    badge: str
    created: datetime
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DeploymentView(ServedView):
    place: str
    instances: int
    model: Link | None
    script: str
    environment: str
    shares: Sequence[Share]
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class EndpointView(ServedView):
    place: str
    auth: str
    shares: Sequence[Share]


@dataclass(frozen=True, kw_only=True)
class BatchView(ServedView):
    """A batch endpoint: `default` is the deployment that its calls go to."""

    place: str
    default: str


@dataclass(frozen=True, kw_only=True)
class BatchDeploymentView(ServedView):
    component: str


@dataclass(frozen=True)
class VersionView:
    name: str
    created: datetime
    kind: str
    address: Link
    description: str
    tags: Mapping[str, str]
    archived: bool


@dataclass(frozen=True)
class ModelView:
    name: str
    place: str
    created: datetime
    latest: VersionView | None


def view_job(job: Job) -> JobView:
    properties = job.properties
    return JobView(
        name=job.name,
        title=properties["displayName"],
        place=job_place(job),
        state=job.status,
        badge=_job_badge(job.status),
        kind=properties["jobType"],
        experiment=properties["experimentName"],
        created=job.created,
        started=job.begun,
        ended=job.ended,
        took=duration((job.ended - job.begun).total_seconds()) if job.begun and job.ended else "",
        error=str((job.error or {}).get("message", "")),
        command=str(properties.get("command") or ""),
        archived=bool(properties.get("isArchived")),
        inputs=[Port(name, *_port(each, "jobInputType")) for name, each in properties["inputs"].items()],
        outputs=[
            Port(name, *_port(each, "jobOutputType", f"azureml://jobs/{job.name}/outputs/{name}"))
            for name, each in properties["outputs"].items()
        ],
        tags=properties["tags"],
    )


def job_place(job: Job) -> str:
    """Return the path of a job's page; a step of a pipeline has its own below."""
    return f"/{job.path}"


def view_metric(name: str, latest: Point, logged: Sequence[Point]) -> Metric:
    points = [(point.step, point.number) for point in logged]
    return Metric(name, number(latest.number), latest.step, plot(points), len(points))


def view_endpoint(endpoint: Endpoint) -> EndpointView:
    return EndpointView(
        **_served(endpoint),
        place=f"/endpoints/{endpoint.name}",
        auth=endpoint.properties["authMode"],
        shares=[
            *(Share(name, part) for name, part in endpoint.traffic.items()),
            *(Share(name, part, mirrored=True) for name, part in endpoint.mirror.items() if part),
        ],
    )


def view_deployment(deployment: Deployment, endpoint: Endpoint) -> DeploymentView:
    properties = deployment.properties
    live, mirrored = endpoint.traffic.get(deployment.name, 0), endpoint.mirror.get(deployment.name, 0)
    requests = properties["requestSettings"]
    return DeploymentView(
        **_served(deployment),
        place=f"/endpoints/{endpoint.name}/deployments/{deployment.name}",
        instances=deployment.capacity,
        model=link_of(str(properties["model"])) if "model" in properties else None,
        script=str((properties.get("codeConfiguration") or {}).get("scoringScript", "")),
        environment=link_of(str(properties.get("environmentId") or "")).text,
        shares=[Share(deployment.name, live), *([Share(deployment.name, mirrored, mirrored=True)] if mirrored else [])],
        settings={
            "Calls at once": str(requests["maxConcurrentRequestsPerInstance"] * deployment.capacity),
            "Request timeout": requests["requestTimeout"],
            "Instance type": properties["instanceType"],
        },
    )


def view_batch(endpoint: BatchEndpoint) -> BatchView:
    return BatchView(**_served(endpoint), place=f"/batch-endpoints/{endpoint.name}", default=endpoint.default)


def view_batch_deployment(deployment: BatchDeployment) -> BatchDeploymentView:
    component = str(deployment.properties["deploymentConfiguration"]["componentId"]["assetId"])
    return BatchDeploymentView(**_served(deployment), component=link_of(component).text)


def view_version(version: Version) -> VersionView:
    properties = version.properties
    return VersionView(
        name=version.name,
        created=version.created,
        kind=str(properties.get("modelType", "")),
        address=link_of(str(properties["modelUri"])),
        description=str(properties.get("description") or ""),
        tags=properties["tags"],
        archived=bool(properties.get("isArchived")),
    )


def view_model(model: Asset, newest: Version | None) -> ModelView:
    return ModelView(model.name, f"/models/{model.name}", model.created, view_version(newest) if newest else None)


def link_of(address: str) -> Link:
    """Return an address in few words, with the page of what it names."""
    if found := _ASSET.fullmatch(address):
        text = f"{found['name']}:{found['version']}"
        return Link(text, f"/models/{found['name']}" if found["kind"].lower() == "models" else "")
    if found := _OUTPUT.fullmatch(address):
        return Link(address, f"/jobs/{found['job']}")
    parts = address.split("/")
    if address.startswith("/subscriptions/") and parts[-2:-1] == ["versions"]:
        return Link(f"{parts[-3]}:{parts[-1]}")
    return Link(address)


def duration(seconds: float) -> str:
    """Return a time that something took, in the two largest units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _port(port: Mapping[str, Any], kind: str, default: str = "") -> tuple[str, Link]:
    value = port.get("uri") or port.get("value") or default
    return str(port.get(kind, "")), link_of(str(value))


def _job_badge(state: str) -> str:
    if state not in FINAL:
        return _BUSY
    return {"Completed": _DONE, "Failed": _WRONG}.get(state, "")


def _served(resource: Served) -> dict[str, Any]:
    """Return the members of `ServedView`."""
    return {
        "name": resource.name,
        "state": resource.state,
        "badge": _BUSY if resource.moves else {"Succeeded": _DONE, "Failed": _WRONG}.get(resource.state, ""),
        "created": resource.created,
        "description": str(resource.properties.get("description") or ""),
        "tags": resource.tags,
    }
