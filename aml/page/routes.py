"""The page's addresses: what they read of the records, and the templates that show it.

GET /                                              the workspace: its endpoints, latest jobs and models
GET /jobs, /models, /endpoints                     all of them, a page at a time
GET /jobs/{job}, /jobs/{job}/nodes/{node}          a job, or a step of a pipeline job
GET /models/{model}                                a model with its versions
GET /endpoints/{endpoint}                          an endpoint: addresses, traffic, deployments, samples
POST /endpoints/{endpoint}                         the same with the endpoint's keys
GET /endpoints/{endpoint}/deployments/{deployment} a deployment with its logs
GET /batch-endpoints, /batch-endpoints/{endpoint}  batch endpoints; one with its deployments and samples
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from azure.core.exceptions import AzureError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aml.api.batch_deployments import component_id
from aml.api.online_deployments import last_lines
from aml.context import Context
from aml.errors import ArmError
from aml.identity.names import jobs_uri, scoring_uri
from aml.jobs.log import end_of_log
from aml.jobs.runner import component_of
from aml.page import samples, views
from aml.page.example import example
from aml.page.frame import FRAME, slice_of
from aml.serving.replica import LOGS
from aml.state.records import Asset, Job, Resource, Version, invoked_mark
from aml.state.runs import Logged, Run
from aml.state.serving import BatchDeployment, BatchEndpoint, Deployment, Endpoint
from service.page.frame import Form, own_address

T = TypeVar("T", bound=Resource)

_LATEST = 5  #: of each kind on the front
_STEPS = 200  #: of a pipeline job
_LOG = 32 << 10  #: bytes of a job's log
_LINES = 200  #: of a deployment's log
_PLOTS, _POINTS = 24, 500  #: metrics that are plotted, and the latest values that a plot has
_VERSION = "2025-12-01"
_JOB, _NODE = "/jobs/{job}", "/jobs/{job}/nodes/{node}"
_ENDPOINT = "/endpoints/{endpoint}"


def routes(context: Context) -> list[BaseRoute]:
    """Return the page's routes over what the workspace knows."""
    page = _Page(context)
    shown = {
        "/": page.front,
        "/jobs": page.jobs,
        _JOB: page.job,
        _NODE: page.job,
        "/models": page.models,
        "/models/{model}": page.model,
        "/endpoints": page.endpoints,
        _ENDPOINT: page.endpoint,
        f"{_ENDPOINT}/deployments/{{deployment}}": page.deployment,
        "/batch-endpoints": page.batch_endpoints,
        "/batch-endpoints/{endpoint}": page.batch_endpoint,
    }
    return [
        *(Route(path, FRAME.shown(handler), methods=["GET"]) for path, handler in shown.items()),
        Route(_ENDPOINT, FRAME.submitted(page.endpoint_with_keys), methods=["POST"]),
        *FRAME.routes,
    ]


class _Page:
    def __init__(self, context: Context) -> None:
        self._context, self._workspace = context, context.workspace
        self._records = context.workspace.records

    def front(self, _: Request) -> Response:
        return FRAME.answer(
            "front.html",
            workspace=self._workspace.identity,
            endpoints=[
                views.view_endpoint(each) for each in self._records.newest(Endpoint, "onlineendpoints", _LATEST)
            ],
            batch=[views.view_batch(each) for each in self._records.newest(BatchEndpoint, "batchendpoints", _LATEST)],
            jobs=[views.view_job(each) for each in self._records.newest(Job, "jobs", _LATEST)],
            models=[self._model(each) for each in self._records.newest(Asset, "models", _LATEST)],
        )

    def jobs(self, request: Request) -> Response:
        return self._list(request, "Jobs", Job, "jobs", views.view_job)

    def models(self, request: Request) -> Response:
        return self._list(request, "Models", Asset, "models", self._model)

    def endpoints(self, request: Request) -> Response:
        return self._list(request, "Endpoints", Endpoint, "onlineendpoints", views.view_endpoint)

    def batch_endpoints(self, request: Request) -> Response:
        return self._list(request, "Batch endpoints", BatchEndpoint, "batchendpoints", views.view_batch)

    def _list(self, request: Request, title: str, kind: type[T], parent: str, view: Callable[[T], Any]) -> Response:
        found = slice_of(self._records, kind, parent, request.query_params)
        place = request.url.path
        macro = place.strip("/").replace("-", "_")
        items = [view(each) for each in found.items]
        return FRAME.answer("list.html", title=title, place=place, kind=macro, slice=found, items=items)

    def job(self, request: Request) -> Response:
        names = request.path_params
        path = f"jobs/{names['job']}" + (f"/nodes/{names['node']}" if "node" in names else "")
        job = self._records.find(Job, path.lower())
        if job is None:
            return FRAME.nothing("No job has this name.")
        run = self._records.find(Run, job.name.lower())
        steps = slice_of(self._records, Job, f"{job.id}/nodes", {}, _STEPS).items
        log, cut, problem = self._log(job.name)
        return FRAME.answer(
            "job.html",
            job=views.view_job(job),
            parent=None if job.parent == "jobs" else self._records.find(Job, job.parent.rpartition("/")[0]),
            parameters=run.params if run else {},
            metrics=self._metrics(run) if run else [],
            steps=[views.view_job(each) for each in reversed(steps)],
            log=log,
            cut=cut,
            problem=problem,
            samples=[] if "node" in names else samples.job(job.name, self._management(request, job.path)),
        )

    def model(self, request: Request) -> Response:
        model = self._records.find(Asset, f"models/{request.path_params['model']}".lower())
        if model is None:
            return FRAME.nothing("No model has this name.")
        found = slice_of(self._records, Version, f"{model.id}/versions", request.query_params)
        versions = [views.view_version(each) for each in found.items]
        return FRAME.answer("model.html", model=views.view_model(model, None), slice=found, versions=versions)

    def endpoint(self, request: Request) -> Response:
        return self._endpoint_page(request, with_keys=False)

    def endpoint_with_keys(self, request: Request, _: Form) -> Response:
        return self._endpoint_page(request, with_keys=True)

    def deployment(self, request: Request) -> Response:
        names = request.path_params
        place = f"onlineendpoints/{names['endpoint']}".lower()
        endpoint = self._records.find(Endpoint, place)
        found = self._records.find(Deployment, f"{place}/deployments/{names['deployment']}".lower())
        if endpoint is None or found is None:
            return FRAME.nothing("No deployment has this name.")
        folder = self._context.serving.folder / found.folder
        logs = {kind: last_lines(folder / file, _LINES) for kind, file in LOGS.items()}
        view = views.view_deployment(found, endpoint)
        return FRAME.answer("deployment.html", deployment=view, endpoint=views.view_endpoint(endpoint), logs=logs)

    def batch_endpoint(self, request: Request) -> Response:
        endpoint = self._records.find(BatchEndpoint, f"batchendpoints/{request.path_params['endpoint']}".lower())
        if endpoint is None:
            return FRAME.nothing("No batch endpoint has this name.")
        deployments = self._records.all(BatchDeployment, f"{endpoint.id}/deployments")  # an endpoint has few
        address = jobs_uri(self._workspace, own_address(request), endpoint.name)
        jobs, _ = self._records.page(Job, "jobs", lambda _: True, 0, _LATEST, True, [invoked_mark(endpoint.id)])
        default = next((each for each in deployments if each.name.lower() == endpoint.default.lower()), None)
        return FRAME.answer(
            "batch_endpoint.html",
            endpoint=views.view_batch(endpoint),
            deployments=[views.view_batch_deployment(each) for each in deployments],
            jobs=[views.view_job(each) for each in jobs],
            address=address,
            samples=samples.batch(endpoint.name, address, self._needed(default)) if default else [],
        )

    def _needed(self, deployment: BatchDeployment) -> dict[str, dict[str, str]]:
        """Return the inputs that a call must have; none if the component was deleted."""
        try:
            return samples.needed_inputs(component_of(self._workspace, component_id(deployment.properties)))
        except ArmError:
            return {}

    def _endpoint_page(self, request: Request, *, with_keys: bool) -> Response:
        endpoint = self._records.find(Endpoint, f"onlineendpoints/{request.path_params['endpoint']}".lower())
        if endpoint is None:
            return FRAME.nothing("No endpoint has this name.")
        address = scoring_uri(self._workspace, own_address(request), endpoint.name)
        deployments = self._deployments(endpoint)
        auth = endpoint.properties["authMode"]
        keys = (endpoint.primary, endpoint.secondary) if with_keys and auth == "Key" else None
        return FRAME.answer(
            "endpoint.html",
            endpoint=views.view_endpoint(endpoint),
            deployments=[views.view_deployment(each, endpoint) for each in deployments],
            address=address,
            keys=keys,
            samples=samples.score(
                endpoint.name,
                address,
                self._management(request, f"{endpoint.path}/token"),
                auth,
                self._example(endpoint, deployments),
                keys[0] if keys else None,
            ),
        )

    def _example(self, endpoint: Endpoint, deployments: list[Deployment]) -> dict[str, Any] | None:
        """Return a request for what gets the most traffic."""
        served = [each for each in deployments if each.served and "codeConfiguration" not in each.serves]
        served.sort(key=lambda each: -endpoint.traffic.get(each.name, 0))
        return example(self._context.serving.folder / served[0].served / "model") if served else None

    def _log(self, job: str) -> tuple[str, bool, str]:
        """Return the end of a job's log, whether something is before it, and why it cannot be read."""
        try:
            return *end_of_log(self._workspace.account, job, _LOG), ""
        except AzureError as error:
            return "", False, f"The storage could not be read: {type(error).__name__}."

    def _metrics(self, run: Run) -> list[views.Metric]:
        found = []
        for number, (name, latest) in enumerate(run.metrics.items()):
            logged = self._records.newest(Logged, f"{run.id}/{name}", _POINTS) if number < _PLOTS else []
            found.append(views.view_metric(name, latest, [each.point for each in logged]))
        return found

    def _deployments(self, endpoint: Endpoint) -> list[Deployment]:
        return self._records.all(Deployment, f"{endpoint.id}/deployments")  # an endpoint has few

    def _model(self, model: Asset) -> views.ModelView:
        newest = self._records.newest(Version, f"{model.id}/versions", 1)
        return views.view_model(model, newest[0] if newest else None)

    def _management(self, request: Request, path: str) -> str:
        return f"{own_address(request)}{self._workspace.id}/{path}?api-version={_VERSION}"
