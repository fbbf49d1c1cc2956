"""The page's addresses: what they read of the records, and the templates that show it.

GET /                                          workspaces and their web services
GET {service}                                  a Classic web service with its endpoints, a page at a time
GET {endpoint}                                 an endpoint: addresses, models, samples
GET {endpoint}/score, /jobs, /update           the same, at that part
POST {endpoint}                                the same with the endpoint's keys, for a form of this very page only
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from studio.api import ports
from studio.guard import is_for_this_machine, is_from_this_page
from studio.page import samples, views
from studio.page.paging import part
from studio.publishing import DEFAULT, Studio
from studio.state.records import Endpoint, Job, Service, WebService, Workspace

_FOLDER = Path(__file__).parent
_INLINE = 4  #: a web service with at most that many endpoints is listed with them
_RECENT = 20  #: jobs of an endpoint that are shown
_PARTS = ("score", "jobs", "update")

_SERVICE = f"{views.HELP}/workspaces/{{workspace}}/webservices/{{service}}"
_CLASSIC = f"{_SERVICE}/endpoints/{{endpoint}}"
_NEW = f"{views.HELP}/subscriptions/{{subscription}}/services/{{endpoint}}"

#: The page may load its own style sheet, icon and script, and nothing else from anywhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With less of a referrer a browser would hide the origin of a form too.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[Request], Response]
Found = tuple[Service | WebService, Endpoint]


def routes(studio: Studio) -> list[BaseRoute]:
    """Return the page's routes over what the Studio knows."""
    page = _Page(studio)
    return [
        Route("/", _guarded(page.front), methods=["GET"]),
        Route(_SERVICE, _guarded(page.service), methods=["GET"]),
        *(
            route
            for place in (_CLASSIC, _NEW)
            for route in (
                Route(place, _guarded(page.endpoint), methods=["GET"]),
                Route(place, _guarded(page.endpoint_with_keys), methods=["POST"]),
                Route(f"{place}/{{part}}", _guarded(page.part), methods=["GET"]),
            )
        ),
        Mount(f"{views.HELP}/static", StaticFiles(directory=_FOLDER / "static")),
    ]


class _Page:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

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
        return _answer("front.html", sections=sections.values(), part=shown, subscription=identity.subscription)

    def service(self, request: Request) -> Response:
        service = self._studio.records.find(Service, request.path_params["service"])
        if service is None or service.parent != request.path_params["workspace"]:
            return _nothing("There is no such web service here.")
        wanted = request.query_params.get("find", "").strip().lower()
        everything = self._studio.records.all(Endpoint, service.id)
        found = [endpoint for endpoint in everything if wanted in endpoint.name.lower()]
        shown = part(found, request.query_params.get("page", ""))
        endpoints = self._endpoints(service, shown.items, self._place(request))
        view = views.view_service(service, self._studio.default_endpoint(service), len(everything), endpoints)
        return _answer("service.html", service=view, part=shown, wanted=wanted)

    def endpoint(self, request: Request) -> Response:
        return self._endpoint(request, with_keys=False)

    def endpoint_with_keys(self, request: Request) -> Response:
        if not is_from_this_page(request.headers, _base(request)):
            return _refused("Keys are shown to this Studio's own page only; open it and ask there.")
        return self._endpoint(request, with_keys=True)

    def part(self, request: Request) -> Response:
        """Lead on to the part of the endpoint's page."""
        whole, _, name = request.url.path.rpartition("/")
        if name not in _PARTS or self._find(request) is None:
            return _nothing("There is no such page here.")
        return RedirectResponse(f"{whole}#{name}")

    def _endpoint(self, request: Request, *, with_keys: bool) -> Response:
        if (found := self._find(request)) is None:
            return _nothing("There is no such endpoint here.")
        service, endpoint = found
        base, path = _base(request), self._studio.published(endpoint).path
        view = views.view_endpoint(endpoint, service, self._place(request), path)
        key = endpoint.primary_key if with_keys else None
        models = [self._studio.models.load(scorer.resource.sha256) for scorer in endpoint.scorers]
        parameters, files = ports.parameters(endpoint), views.result_files(endpoint)
        scoring = f"{base}{path}/execute?api-version=2.0&format=swagger"
        updated = views.updatable(endpoint, service)
        return _answer(
            "endpoint.html",
            service=views.view_service(service, endpoint, 1),
            endpoint=view,
            settings=endpoint,
            keys=(endpoint.primary_key, endpoint.secondary_key) if with_keys else None,
            inputs=views.inputs(endpoint, models),
            parameters=parameters,
            files=files,
            recent=[views.view_job(job) for job in self._studio.records.newest(Job, endpoint.id, _RECENT)],
            score=[] if endpoint.training else samples.score(scoring, views.example(endpoint, models), parameters, key),
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
        return views.Place(_base(request), self._studio.blobs.address, time.time())


def _guarded(handler: Handler) -> Handler:
    """Return the handler behind the check of the host, its answers with the page's headers."""

    def guarded(request: Request) -> Response:
        if is_for_this_machine(request.headers.get("host", "")):
            response = handler(request)
        else:
            own = f"http://127.0.0.1:{_port(request)}/"
            response = _refused(f"The page is only for this machine, by its own address: open {own} instead.")
        response.headers.update(_HEADERS)
        return response

    return guarded


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _port(request: Request) -> int:
    server = request.scope.get("server")
    return int(server[1]) if server and server[1] else 80


def _answer(template: str, status: int = 200, **shown: Any) -> Response:
    return HTMLResponse(_TEMPLATES.get_template(template).render(shown), status)


def _nothing(reason: str) -> Response:
    return _answer("refused.html", 404, title="Not found", reason=reason)


def _refused(reason: str) -> Response:
    return _answer("refused.html", 403, title="Refused", reason=reason)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["moment"] = _moment
_TEMPLATES.globals["help"] = views.HELP
