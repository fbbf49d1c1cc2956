"""How the commands of the local services call a server: what is repeated, what is refused, and what is followed."""

from __future__ import annotations

import pytest

from service.client import Client, Refused
from service.commands import Failed, Stopped
from tests.support.wire import scripted_service

PATH = "/subscriptions/s/resourceGroups/g/providers/Microsoft.X/workspaces/w/jobs/a"
REFUSED = {"error": {"code": "UserError", "message": "No.", "details": []}}


def test_a_throttled_call_is_repeated_as_the_service_asks() -> None:
    with scripted_service() as service:
        service.answer(429, REFUSED, Retry_After="0")
        service.answer(429, REFUSED, Retry_After="0")
        service.answer(200, {"name": "a"})
        assert Client("token").call("GET", f"{service.address}{PATH}").json() == {"name": "a"}
        assert len(service.asked) == 3


def test_a_call_that_is_always_throttled_is_refused_in_the_end() -> None:
    with scripted_service() as service:
        service.answer(429, REFUSED, Retry_After="0")
        with pytest.raises(Refused) as refused:
            Client("token").call("GET", f"{service.address}{PATH}")
        assert refused.value.status == 429
        assert len(service.asked) == 8


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (REFUSED, "UserError: No."),
        ({"error": {"code": "a", "message": "b", "details": [{"code": "c", "message": "d"}]}}, "c: d"),
        ({"x": 1}, "no reason was given"),
        (b"<html>", "<html>"),
    ],
)
def test_a_refusal_has_the_services_reason_and_no_address(body: object, reason: str) -> None:
    with scripted_service() as service:
        service.answer(400, body)
        with pytest.raises(Refused) as refused:
            Client("token").call("PUT", f"{service.address}{PATH}?sig=secret")
    assert str(refused.value) == f"PUT workspaces/w/jobs/a answered 400: {reason}"


def test_an_operation_is_followed_to_its_end() -> None:
    with scripted_service() as service:
        service.answer(202, {}, Azure_AsyncOperation=f"{service.address}/operation")
        service.answer(200, {"status": "InProgress"}, Retry_After="0")
        service.answer(200, {"status": "Succeeded"})
        client = Client("token")
        client.follow(client.call("PUT", f"{service.address}{PATH}"))
        assert len(service.asked) == 3
        service.answers[:] = []
        service.answer(200, {"status": "Failed", **REFUSED})
        begun = client.call("GET", f"{service.address}/operation")
        begun.headers["Azure-AsyncOperation"] = f"{service.address}/operation"
        with pytest.raises(Failed, match=r"accepted and is Failed: UserError: No\."):
            client.follow(begun)


def test_a_server_that_is_gone_is_named_without_a_secret() -> None:
    with scripted_service() as service:
        address = service.address
    with pytest.raises(Stopped) as stopped:
        Client("token").call("GET", f"{address}/x?sig=secret")
    assert str(stopped.value) == f"GET {address}/x got no answer (ConnectionError); is the server running?"
