"""`list`, `keys` and `endpoints`: the web services that are there."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from service.commands import Stopped
from service.listening import running
from service.output import add_json, show
from studio.cli.place import add_data, open_made

if TYPE_CHECKING:
    from studio.publishing import Studio
    from studio.state.records import Endpoint, Service


_SHOWN = 12  #: names in a refusal


def add(commands: Any) -> None:
    listed = commands.add_parser("list", help="show the web services, their endpoints, addresses and models")
    add_data(listed)
    add_json(listed)
    listed.add_argument("--address", help="the server's address; without one that runs, paths are shown")
    listed.set_defaults(run=_list)

    keys = commands.add_parser("keys", help="print an endpoint's keys, or the tokens that manage the workspace")
    keys.add_argument(
        "endpoint",
        metavar="NAME",
        nargs="?",
        help="an endpoint, a web service or its experiment (add TRAINING, CLASSIC or NEW if several have this "
        "name); SERVICE/ENDPOINT; an id",
    )
    keys.add_argument("--regenerate", choices=("primary", "secondary"), help="replace this key of the endpoint first")
    add_data(keys)
    add_json(keys)
    keys.set_defaults(run=_keys)

    endpoints = commands.add_parser("endpoints", help="add endpoints to a Classic web service, or delete some")
    actions = endpoints.add_subparsers(required=True, metavar="ACTION")
    added = actions.add_parser("add", help="add endpoints with the models of the default one")
    _add_names(added, "*")
    added.add_argument("--count", type=int, default=0, help="how many to add under numbered names")
    added.add_argument("--prefix", default="endpoint", help="what their names begin with")
    add_json(added)
    added.set_defaults(run=_add)
    deleted = actions.add_parser("delete", help="delete endpoints; the default one comes last, and is the service")
    _add_names(deleted, "+")
    deleted.set_defaults(run=_delete)


def _add_names(parser: argparse.ArgumentParser, how_many: str) -> None:
    parser.add_argument("service", metavar="SERVICE", help="name or id of a Classic web service")
    parser.add_argument("names", metavar="NAME", nargs=how_many, help="the endpoint's name")
    add_data(parser)


def _list(chosen: argparse.Namespace) -> int:
    studio = open_made(chosen.data)
    at = chosen.address or running(chosen.data, "address") or ""
    listed: list[dict[str, Any]] = []
    for kind, service, title, endpoint in _everything(studio):
        published = studio.published(endpoint)
        resources = [scorer.resource for scorer in endpoint.scorers]
        listed.append(
            {
                "kind": kind,
                "service": title,
                "id": service,
                "endpoint": endpoint.name,
                "address": f"{at}{published.path}",
                "management": f"{at}{published.management}",
                "models": [{"name": each.name, "sha256": each.sha256} for each in resources],
            }
        )
    titles = ["kind", "service", "endpoint", "address"]
    models = [", ".join(f"{each['name']} {each['sha256'][:12]}" for each in line["models"]) for line in listed]
    rows = [[*(line[title] for title in titles), model] for line, model in zip(listed, models, strict=True)]
    show(chosen.json, listed, [*titles, "models"], rows, below="address", none="the Studio has no web service yet")
    return 0


def _everything(studio: Studio) -> list[Listed]:
    """Return each endpoint with its service's kind, id and name."""
    from studio.state.records import Endpoint, Service, WebService

    found = [
        ("training" if endpoint.training else "Classic", service.id, service.name, endpoint)
        for service in studio.records.all(Service)
        for endpoint in studio.records.all(Endpoint, service.id)
    ]
    return found + [
        ("New", str(service.definition["id"]), service.name, studio.records.get(Endpoint, service.endpoint))
        for service in studio.records.all(WebService)
    ]


def _keys(chosen: argparse.Namespace) -> int:
    studio = open_made(chosen.data)
    if chosen.endpoint is None:
        return _tokens(studio, chosen)
    endpoint = find_endpoint(studio, chosen.endpoint)
    if chosen.regenerate:
        endpoint = studio.regenerate_key(endpoint, chosen.regenerate)
    keys = {"primary": endpoint.primary_key, "secondary": endpoint.secondary_key}
    show(chosen.json, keys, ["key", ""], keys.items())
    return 0


def _tokens(studio: Studio, chosen: argparse.Namespace) -> int:
    if chosen.regenerate:
        raise Stopped("--regenerate needs an ENDPOINT")
    workspace, identity = studio.workspace, studio.identity
    tokens = {
        "workspace": workspace.id,
        "workspace token": workspace.primary_token,
        "subscription": identity.subscription,
        "resource manager token": identity.arm_token,
    }
    show(chosen.json, tokens, ["management", ""], tokens.items())
    return 0


def find_endpoint(studio: Studio, given: str) -> Endpoint:
    """Return the endpoint that a person calls so. Raises `Stopped` with the names that there are."""
    everything = _everything(studio)
    found = [each for each in everything if given in _exact_names(each)]
    found = found or [each for each in everything if _plain(given) in map(_plain, _usual_names(each))]
    added = [each for each in found if each[3].name != "default"]
    if len(found) > 1 and len(added) == 1:
        found = added  # a service by its name is the endpoint that was added to it
    if not found:
        raise Stopped(f"the endpoint {given!r} does not exist; there are: {_choices(everything) or 'none'}")
    if len(found) > 1:
        raise Stopped(f"{len(found)} endpoints are called {given!r}; give one of: {_choices(found)}")
    return found[0][3]


Listed = tuple[str, str, str, "Endpoint"]  #: kind, the service's id and name, and the endpoint


def _exact_names(each: Listed) -> set[str]:
    _, service, title, endpoint = each
    return {endpoint.id, endpoint.name, f"{service}/{endpoint.name}", f"{title}/{endpoint.name}"}


def _usual_names(each: Listed) -> set[str]:
    """Return what a person calls it: the service or its experiment, and either with the kind of the service."""
    kind, _, title, endpoint = each
    experiment = title.removesuffix(" [Predictive Exp.]")
    return {title, experiment, f"{experiment} {kind}", f"{experiment} {endpoint.name}", f"{title} {kind}"}


def _plain(name: str) -> str:
    """Return the name without regard to case, spaces and signs: a setting's name and a title are the same."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _choices(listed: Sequence[Listed]) -> str:
    """Return how each can be called; by id where several have the same name."""
    names = [f"{title}/{endpoint.name}" for _, _, title, endpoint in listed]
    unique = [name if names.count(name) == 1 else each[3].id for name, each in zip(names, listed, strict=True)]
    return ", ".join(repr(each) for each in unique[:_SHOWN]) + (" and more" if len(unique) > _SHOWN else "")


def _add(chosen: argparse.Namespace) -> int:
    if bool(chosen.names) == bool(chosen.count) or chosen.count < 0:
        raise Stopped("give either names or --count")
    studio = open_made(chosen.data)
    service = _service(studio, chosen.service)
    added = studio.add_endpoints(service, chosen.names or _numbered(studio, service, chosen.prefix, chosen.count))
    at = running(chosen.data, "address") or ""
    shown = [{"endpoint": each.name, "address": f"{at}{each.path}"} for each in added]
    show(chosen.json, shown, ["endpoint", "address"], [list(each.values()) for each in shown])
    return 0


def _numbered(studio: Studio, service: Service, prefix: str, count: int) -> list[str]:
    from studio.state.records import Endpoint

    taken = {endpoint.name for endpoint in studio.records.all(Endpoint, service.id)}
    names = (f"{prefix}{number}" for number in itertools.count(1))
    return list(itertools.islice((name for name in names if name not in taken), count))


def _delete(chosen: argparse.Namespace) -> int:
    from studio.state.records import Endpoint

    studio = open_made(chosen.data)
    service = _service(studio, chosen.service)
    found = {name: studio.records.named(Endpoint, service.id, name) for name in chosen.names}
    if missing := [name for name, endpoint in found.items() if endpoint is None]:
        raise Stopped(f"{service.name!r} has no endpoint {missing[0]!r}; nothing was deleted")
    for endpoint in found.values():
        assert endpoint is not None, "it was looked for"
        studio.delete_endpoint(endpoint)
    return 0


def _service(studio: Studio, given: str) -> Service:
    from studio.state.records import Service

    services = studio.records.all(Service)
    found = [service for service in services if given in (service.id, service.name)]
    if not found:
        raise Stopped(
            f"the Classic web service {given!r} does not exist; there are: "
            f"{', '.join(sorted({service.name for service in services})) or 'none'}"
        )
    if len(found) > 1:
        raise Stopped(f"{len(found)} services are named {given!r}; give an id: {', '.join(each.id for each in found)}")
    return found[0]
