"""One entry with `for_each` is many pipelines: which paths make one, what the file may say, and what it costs."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from local.children import ROOT
from shared.base.errors import BadConfiguration, BadMessage
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.fleets import Pipelines
from shared.domain.jobs import pipeline_of
from shared.domain.messages import Command, Request, read_request
from shared.domain.services import ClassicTarget
from tests.support.fakes import World
from tests.support.fleets import FleetWorld, fleet

SERVICE = "https://management.example/workspaces/w/webservices/s"


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rows.csv").write_text("age\n39\n")
    return {
        "for_each": "location",
        "blobs": "bike/{location}/*.csv",
        "training": {
            "address": "https://studio.example/workspaces/w/services/t",
            "key": "k1",
            "model": "output1",
            "evaluation": "output2",
            "parameters": {"Location": "at {location}"},
        },
        "gate": {"rules": ["AUC >= 0.5"]},
        "targets": [
            {
                "kind": "classic",
                "name": "rental at {location}",
                "address": f"{SERVICE}/endpoints/rentalloc{{location}}",
                "key": "k2",
                "resource": "Bike rental [trained model]",
                "scoring": {"services": "https://studio.example"},
            }
        ],
        "proof": {"rows": "rows.csv"},
        "rollout": {"waves": [1, "10%", "100%"], "failures_at_most": "2%", "within": "30m"},
    }


def load(folder: Path, **entries: object) -> Pipelines:
    file = folder / "pipelines.yaml"
    file.write_text(yaml.safe_dump({"pipelines": entries}), "utf-8")
    return load_pipelines(file, Settings({}))


def test_each_value_in_a_path_makes_a_pipeline_with_its_own_data_parameter_and_endpoint(
    entry: dict[str, Any], tmp_path: Path
) -> None:
    pipelines = load(tmp_path, bike=entry)
    [pipeline] = pipelines.taking("bike/001/2026-11.csv")
    assert pipeline.name == "bike-001"
    assert (pipeline.blobs, pipeline.training.parameters) == ("bike/001/*.csv", {"Location": "at 001"})
    [target] = pipeline.targets
    assert isinstance(target, ClassicTarget)
    assert (target.name, target.address) == ("rental at 001", f"{SERVICE}/endpoints/rentalloc001")
    assert (pipeline.fleet, pipeline.waits) == ("bike", True)
    assert pipeline_of("bike-001-20261124T030001-f50666613a") == "bike-001"
    assert pipelines.fleets["bike"].plan.reaches(1000) == (1, 100, 1000)


@pytest.mark.parametrize(
    "value", ["London", "a b", "...", "a_b", "-a", "a-", "", "%2e%2e", "a?b", "é", "{location}", "x" * 60, "a\u2028"]
)
def test_a_value_that_cannot_be_part_of_an_address_makes_no_pipeline_and_the_log_says_why(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.fleets["bike"] = fleet(world)
    world.data.put(f"bike/{value}/a.csv", b"age\n1\n")
    with caplog.at_level(logging.WARNING):
        assert world.flows.intake.see(f"bike/{value}/a.csv") == []
    assert f"belongs to no pipeline; in bike/{{location}}/*.csv {{location}} is {value!r}" in caplog.text
    world.flows.intake.sweep("training-data")
    assert [name for name in world.documents.contents if not name.startswith("sweeps/")] == []


def test_a_value_with_a_dash_is_refused_where_the_endpoint_s_name_can_have_none() -> None:
    world = World()
    bike = fleet(world)
    assert "needs 1 to 24 lower-case letters and digits" in (bike.fault("a-b") or "")
    assert "needs 1 to 24" in (bike.fault("x" * 20) or "")
    assert bike.fault("ab") is None


def test_only_the_values_that_are_listed_make_a_pipeline(entry: dict[str, Any], tmp_path: Path) -> None:
    pipelines = load(tmp_path, bike={**entry, "only": ["001", "002"]})
    assert [each.name for each in pipelines.taking("bike/002/a.csv")] == ["bike-002"]
    assert pipelines.taking("bike/003/a.csv") == []
    assert "'003', which is not among 'only' of bike" in pipelines.why_none("bike/003/a.csv")


def test_a_marker_belongs_to_the_member_in_whose_folder_it_is() -> None:
    world = World()
    bike = fleet(world)
    arriving = msgspec.structs.replace(bike.template.arriving, batch="marker")
    template = msgspec.structs.replace(bike.template, arriving=arriving)
    pipelines = Pipelines({}, {"bike": msgspec.structs.replace(bike, template=template)})
    assert [each.name for each in pipelines.taking("bike/01/_SUCCESS")] == ["bike-01"]
    assert pipelines.taking("bike/_SUCCESS") == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("for_each",), "Location!", r"\.for_each: 'Location!' is not a key"),
        (("blobs",), "bike/*.csv", r"\.blobs: must have \{location\} once"),
        (("blobs",), "bike/{location}/{location}.csv", r"\.blobs: must have \{location\} once"),
        (("blobs",), "bike/{location}/{day}.csv", r"\.blobs: must have \{location\} once"),
        (("blobs",), "bike/{location}*.csv", r"\.blobs: can have no \* or \? beside"),
        (("blobs",), "**/{location}/*.csv", r"\.blobs: can have .* no \*\* before it"),
        (("training", "address"), "https://{location}.example/services/t", r"\.training\.address: .*cannot stand here"),
        (("training", "key"), "{location}", r"\.training\.key: \{location\} cannot stand here"),
        (("arrival",), {"marker": "{location}"}, r"\.arrival\.marker: \{location\} cannot stand here"),
        (("targets", 0, "address"), f"{SERVICE}/endpoints/rental", r"\.targets\[0\]\.address: must end with"),
        (("targets", 0, "address"), "https://{location}.example/endpoints/x", r"\.address: must end with"),
        (("targets", 0, "address"), f"{SERVICE}/endpoints/{{location}}/x", r"\.address: must end with"),
        (("targets", 0, "resource"), "{location}", r"\.targets\[0\]\.resource: \{location\} cannot stand here"),
        (("targets", 0, "scoring"), {"address": "https://x.example", "key": "k"}, r"\.scoring\.services: is missing"),
        (("targets", 0, "scoring"), {}, r"\.targets\[0\]\.scoring: needs an address and a key, or"),
        (("targets", 0, "scoring"), {"key": "k"}, r"\.targets\[0\]\.scoring: needs an address and a key, or"),
        (("only",), ["001", "No"], r"\.only\[1\]: \{location\} is 'No'"),
        (("rollout", "waves"), ["ten"], r"\.rollout\.waves\[0\]: 'ten' is not a share of a fleet"),
        (("rollout", "failures_at_most"), "many", r"\.rollout\.failures_at_most: 'many' is not a share"),
        (("rollout", "wave"), [1], r"\.rollout\.wave: is not a key here; did you mean 'waves'"),
    ],
)
def test_a_mistake_names_the_key_what_is_wrong_and_what_would_be_right(
    entry: dict[str, Any], tmp_path: Path, path: tuple[str | int, ...], value: object, said: str
) -> None:
    part: Any = entry
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(BadConfiguration, match=said):
        load(tmp_path, bike=entry)


def test_what_is_for_a_fleet_is_a_mistake_elsewhere(entry: dict[str, Any], tmp_path: Path) -> None:
    del entry["for_each"]
    with pytest.raises(BadConfiguration, match=r"\.rollout: is for an entry with for_each"):
        load(tmp_path, bike=entry)
    new = yaml.safe_load((ROOT / "pipelines.sample.yaml").read_text())["pipelines"]["breast-cancer"]["targets"][1]
    new |= {"scoring": {"services": "https://studio.example"}, "id": "/subscriptions/s/resourceGroups/g/providers/w"}
    del new["token"], new["address"]
    del entry["rollout"]
    with pytest.raises(BadConfiguration, match=r"\.targets\[0\]\.scoring\.services: is for a Classic target"):
        load(tmp_path, bike={**entry, "targets": [new]})


def test_a_name_or_an_endpoint_that_could_be_a_member_s_is_refused(entry: dict[str, Any], tmp_path: Path) -> None:
    alone = {key: value for key, value in entry.items() if key not in ("for_each", "rollout")}
    target = {**entry["targets"][0], "name": "one", "address": f"{SERVICE}/endpoints/RentalLoc7"}
    alone |= {"blobs": "x/*.csv", "targets": [target]}
    with pytest.raises(BadConfiguration, match=r"pipelines\.bike-x: could be a member of bike"):
        load(tmp_path, **{"bike": entry, "bike-x": alone})
    with pytest.raises(BadConfiguration, match=r"pipelines\.other\.targets \(one\): could be the endpoint of a member"):
        load(tmp_path, bike=entry, other=alone)
    with pytest.raises(BadConfiguration, match="two pipelines would overwrite each other"):
        load(tmp_path, bike=entry, cycles=entry)


def test_members_are_known_once_data_was_taken_up_and_a_mistyped_name_is_not() -> None:
    fleet_world = FleetWorld(["01", "02"], {"waits": False})
    assert list(fleet_world.world.pipelines) == ["income"]
    fleet_world.drop()
    pipelines = fleet_world.world.pipelines
    assert list(pipelines) == ["income", "bike-01", "bike-02"]
    assert "bike-03" not in pipelines
    with pytest.raises(BadMessage, match=r"the pipelines are: bike, bike-\{\.\.\.\}, income"):
        request = Request(pipeline="bike-03", action=Command.ROLLBACK, by="ann")
        fleet_world.world.flows.requests.carry_out(request, "m1")
    assert "bike-03" not in fleet_world.world.of_members


def test_a_poll_and_a_look_at_arrivals_read_nothing_of_idle_members() -> None:
    fleet_world = FleetWorld([f"{number:03}" for number in range(200)], {"waits": False})
    fleet_world.drop()
    fleet_world.poll(2)
    world = fleet_world.world
    assert world.records.jobs.active() == []
    before = world.documents.reads
    world.take_up()
    fleet_world.poll()
    assert world.documents.reads - before <= 2  # of the pipeline that is alone
    world.data.put("bike/007/b.csv", b"age\n7000\n")
    world.flows.intake.see("bike/007/b.csv")
    before = world.documents.reads
    [job] = world.take_up()
    assert job.startswith("bike-007-")
    assert world.documents.reads - before < 20


def test_the_schedule_of_a_fleet_trains_every_member_again_once() -> None:
    fleet_world = FleetWorld(["01", "02"], {"waits": False})
    world = fleet_world.world
    bike = world.fleets["bike"]
    template = msgspec.structs.replace(bike.template, schedule="0 0 4 * * *")
    world.fleets["bike"] = msgspec.structs.replace(bike, template=template)
    fleet_world.drop()
    fleet_world.poll()
    world.clock.sleep(3600)
    world.take_up()
    world.take_up()
    assert [len(fleet_world.jobs(member)) for member in fleet_world.members] == [2, 2]
    assert {world.pipelines[member].schedule for member in fleet_world.members} == {None}


def test_a_message_for_a_whole_fleet_says_who_asks_and_one_for_a_job_names_it() -> None:
    assert read_request(b'{"pipeline": "bike", "action": "promote", "by": "ann"}').job is None
    with pytest.raises(BadMessage, match='needs the "job", or for a whole fleet a "by"'):
        read_request(b'{"pipeline": "bike", "action": "promote"}')
    with pytest.raises(BadMessage, match="is not an id"):
        read_request(b'{"pipeline": "bike", "action": "rollback", "id": "../x"}')
    world = World()
    with pytest.raises(BadMessage, match="is not a fleet, so the message needs the job"):
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, by="ann"), "m1")


def test_a_fleet_is_trained_again_as_one_and_asked_for_nothing_that_only_one_pipeline_can_do() -> None:
    fleet_world = FleetWorld(["01", "02"])
    fleet_world.drop()
    flows = fleet_world.world.flows
    retrain = Request(pipeline="bike", action=Command.RETRAIN)
    assert flows.requests.carry_out(retrain, "m1") == flows.requests.carry_out(retrain, "m1") == "2 jobs"
    assert [len(fleet_world.jobs(member)) for member in fleet_world.members] == [2, 2]
    [*_, job] = fleet_world.jobs("bike-01")
    for request in (
        Request(pipeline="bike", action=Command.PROMOTE, job=job.id, by="ann"),
        Request(pipeline="bike", action=Command.REPLAY, path="bike/01/a.csv"),
        Request(pipeline="bike", action=Command.ROLLBACK),
    ):
        with pytest.raises(
            BadMessage, match=r"bike is a fleet of 2 pipelines: name one of them, such as bike-\{\.\.\.\}"
        ):
            flows.requests.carry_out(request, "m2")
    for facts in ({"to": 3}, {"model": "0" * 8}, {"live": 2}):
        with pytest.raises(BadMessage, match='"to", "model" and "live" are for one of them'):
            flows.requests.carry_out(Request(pipeline="bike", action=Command.ROLLBACK, by="ann", **facts), "m3")


def test_who_asked_for_a_rollout_to_stop_or_go_on_is_kept_with_the_reason() -> None:
    fleet_world = FleetWorld(["01", "02"])
    fleet_world.drop()
    world = fleet_world.world
    for action, message in ((Command.PROMOTE, "m1"), (Command.CANCEL, "m2"), (Command.RESUME, "m3")):
        world.flows.requests.carry_out(
            Request(pipeline="bike", action=action, by="ann", reason=f"for {message}"), message
        )
        note = msgspec.json.decode(world.documents.contents[f"requests/{message}.json"])
        assert (note["by"], note["reason"]) == ("ann", f"for {message}")


def test_a_pipeline_that_is_not_a_fleet_is_not_cancelled_or_promoted_as_one() -> None:
    flows = World().flows
    with pytest.raises(BadMessage, match="income is not a fleet, so the message needs the job"):
        flows.requests.carry_out(Request(pipeline="income", action=Command.CANCEL, by="ann"), "m1")
    with pytest.raises(BadMessage, match="income is not a fleet, so the message needs the job"):
        flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, by="ann"), "m2")


def test_a_message_for_a_fleet_begins_a_rollout_that_the_app_s_poll_takes_further() -> None:
    fleet_world = FleetWorld(["01", "02"])
    fleet_world.drop()
    flows = fleet_world.world.flows
    flows.requests.carry_out(Request(pipeline="bike", action=Command.PROMOTE, by="ann"), "m1")
    assert (fleet_world.world.records.requests.outcome("m1") or "").startswith("rollout 1 of bike (promote) is running")
    [request] = flows.poll()
    assert (request.pipeline, request.action) == ("bike-01", Command.PROMOTE)


def test_data_of_many_members_left_when_the_time_is_over_is_taken_up_once_by_the_next_timers() -> None:
    fleet_world = FleetWorld([f"{number:03}" for number in range(60)], {"waits": False})
    world = fleet_world.world
    fleet_world.see()

    def slow() -> datetime:
        world.clock.sleep(3)
        return world.clock.now()

    made: list[list[str]] = []
    while sum(map(len, made)) < len(fleet_world.members):
        made.append([job.pipeline for job in replace(world.flows.intake, now=slow).take_up()])
    assert sorted(chain(*made)) == fleet_world.members
    assert len(made) > 2


def test_what_a_poll_asks_for_stands_in_the_order_of_the_jobs() -> None:
    fleet_world = FleetWorld([f"{number:03}" for number in range(60)], {"waits": False})
    world = fleet_world.world
    fleet_world.see()
    world.take_up()
    asked = [request.job for request in world.flows.training.poll()]
    assert asked == sorted(world.records.jobs.active())
    assert len(asked) == len(fleet_world.members)
