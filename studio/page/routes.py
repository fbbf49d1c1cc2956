"""The page's addresses: what they read of the records, and the templates that show it.

GET /                                          workspaces and their web services
GET {service}                                  a Classic web service with its endpoints, a page at a time
GET {endpoint}                                 an endpoint: addresses, models, samples
GET {endpoint}/score, /try, /jobs, /update     the same, at that part
POST {endpoint}                                the same with the endpoint's keys
POST {endpoint}/try                            the same with the scores of the form's row
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from service.page.frame import Form, own_address
from service.page.paging import part
from studio.api import ports, rrs
from studio.api.context import Call, Context
from studio.errors import StudioError
from studio.page import faults, samples, trying, views
from studio.page.frame import FRAME
from studio.page.trying import Tried
from studio.publishing import DEFAULT
from studio.state.records import Endpoint, Job, Service, WebService, Workspace

_INLINE = 4  #: a web service with at most that many endpoints is listed with them
_RECENT = 20  #: jobs of an endpoint that are shown
_PARTS = ("score", "try", "jobs", "update")

_SERVICE = f"{views.HELP}/workspaces/{{workspace}}/webservices/{{service}}"
_CLASSIC = f"{_SERVICE}/endpoints/{{endpoint}}"
_NEW = f"{views.HELP}/subscriptions/{{subscription}}/services/{{endpoint}}"

Found = tuple[Service | WebService, Endpoint]


def routes(context: Context) -> list[BaseRoute]:
    """Return the page's routes over what the Studio knows."""
    page = _Page(context)
    return [
        *faults.routes(context),
        Route("/", FRAME.shown(page.front), methods=["GET"]),
        Route(_SERVICE, FRAME.shown(page.service), methods=["GET"]),
        *(
            route
            for place in (_CLASSIC, _NEW)
            for route in (
                Route(place, FRAME.shown(page.endpoint), methods=["GET"]),
                Route(place, FRAME.submitted(page.endpoint_with_keys), methods=["POST"]),
                Route(f"{place}/try", FRAME.submitted(page.try_row), methods=["POST"]),
                Route(f"{place}/{{part}}", FRAME.shown(page.part), methods=["GET"]),
            )
        ),
        *FRAME.routes,
    ]


class _Page:
    def __init__(self, context: Context) -> None:
        self._context, self._studio = context, context.studio

    def front(self, request: Request) -> Response:
        records, identity = self._studio.records, self._studio.identity
        sections: dict[str, dict[str, Any]] = {
            each.id: {"workspace": each, "services": []} for each in records.all(Workspace)
        }
        sections[identity.subscription] = {"workspace": None, "services": []}
        services: list[Service | WebService] = [*records.all(Service), *records.all(WebService)]
        shown = part(services, request.query_params.get("page", ""))
        at = self._place(request)
        for service in shown.items:
            if service.parent in sections and (viewed := self._view(service, at)):
                sections[service.parent]["services"].append(viewed)
        return FRAME.answer("front.html", sections=sections.values(), part=shown, subscription=identity.subscription)

    def service(self, request: Request) -> Response:
        service = self._studio.records.find(Service, request.path_params["service"])
        if service is None or service.parent != request.path_params["workspace"]:
            return FRAME.nothing("No web service has this id.")
        wanted = request.query_params.get("find", "").strip().lower()
        everything = self._studio.records.all(Endpoint, service.id)
        found = [endpoint for endpoint in everything if wanted in endpoint.name.lower()]
        shown = part(found, request.query_params.get("page", ""))
        endpoints = self._endpoints(service, shown.items, self._place(request))
        view = views.view_service(service, self._studio.default_endpoint(service), len(everything), endpoints)
        return FRAME.answer("service.html", service=view, part=shown, wanted=wanted)

    def endpoint(self, request: Request) -> Response:
        return self._endpoint(request)

    def endpoint_with_keys(self, request: Request, _: Form) -> Response:
        return self._endpoint(request, with_keys=True)

    def try_row(self, request: Request, form: Form) -> Response:
        """Score the row of the form as the request-response service does; the page has no key, so its own is taken."""
        if (found := self._find(request)) is None or found[1].training:
            return FRAME.nothing("No endpoint here scores rows.")
        rows = trying.read(form)
        call = Call(
            base=own_address(request),
            path=request.url.path,
            names=request.path_params,
            query=trying.QUERY,
            authorization=f"Bearer {found[1].primary_key}",
            body=trying.request(rows),
        )
        try:
            tried = trying.scored(json.loads(bytes(rrs.execute(self._context, call).body)))
        except StudioError as error:
            tried = trying.refused(error)
        return self._endpoint(request, rows=rows, tried=tried)

    def part(self, request: Request) -> Response:
        """Lead on to the part of the endpoint's page."""
        whole, _, name = request.url.path.rpartition("/")
        if name not in _PARTS or self._find(request) is None:
            return FRAME.nothing("No page has this address.")
        return RedirectResponse(f"{whole}#{name}")

    def _endpoint(
        self, request: Request, *, with_keys: bool = False, rows: trying.Rows | None = None, tried: Tried | None = None
    ) -> Response:
        if (found := self._find(request)) is None:
            return FRAME.nothing("No endpoint has this name.")
        service, endpoint = found
        base, path = own_address(request), self._studio.published(endpoint).path
        view = views.view_endpoint(endpoint, service, self._place(request), path)
        key = endpoint.primary_key if with_keys else None
        models = [self._studio.models.load(scorer.resource.sha256) for scorer in endpoint.scorers]
        parameters, files = ports.parameters(endpoint), views.result_files(endpoint)
        scoring = f"{base}{path}/execute?api-version=2.0&format=swagger"
        updated = views.updatable(endpoint, service)
        example = views.example(endpoint, models)
        return FRAME.answer(
            "endpoint.html",
            tried.status if tried else 200,
            service=views.view_service(service, endpoint, 1),
            endpoint=view,
            settings=endpoint,
            keys=(endpoint.primary_key, endpoint.secondary_key) if with_keys else None,
            inputs=views.inputs(endpoint, models),
            rows={port: {**row, **(rows or {}).get(port, {})} for port, row in example.items()},
            tried=tried,
            faults=len(self._context.faults.concerning((endpoint.id, endpoint.name))),
            parameters=parameters,
            files=files,
            recent=[views.view_job(job) for job in self._studio.records.newest(Job, endpoint.id, _RECENT)],
            score=[] if endpoint.training else samples.score(scoring, example, parameters, key),
            jobs=samples.job(f"{base}{path}/jobs", endpoint.inputs, files, parameters, key),
            update=samples.update(view.address("Update").url, view.models[0].resource, key) if updated else [],
        )

    def _find(self, request: Request) -> Found | None:
        """Return the endpoint of an address of the page, with its service."""
        names, records = request.path_params, self._studio.records
        endpoint = records.find(Endpoint, names["endpoint"])
        if endpoint is None:
            return None
        service: Service | WebService | None
        if "subscription" in names:
            service = records.find(WebService, endpoint.parent)
            is_there = service is not None and service.parent.replace("-", "") == names["subscription"]
        else:
            service = records.find(Service, endpoint.parent)
            is_there = service is not None and (service.parent, service.id) == (names["workspace"], names["service"])
        return (service, endpoint) if service and is_there else None

    def _view(self, service: Service | WebService, at: views.Place) -> views.ServiceView | None:
        """Return the service, with its endpoints if they are few; None when it has just gone."""
        records = self._studio.records
        if isinstance(service, WebService):
            endpoint = records.find(Endpoint, service.endpoint)
            default, count, listed = endpoint, 1, [endpoint] if endpoint else []
        else:
            default, count = records.named(Endpoint, service.id, DEFAULT), records.count(Endpoint, service.id)
            listed = records.all(Endpoint, service.id) if count <= _INLINE else []
        return views.view_service(service, default, count, self._endpoints(service, listed, at)) if default else None

    def _endpoints(
        self, service: Service | WebService, endpoints: Iterable[Endpoint], at: views.Place
    ) -> list[views.EndpointView]:
        return [
            views.view_endpoint(endpoint, service, at, self._studio.published(endpoint).path) for endpoint in endpoints
        ]

    def _place(self, request: Request) -> views.Place:
        return views.Place(own_address(request), self._studio.blobs.address, time.time())
