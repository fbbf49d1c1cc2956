"""An endpoint of many from one experiment: made when it is missing, and believed only where the configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from shared.adapters.studio.classic_endpoint import ClassicEndpoint
from shared.base.errors import BadConfiguration, ServiceRefused, ServiceUnavailable
from shared.base.secret import Secret
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, ScoringService
from shared.domain.values import Address
from tests.support.wire import Scripted, scripted_service

NAME = "Bike rental [trained model]"
MISSING = {"error": {"code": "NotFound", "message": "x", "details": [{"code": "WebServiceNotFound", "message": "y"}]}}
SCORED = {"Results": {"output1": {"value": {"ColumnNames": ["Scored Labels"], "Values": [["7"]]}}}}


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted_service() as running:
        yield running


def endpoint(service: Scripted, *, create: bool = True) -> ClassicEndpoint:
    target = ClassicTarget(
        name="rental",
        address=Address(f"{service.address}/workspaces/w/webservices/s/endpoints/rentalloc7"),
        key=Secret("T0KEN"),
        resource=NAME,
        scoring=ScoringService(services=Address(service.address)),
    )
    return ClassicEndpoint(requests.Session(), target, create=create)


def shown(api: str) -> dict[str, Any]:
    location = {"BaseLocation": "https://store.example/", "RelativeLocation": "c/x.ilearner", "SasBlobToken": "?sig=1"}
    resources = [{"Name": NAME, "Kind": "Trained Model", "Location": location}]
    return {"Name": "rentalloc7", "ApiLocation": api, "PrimaryKey": "K3Y", "Resources": resources}


def calls(service: Scripted) -> list[str]:
    return [f"{method} {path.rsplit('/', 1)[-1].partition('?')[0]}" for method, path, _ in service.asked]


def test_a_missing_endpoint_is_made_and_then_read(service: Scripted) -> None:
    service.answer(404, MISSING)
    service.answer(201, {})
    service.answer(200, shown(f"{service.address}/workspaces/w/services/e"))
    assert endpoint(service).model().relative == "c/x.ilearner"
    assert calls(service) == ["GET rentalloc7", "PUT rentalloc7", "GET rentalloc7"]


def test_an_endpoint_that_another_run_made_meanwhile_is_taken(service: Scripted) -> None:
    service.answer(404, MISSING)
    service.answer(409, {"error": {"code": "Conflict", "message": "there already", "details": []}})
    service.answer(200, shown(f"{service.address}/workspaces/w/services/e"))
    assert endpoint(service).model().relative == "c/x.ilearner"


def test_an_endpoint_whose_making_got_no_answer_is_found_by_the_next_try(service: Scripted) -> None:
    service.answer(404, MISSING)
    service.answer(503, {})
    service.answer(200, shown(f"{service.address}/workspaces/w/services/e"))
    made = endpoint(service)
    with pytest.raises(ServiceUnavailable):
        made.model()
    assert made.model().relative == "c/x.ilearner"


def test_a_missing_service_is_reported(service: Scripted) -> None:
    service.answer(404, MISSING)
    with pytest.raises(ServiceRefused, match=r"PUT .* answered 404 NotFound/WebServiceNotFound"):
        endpoint(service).model()


def test_the_endpoint_of_a_pipeline_that_is_alone_is_never_made(service: Scripted) -> None:
    service.answer(404, MISSING)
    with pytest.raises(ServiceRefused, match=r"GET .* answered 404"):
        endpoint(service, create=False).model()
    assert calls(service) == ["GET rentalloc7"]


def test_the_endpoint_gives_its_scoring_address_and_its_key_is_a_secret(service: Scripted) -> None:
    service.answer(200, shown(f"{service.address}/workspaces/w/services/e/?x=1"))
    service.answer(200, SCORED)
    asked = endpoint(service)
    asked.model()
    assert asked.score(Rows(["hour"], [["8"]])).values == [["7"]]
    assert calls(service) == ["GET rentalloc7", "POST execute"]
    assert service.asked[-1][1].startswith("/workspaces/w/services/e/execute?")
    assert "K3Y" not in repr(asked.scoring())


@pytest.mark.parametrize(
    "api",
    [
        "https://elsewhere.example/workspaces/w/services/e",
        "http://127.0.0.1:1/workspaces/w/services/e",
        "http://HOST@elsewhere.example/services/e",
        "https://127.0.0.1.elsewhere.example/services/e",
    ],
)
def test_an_endpoint_that_says_it_scores_elsewhere_is_never_called_there(service: Scripted, api: str) -> None:
    host = service.address.removeprefix("http://")
    service.answer(200, shown(api.replace("HOST", host)))
    with pytest.raises(BadConfiguration, match=f"and scoring.services names {service.address}$"):
        endpoint(service).score(Rows(["hour"], [["8"]]))
    assert calls(service) == ["GET rentalloc7"]
