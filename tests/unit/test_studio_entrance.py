"""What the Studio looks at before a handler runs: the sender, and the key and the length before the body is read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from service.faults.control import build_control
from studio import entrance, server
from studio.faults.orders import Faults
from studio.learning.ilearner import TrainedModel
from studio.state.models import Models
from tests.support.asgi import Answer, ask
from tests.support.samples import cellar
from tests.support.studio_context import ADDRESS, Handlers, handlers

COLUMNS = cellar(1)
ROWS = {"Inputs": {"input1": {"ColumnNames": list(COLUMNS), "Values": [[cells[0] for cells in COLUMNS.values()]]}}}


@pytest.fixture
def studio(tmp_path: Path) -> Handlers:
    return handlers(tmp_path)


@pytest.fixture
def app(studio: Handlers) -> Starlette:
    return server.build(studio.context, ["management.azureml.net"])


def paths(studio: Handlers) -> dict[str, tuple[str, str]]:
    """Return an address of each API that takes a body, and its key."""
    owner, endpoint = studio.context.studio, studio.endpoint
    workspace = studio.service.parent
    group = f"/subscriptions/{owner.identity.subscription}/resourceGroups/g/providers/Microsoft.MachineLearning"
    return {
        "execute": (f"/workspaces/{workspace}/services/{endpoint.id}/execute?api-version=2.0", endpoint.primary_key),
        "jobs": (f"/workspaces/{workspace}/services/{endpoint.id}/jobs?api-version=2.0", endpoint.primary_key),
        "classic": (
            f"/workspaces/{workspace}/webservices/{studio.service.id}/endpoints/retrained/refresh",
            endpoint.primary_key,
        ),
        "arm": (f"{group}/commitmentPlans/plan?api-version=2016-05-01-preview", owner.identity.arm_token),
    }


def send(app: Starlette, path: str, key: str, *body: bytes, **headers: str) -> Answer:
    method = "PUT" if "/providers/" in path else "POST"
    return ask(app, method, path, {"Authorization": f"Bearer {key}", **headers}, body)


PART = b" " * (1 << 16)
API = ["execute", "jobs", "classic", "arm"]


@pytest.mark.parametrize("api", API)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "0.0.0.0", ""])
def test_a_call_by_another_name_of_the_server_is_refused(app: Starlette, studio: Handlers, api: str, host: str) -> None:
    path, key = paths(studio)[api]
    assert send(app, path, key, b"{}", Host=host).outcome == (403, "HostNotAllowed")


@pytest.mark.parametrize("api", API)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": ADDRESS, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
    ],
    ids=str,
)
def test_a_call_by_a_page_of_another_site_is_refused(
    app: Starlette, studio: Handlers, api: str, headers: dict[str, str]
) -> None:
    path, key = paths(studio)[api]
    assert send(app, path, key, b"{}", **headers).outcome == (403, "OriginNotAllowed")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Host": "localhost:10010"},
        {"Host": "[::1]:10010"},
        {"Host": "management.azureml.net"},
        {"Host": "Management.AzureML.net:443"},
    ],
    ids=str,
)
def test_a_program_and_the_studios_own_page_may_call(app: Starlette, studio: Handlers, headers: dict[str, str]) -> None:
    path, key = paths(studio)["execute"]
    assert send(app, path, key, json.dumps(ROWS).encode(), **headers).outcome == (200, "")


@pytest.mark.parametrize("api", API)
def test_a_large_body_of_somebody_without_a_key_is_not_read(app: Starlette, studio: Handlers, api: str) -> None:
    path, _ = paths(studio)[api]
    for body in ([b" " * (entrance.SMALL + 1)], [PART] * 64, [PART] * 2):
        for key in ("wrong", ""):
            answer = send(app, path, key, *body)
            assert (answer.status, answer.taken) == (401, 0)


@pytest.mark.parametrize("api", API)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_whether_its_length_was_said_or_not(
    app: Starlette, studio: Handlers, api: str, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "MOST", 1 << 18)
    monkeypatch.setattr(entrance, "MOST_ROWS", 1 << 18)
    path, key = paths(studio)[api]
    too_large = [PART] * 9 if chunked else [b" " * ((4 << 16) + 1)]
    answer = send(app, path, key, *too_large)
    assert answer.outcome == (413, "OutOfMemoryLimit")
    assert answer.taken == (5 if chunked else 0)
    largest = [PART] * 4 if chunked else [b" " * (4 << 16)]
    assert send(app, path, key, *largest).outcome == (400, "RequestBodyInvalid")  # it was read, and is empty


def test_calls_are_counted_while_they_are_answered(tmp_path: Path) -> None:
    studio = handlers(tmp_path, max_concurrent_calls=2)
    app = server.build(studio.context)
    path, key = paths(studio)["execute"]
    rows = json.dumps(ROWS).encode()
    statuses = []

    def call(inner: int) -> None:
        """Make a call that is being answered while the inner ones are."""

        def body() -> Iterator[bytes]:
            if inner:
                thread = threading.Thread(target=call, args=[inner - 1])
                thread.start()
                thread.join()
            yield rows

        headers = {"Authorization": f"Bearer {key}"}
        statuses.append(ask(app, "POST", path, headers, body()).outcome)

    call(2)
    assert statuses == [(503, "RequestThrottled"), (200, ""), (200, "")]
    call(0)
    assert statuses[-1] == (200, "")


def test_rows_to_score_may_be_larger_than_any_other_body() -> None:
    assert entrance.MOST_ROWS > entrance.MOST > 3 << 20  # the size of a definition before it is in a blob


def test_every_operation_that_takes_a_body_has_a_key_to_look_at() -> None:
    apis = {operation.partition(".")[0] for operation, *_ in server.ADDRESSES}
    assert apis == set(entrance._CHECKS)


def test_the_api_document_needs_no_key_on_the_wire(app: Starlette, studio: Handlers) -> None:
    place = f"/workspaces/{studio.service.parent}/webservices/{studio.service.id}/endpoints/{studio.endpoint.id}"
    for path in (f"{place}/apidocument", f"/apihelp{place}/apidocument"):
        answer = ask(app, "GET", path, {})
        assert (answer.status, answer.json["swagger"]) == (200, "2.0")
    assert ask(app, "GET", place, {}).status == 401


def test_clients_of_the_studio_api_carry_their_token_in_a_separate_header(app: Starlette, studio: Handlers) -> None:
    workspace = studio.context.studio.workspace
    for header in ("x-ms-metaanalytics-authorizationtoken", "Authorization"):
        token = workspace.primary_token if header.startswith("x") else f"bearer  {workspace.primary_token}"
        for what in ("datasources", "experiments"):
            answer = ask(app, "GET", f"/api/workspaces/{workspace.id}/{what}", {header: token})
            assert (answer.status, answer.json) == (200, [])
    assert ask(app, "GET", f"/api/workspaces/{workspace.id}/datasources", {}).status == 401


@pytest.mark.parametrize(
    ("order", "status"),
    [
        (b"[" * 60_000, 400),
        (b"\xff", 400),
        (b"", 400),
        (b'{"kind": 1}', 400),
        (b'{"kind":"slow","seconds":1e400}', 400),
        (PART + b" ", 413),
    ],
)
def test_the_control_refuses_an_order_that_it_cannot_read(order: bytes, status: int) -> None:
    control = build_control(Faults())
    for body in ([order], [order[:10], order[10:]]):
        assert ask(control, "POST", "/faults", {"Content-Type": "application/json"}, body).status == status


@pytest.mark.parametrize("ready", [True, False])
def test_a_small_call_is_scored_at_once_unless_the_libraries_are_to_be_loaded_first(
    app: Starlette, studio: Handlers, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    threads: list[str] = []
    models = studio.context.studio.models
    load = models.load

    def loaded(sha256: str) -> TrainedModel:
        threads.append(threading.current_thread().name)
        return load(sha256)

    monkeypatch.setattr(models, "load", loaded)
    monkeypatch.setattr(Models, "ready", ready)
    address, key = paths(studio)["execute"]
    assert send(app, address, key, json.dumps(ROWS).encode()).status == 200
    assert ["AnyIO worker" in name for name in threads] == [not ready]
