"""Whatever comes, at whatever address: no call is answered 500, and every refusal has the documented shape."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode
from zlib import crc32

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from local.azurite import Azurite
from local.datasets import as_csv, breast_cancer
from service.database import Record
from service.keys import new_id
from studio.api.context import Context
from studio.experiments.loading import load_experiment
from studio.faults.orders import Faults
from studio.jobs.runner import JobRunner, Pace
from studio.publishing import Studio
from studio.server import ADDRESSES, build
from studio.state.records import CommitmentPlan, Endpoint, Job, Operation, Service, WebService, now

EXAMPLES = {"PUT": 40, "PATCH": 40, "POST": 40, "GET": 8, "DELETE": 8}  #: of each address
VERSIONS = ["2017-01-01", "2016-05-01-preview"]
DEEP = b"[" * 100_000

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**40, -1, 2**63, 1e308])
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(
        ["", " ", "\ud800", "\x00", "../../etc", "output1", "Graph", "UseDevelopmentStorage=true", "a" * 3000]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text(max_size=12) | st.sampled_from(["..", "%00", "%2F", "\x00", "'", "ÿ", "default", "A" * 300])
# Strategies that every request draws from are made once: Hypothesis looks at each new one before it draws from it.
NAMES = TEXT.filter(bool)
USUALLY = st.sampled_from([True] * 11 + [False])
QUERY = st.lists(
    st.tuples(
        st.sampled_from(["$skiptoken", "region", "format", "details", "x"]),
        st.sampled_from(["swagger", "true", "1", "9" * 30]) | TEXT,
    ),
    max_size=2,
)
SCHEMES = st.sampled_from(["Bearer ", "bearer  "])
KINDS = st.sampled_from(["right"] * 8 + ["bytes", "any"])
BYTES = st.binary(max_size=20) | st.sampled_from([b"", DEEP, b'{"a":' * 50_000, codecs.BOM_UTF8 + b"{}"])
MUTATIONS = st.integers(0, 2)
REPLACED = st.sampled_from([False] * 5 + [True])
CHANGES = st.sampled_from(["deeper", "deeper", "deeper", "without", "renamed"])
RENAMED = st.text(max_size=5) | st.none()  #: or the name in capital letters


@dataclass(frozen=True)
class World:
    """A Studio in this process.

    `scenes` are, by the kind of an address, names for its parts that belong together, with the key that opens them;
    `bodies` are right ones for each API.
    """

    app: Starlette
    scenes: dict[str, list[dict[str, str]]]
    bodies: dict[str, list[Any]]
    restore: Callable[[], object]
    portal: BlockingPortal

    def ask(self, method: str, *request: Any) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        return self.portal.call(_ask, self.app, method, *request)


@pytest.fixture(scope="module")
def world(azurite_of_file: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("studio")
    storage = azurite_of_file.connection_string
    studio = Studio(folder, storage)
    header, rows = breast_cancer()
    run = studio.run(load_experiment("breast-cancer"), as_csv(header, rows[:100]))
    studio.deploy_training(run.experiment)
    studio.deploy_classic(run)
    studio.deploy_new(run, "new")
    studio.blobs.write(studio.blobs.own("data/rows.csv"), as_csv(header, rows[:5]))
    faults = Faults()
    jobs = JobRunner(studio.records, folder, storage, faults, Pace(processes=0))
    with start_blocking_portal() as portal:  # a browser of another test may have a loop in this thread
        yield _world(studio, build(Context(studio, jobs, faults)), portal, header, rows)


def _world(studio: Studio, app: Starlette, portal: BlockingPortal, header: list[str], rows: list[list[str]]) -> World:
    identity, workspace, records = studio.identity, studio.workspace, studio.records
    endpoints, [new] = records.all(Endpoint), records.all(WebService)
    jobs = [Job(id=new_id(), parent=each.id, inputs={}, outputs={}, parameters={}) for each in endpoints]
    plan_id = f"{new.definition['id'].rsplit('/', 2)[0]}/commitmentPlans/plan"
    plan = CommitmentPlan(
        id=plan_id.lower(),
        parent=identity.subscription,
        name="plan",
        arm_id=plan_id,
        created=now(),
        location="South Central US",
        sku="S1",
        capacity=1,
        etag="",
    )
    operation = Operation(id="2" * 32, status="Succeeded", started=now(), ended=now())
    kept: list[Record] = [identity, workspace, *endpoints, new, *jobs, plan, operation]
    kept += records.all(Service)
    scenes = {**_of_data(studio, endpoints, jobs), **_of_resources(studio, new, operation)}
    bodies = {**_data_bodies(studio, endpoints, new, header, rows), **_resource_bodies(new, plan_id)}
    return World(app, scenes, bodies, lambda: records.put(*kept), portal)


def _of_data(studio: Studio, endpoints: list[Endpoint], jobs: list[Job]) -> dict[str, list[dict[str, str]]]:
    """Return the names in the addresses of jobs, scorings and endpoints."""
    identity, token = studio.identity, studio.workspace.primary_token
    called = [
        {
            "workspace": identity.workspace,
            "subscription": identity.subscription.replace("-", ""),
            "endpoint": endpoint.id,
            "job": job.id,
            "output": "output1",
            "key": endpoint.primary_key,
            "service": endpoint.parent,
            "name": endpoint.name,
        }
        for endpoint, job in zip(endpoints, jobs, strict=True)
    ]
    classic = [each for each in called if not each["service"].startswith("/")]
    return {
        "/api/workspaces/": [{"workspace": identity.workspace, "key": token}],
        "/workspaces/{workspace}/services": classic,
        "/subscriptions/{subscription}/services": [each for each in called if each["service"].startswith("/")],
        "/workspaces/{workspace}/webservices": [{**each, "key": token} for each in classic],
    }


def _of_resources(studio: Studio, new: WebService, operation: Operation) -> dict[str, list[dict[str, str]]]:
    """Return the names in the addresses of the resource manager."""
    resource = {
        "subscription": studio.identity.subscription,
        "group": "relearn",
        "location": "southcentralus",
        "operation": operation.id,
        "association": new.endpoint,
        "key": studio.identity.arm_token,
    }
    return {
        "webServices": [{**resource, "name": name} for name in ("new", "another")],
        "commitmentPlans": [{**resource, "name": name} for name in ("plan", "other")],
        "workspaces": [{**resource, "name": name} for name in ("relearn", "second")],
        "": [resource],
    }


def _data_bodies(
    studio: Studio, endpoints: list[Endpoint], new: WebService, header: list[str], rows: list[list[str]]
) -> dict[str, list[Any]]:
    models = [scorer.resource.name for endpoint in endpoints for scorer in endpoint.scorers]
    assets = new.definition["properties"]["assets"].values()
    uri = next(each["locationInfo"]["uri"] for each in assets if each["type"] != "Module")
    base, _, relative = uri.partition(f"{studio.blobs.account}/")
    blob = {
        "BaseLocation": f"{base}{studio.blobs.account}/",
        "RelativeLocation": relative,
        "SasBlobToken": "?sv=1&sig=x",
    }
    data = {"ConnectionString": studio.storage, "RelativeLocation": "data/rows.csv"}
    outputs = {"output1": {"ConnectionString": studio.storage, "RelativeLocation": "data/out.ilearner"}}
    table = {"ColumnNames": header, "Values": rows[:1]}
    return {
        "rrs": [
            {"Inputs": {"input1": table}, "GlobalParameters": {}},
            {"Inputs": {"input1": [dict(zip(header, rows[0], strict=True))]}},
        ],
        "bes": [
            {"Inputs": {"input1": data}, "Outputs": outputs, "GlobalParameters": {"Number of trees": "9"}},
            {"Input": data, "Output": outputs["output1"]},
        ],
        "classic": [
            {"Resources": [{"Name": name, "Location": blob} for name in models[:1]]},
            {"Description": "d", "ThrottleLevel": "High", "MaxConcurrentCalls": 20, "PreventUpdate": "True"},
            {"OverwriteResources": "true"},
        ],
    }


def _resource_bodies(new: WebService, plan_id: str) -> dict[str, list[Any]]:
    example = {"exampleRequest": {"inputs": {"input1": [["39"]]}, "globalParameters": {"a": 1}}}
    workspace = {"userStorageAccountId": "a", "ownerEmail": "b", "workspaceState": "Enabled"}
    return {
        "webServices": [
            {"location": "South Central US", "tags": {}, "properties": {**new.definition["properties"], **example}},
            {"properties": {"packageType": "Graph", "title": "t", "commitmentPlan": {"id": plan_id}}},
        ],
        "commitmentPlans": [
            {"location": "South Central US", "tags": {"a": "b"}, "sku": {"name": "S2", "capacity": 2}},
            {"destinationPlanId": plan_id},
        ],
        "workspaces": [{"location": "a", "properties": workspace}],
    }


@pytest.mark.parametrize(("operation", "method", "path"), sorted({each[:3] for each in ADDRESSES}))
def test_no_request_is_answered_500_and_every_refusal_has_the_documented_shape(
    world: World, operation: str, method: str, path: str
) -> None:
    @seed(crc32(f"{method} {path}".encode()))  # other requests than at the other addresses, the same in each run
    @settings(
        max_examples=EXAMPLES[method],
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(st.data())
    def refused_well(data: st.DataObject) -> None:
        request = _request(data.draw, world, operation, path)
        status, body = world.ask(method, *request)
        if status < 400 and method != "GET":
            world.restore()
        assert status != 500, body
        if status >= 400:
            _check_shape(json.loads(body))

    refused_well()


def test_a_body_is_taken_or_refused_however_deep_it_is(world: World) -> None:
    [scene, _] = world.scenes["webServices"]
    place = (
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices/{name}"
    )
    headers = [(b"host", b"127.0.0.1:1"), (b"authorization", f"Bearer {scene['key']}".encode())]
    statuses = set()
    # Python 3.13 reads ten times as deep as the others.
    for depth in (10, *range(900, 1000, 2), *range(9_900, 10_000, 2), 20_000):
        value = b"[" * depth + b"]" * depth
        body = b'{"properties": {"packageType": "Graph", "parameters": {"a": {"value": %b}}}}' % value
        status, answer = world.ask("PATCH", place.format_map(scene), b"api-version=2017-01-01", headers, body)
        statuses.add(status)
        if status != 200:
            _check_shape(json.loads(answer))
    assert statuses == {200, 400}


def test_text_that_is_not_unicode_is_refused(world: World) -> None:
    [scene, _] = world.scenes["webServices"]
    place = (
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices/{name}"
    )
    headers = [(b"host", b"127.0.0.1:1"), (b"authorization", f"Bearer {scene['key']}".encode())]
    for body in (b'{"tags": {"a": "\\ud800"}}', b'{"tags": {"\\udfff": "a"}}', b'{"tags": {"a": "\xff"}}'):
        status, answer = world.ask("PATCH", place.format_map(scene), b"api-version=2017-01-01", headers, body)
        assert status == 400
        _check_shape(json.loads(answer))


def test_a_malformed_address_is_refused_in_the_documented_shape(world: World) -> None:
    for method, path in (("GET", "/nothing"), ("DELETE", "/workspaces/x/webservices"), ("TRACE", "/"), ("PUT", "//")):
        status, body = world.ask(method, path, b"", [], b"")
        assert status == 404
        _check_shape(json.loads(body))


def _check_shape(body: Any) -> None:
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"code", "message", "details"}
    assert all(isinstance(error[name], str) and error[name] for name in ("code", "message"))
    assert error["details"]
    for detail in error["details"]:
        assert {"code", "message"} <= set(detail) <= {"code", "target", "message"}
        assert all(isinstance(value, str) and value for value in detail.values())


def _request(
    draw: Callable[..., Any], world: World, operation: str, path: str
) -> tuple[str, bytes, list[tuple[bytes, bytes]], bytes]:
    """Draw a request that is right in most of its parts, so that it comes far before it is refused."""

    def usually(right: Any, wrong: st.SearchStrategy[Any]) -> Any:
        return right if draw(USUALLY) else draw(wrong)

    def filled(hole: re.Match[str]) -> str:
        return str(usually(scene[hole[1]], NAMES)).replace("/", "-")

    scene = _one_of(draw, next(scenes for kind, scenes in world.scenes.items() if kind in path))
    place = re.sub(r"\{(\w+)\}", filled, path)
    versions = ["2.0"]
    if operation.startswith("arm"):
        versions = ["2016-05-01-preview"] if {"commitmentPlans", "skus"} & set(path.split("/")) else VERSIONS
        versions = ["2016-04-01", "2019-10-01"] if "workspaces" in path else versions
    query = [("api-version", usually(_one_of(draw, versions), TEXT)), *draw(QUERY)]
    query = query if draw(USUALLY) else []
    key = usually(scene["key"], TEXT)
    scheme = usually(draw(SCHEMES), TEXT)
    headers = [(b"host", usually("localhost:1", TEXT).encode("utf-8"))]
    headers += [(b"authorization", f"{scheme}{key}".encode())] if draw(USUALLY) else []
    return place, urlencode(query, errors="replace").encode(), headers, _body(draw, world, operation, path)


def _body(draw: Callable[..., Any], world: World, operation: str, path: str) -> bytes:
    kind = draw(KINDS)
    if kind == "bytes":
        return bytes(draw(BYTES))
    if kind == "any":
        return json.dumps(draw(JUNK)).encode()
    api = operation.partition(".")[0]
    kinds = [kind for kind in world.bodies if kind == api or (api == "arm" and kind in path.split("/"))]
    body = _one_of(draw, world.bodies[kinds[0]] if kinds else [{}])
    for _ in range(draw(MUTATIONS)):
        body = _mutated(draw, body)
    return json.dumps(body).encode()


def _mutated(draw: Callable[..., Any], value: Any) -> Any:
    """Return the value with one member, somewhere in it, replaced, left out or named otherwise."""
    if not isinstance(value, dict | list) or not value or draw(REPLACED):
        return draw(JUNK)
    place = _one_of(draw, list(value) if isinstance(value, dict) else range(len(value)))
    changed = value.copy()
    match draw(CHANGES):
        case "without":
            del changed[place]
        case "renamed" if isinstance(changed, dict):
            name = draw(RENAMED)
            changed[str(place).upper() if name is None else name] = changed.pop(place)
        case _:
            changed[place] = _mutated(draw, value[place])
    return changed


def _one_of(draw: Callable[..., Any], values: Sequence[Any]) -> Any:
    return values[draw(_places(len(values)))]


@cache
def _places(count: int) -> st.SearchStrategy[int]:
    return st.sampled_from(range(count))


async def _ask(
    app: Starlette, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    """Ask the application as a server does; return the status and the answer's body."""
    said: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.append(dict(message))

    try:
        await app(scope, receive, send)
    except Exception as error:  # it is raised again once it was answered
        return 500, repr(error).encode()
    return said[0]["status"], b"".join(message.get("body", b"") for message in said[1:])
