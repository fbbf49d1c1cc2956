"""What `doctor` finds in the quota and the deployments of an endpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.azureml.parts import Deployment, Endpoint, Room
from shared.cli.doctor import azureml_findings as decide
from shared.cli.doctor.azureml_findings import Known
from shared.cli.doctor.finding import Health


@pytest.mark.parametrize(
    ("instances", "room", "health"),
    [
        (1, Room("f", 4, 8), Health.OK),
        (1, Room("f", 4, 7), Health.WARNING),
        (5, Room("f", 4, 24), Health.OK),
        (5, Room("f", 4, 23), Health.WARNING),
        (5, None, Health.OK),
    ],
)
def test_the_quota_is_for_the_instances_and_a_fifth_more(instances: int, room: Room | None, health: Health) -> None:
    assert decide.quota("q", instances, room).health is health


LIVE = Deployment("blue", "succeeded", "S", 1, "/models/a/versions/1", {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"state": "updating"}, "blue is updating"),
        ({"model": ""}, "serves no registered model"),
    ],
)
def test_the_live_deployment_is_ready_and_serves_a_registered_model(change: dict[str, Any], said: str | None) -> None:
    endpoint = Endpoint("Managed", "succeeded", "key", "SystemAssigned", {"blue": 100}, (replace(LIVE, **change),))
    finding = decide.live_deployment("l", endpoint, Known())
    assert (finding.health is Health.OK) == (said is None)
    assert (said or "blue, 1 x S, serves a/versions/1") in finding.found


def test_divided_traffic_is_well_while_the_records_have_a_change() -> None:
    both = (LIVE, replace(LIVE, name="m1"))
    endpoint = Endpoint("Managed", "succeeded", "key", "SystemAssigned", {"blue": 90, "m1": 10}, both)
    assert (
        decide.live_deployment("l", endpoint, Known(is_changing=True)).found
        == "a change is under way: blue 90 %, m1 10 %"
    )
    assert decide.live_deployment("l", endpoint, Known()).health is Health.WARNING
    assert "az ml online-endpoint update" in decide.live_deployment("l", endpoint, Known()).remedy
    assert "rollback p --to 7" in decide.live_deployment("l", endpoint, Known(restore="rollback p --to 7")).remedy


def test_calls_that_somebody_gave_to_another_deployment_are_found() -> None:
    endpoint = Endpoint("Managed", "succeeded", "key", "SystemAssigned", {"blue": 100}, (LIVE,))
    taken = decide.live_deployment("l", endpoint, Known(serving="m1", restore="rollback p --to 7"))
    assert taken.health is Health.WARNING
    assert taken.found == "somebody else gave all calls to blue; the history says m1"
    assert "rollback p --to 7" in taken.remedy
    for known in (Known(serving="m1", is_changing=True), Known(serving="BLUE"), Known()):
        assert decide.live_deployment("l", endpoint, known).health is Health.OK
