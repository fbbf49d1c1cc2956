"""Whatever a service answers, the adapters say what to do next: no answer is a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.studio.arm_web_service import ArmWebService
from shared.adapters.studio.bes import BatchExecutionService
from shared.adapters.studio.classic_endpoint import ClassicEndpoint
from shared.base.errors import RetrainingError, ServiceUnavailable
from shared.base.secret import Secret
from shared.domain.ports import BlobReference
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, NewTarget, ScoringService, TrainingService
from shared.domain.values import Address, ResourceId
from tests.support.odd import ANYTHING, places, replaced
from tests.support.wire import Scripted, scripted_service

NAME = "Income [trained model]"
MODEL = BlobReference("https://store.example/", "models/a.ilearner", Secret("?sig=1"))
LOCATION = {"BaseLocation": "https://store.example/", "RelativeLocation": "c/x", "SasBlobToken": "?sig=1"}
ASSET = {"name": NAME, "type": "Resource", "locationInfo": {"uri": "https://store.example/c/old"}}


def bes(address: str) -> BatchExecutionService:
    training = TrainingService(address=Address(address), key=Secret("key"), model="output1", evaluation="output2")
    return BatchExecutionService(requests.Session(), "income", training)


def classic(address: str) -> ClassicEndpoint:
    key, scoring = Secret("key"), ScoringService(address=Address(address), key=Secret("key"))
    target = ClassicTarget(name="one", address=Address(address), key=key, resource=NAME, scoring=scoring)
    return ClassicEndpoint(requests.Session(), target)


def said(address: str) -> ClassicEndpoint:
    """An endpoint that itself says where it scores."""
    scoring = ScoringService(services=Address(address))
    target = ClassicTarget(name="one", address=Address(address), key=Secret("key"), resource=NAME, scoring=scoring)
    return ClassicEndpoint(requests.Session(), target, create=True)


def arm(address: str) -> ArmWebService:
    scoring = ScoringService(address=Address(address), key=Secret("key"))
    service = ResourceId("/subscriptions/s/resourceGroups/g/providers/p")
    target = NewTarget(name="two", address=Address(address), id=service, asset=NAME, scoring=scoring)
    return ArmWebService(requests.Session(), target, lambda: "token")


def enough(_: float) -> None:
    """Wait for no operation: what the first look at it says is what is tried."""
    raise ServiceUnavailable("not ended yet")


CALLS: dict[str, tuple[Callable[[str], object], Any]] = {
    "submit": (lambda at: bes(at).submit("job", MODEL, {}), "job-1"),
    "status": (lambda at: bes(at).status("1"), {"StatusCode": "Finished", "Results": {"output1": LOCATION}}),
    "failed": (lambda at: bes(at).status("1"), {"StatusCode": "Failed", "Details": '{"Exception":{"Message":"x"}}'}),
    "classic": (lambda at: classic(at).model(), {"Resources": [{"Name": NAME, "Location": LOCATION}]}),
    "said": (
        lambda at: said(at).scoring(),
        {"ApiLocation": "https://studio.example/workspaces/w/services/e", "PrimaryKey": "key"},
    ),
    "new": (lambda at: arm(at).model(), {"properties": {"assets": {"asset1": ASSET}}}),
    "update": (
        lambda at: arm(at).update(MODEL, enough),
        {"properties": {"assets": {"asset1": ASSET}}, "tags": {}, "status": "Failed", "error": {"code": "x"}},
    ),
    "score": (
        lambda at: classic(at).score(Rows(["age"], [["39"]])),
        {"Results": {"output1": {"value": {"ColumnNames": ["Scored Labels"], "Values": [["yes"]]}}}},
    ),
    "refusal": (lambda at: bes(at).start("1"), {"error": {"code": "x", "message": "y", "details": [{"code": "z"}]}}),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Scripted]:
    with scripted_service() as running:
        yield running


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_answer_of_another_shape_is_classified_like_any_failure(
    service: Scripted, call: str, data: st.DataObject
) -> None:
    made, usual = CALLS[call]
    place = data.draw(st.sampled_from(places(usual)))
    service.answers = [(400 if call == "refusal" else 200, replaced(usual, place, data.draw(ANYTHING)), {})]
    try:
        made(service.address)
    except RetrainingError as error:
        assert str(error)
