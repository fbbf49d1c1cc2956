"""Kept models that nothing needs go after a while; what is live and what a rollback goes back to never does."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from shared.base.errors import BadConfiguration, BadMessage, ServiceUnavailable
from shared.base.settings import Settings
from shared.domain.jobs import JobState, Model, received
from shared.domain.messages import Command, Request
from shared.domain.ports import Failed, KeptModel
from shared.flows.retention import YOUNG, KeepRule, read_rule, to_remove
from tests.support.fake_storage import START
from tests.support.fakes import World
from tests.support.fleets import FleetWorld
from tests.support.intake import arriving

DAY = timedelta(days=1)
LONG = 91 * 86400.0


def kept(sha256: str, age: timedelta) -> KeptModel:
    return KeptModel(Model(sha256=sha256, size=1), START - age, "etag")


def removed(models: list[KeptModel], needed: set[str], rule: KeepRule) -> list[str]:
    return [each.model.sha256 for each in to_remove(models, needed, START, rule)]


def test_only_what_is_old_and_not_needed_is_removed() -> None:
    models = [kept("needed", 400 * DAY), kept("old", 91 * DAY), kept("used", 89 * DAY)]
    assert removed(models, {"needed"}, KeepRule()) == ["old"]


def test_nothing_younger_than_a_day_is_removed_whatever_the_rule_says() -> None:
    models = [kept("young", YOUNG), kept("older", YOUNG + timedelta(seconds=1))]
    assert removed(models, set(), KeepRule(unused=timedelta(0))) == ["older"]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"KEEP_MODELS": "0"}, "Setting KEEP_MODELS is '0'"),
        ({"KEEP_MODELS": "many"}, "write how many former models stay"),
        ({"KEEP_MODELS_FOR": "90"}, "Setting KEEP_MODELS_FOR: '90' is not a time span"),
        ({"KEEP_MODELS_FOR": "12h"}, "write 1d or more"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(settings: dict[str, str], fault: str) -> None:
    with pytest.raises(BadConfiguration, match=fault):
        read_rule(Settings(settings))


def test_the_settings_are_what_the_rule_says() -> None:
    assert read_rule(Settings({})) == KeepRule(entries=10, unused=90 * DAY)
    assert read_rule(Settings({"KEEP_MODELS": "3", "KEEP_MODELS_FOR": "30d"})) == KeepRule(entries=3, unused=30 * DAY)


def promoted(world: World, name: str) -> str:
    """Promote a job's model; return its SHA-256."""
    job_id = world.accepted(name)
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), f"m-{name}")
    assert world.records.jobs.require(job_id).record.state is JobState.PROMOTED
    return model(world, job_id)


def model(world: World, job_id: str) -> str:
    kept = world.records.jobs.require(job_id).record.model
    assert kept is not None
    return kept.sha256


def roll_back(world: World, message: str, **where: int | str) -> None:
    request = Request(pipeline="income", action=Command.ROLLBACK, by="ann", **where)  # type: ignore[arg-type]
    world.flows.requests.carry_out(request, message)


def test_what_is_live_and_the_entries_before_it_stay_and_older_ones_and_refused_ones_go() -> None:
    world = World()
    models = [promoted(world, f"{name}.csv") for name in "abcd"]
    refused = world.models.keep(iter([b"refused"])).sha256
    first = world.records.champions.entry("income", 1)
    assert first is not None
    world.clock.sleep(LONG)
    gone = world.flows.retention.run()  # keeps two entries before the live one
    assert set(gone) == {refused, first.models["one"].sha256, models[0]}
    assert set(world.models.kept) == set(models[1:])
    [day] = world.documents.names("retention/")
    assert set(json.loads(world.documents.contents[day])["models"]) == set(gone)


def test_after_a_rollback_what_the_next_ones_go_back_to_stays_too() -> None:
    world = World()
    models = [promoted(world, f"{name}.csv") for name in "abcde"]
    roll_back(world, "m1", to=4)  # live is what c.csv gave, again; before it are b and a
    world.clock.sleep(LONG)
    world.flows.retention.run()
    assert set(models) <= set(world.models.kept)
    roll_back(world, "m2")
    roll_back(world, "m3")
    live = world.records.champions.load("income").live
    assert live is not None
    assert live.models["one"].sha256 == models[0]


def test_the_models_of_jobs_that_are_not_done_stay() -> None:
    world = World()
    waiting = world.accepted()
    world.clock.sleep(LONG)
    assert world.flows.retention.run() == []
    assert model(world, waiting) in world.models.kept


def test_both_models_of_a_change_under_way_stay_also_if_the_pipeline_left_the_file() -> None:
    world = World()
    promoted(world, "a.csv")
    job_id = world.accepted("b.csv")
    world.documents.die_after = 1
    with pytest.raises(KeyboardInterrupt):
        world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")
    world.documents.die_after = None
    change = world.records.champions.load("income").change
    assert change is not None
    for name in list(world.documents.names("active/")):
        world.documents.delete(name)
    world.alone.clear()
    world.clock.sleep(LONG)
    world.flows.retention.run()
    assert {change.entry.models["one"].sha256, change.before["one"].sha256} <= set(world.models.kept)


def test_what_somebody_else_made_live_of_the_kept_models_stays() -> None:
    world = World()
    by_hand = world.models.keep(iter([b"by hand"]))
    world.endpoints["two"].named = world.models.link(by_hand)
    world.clock.sleep(LONG)
    assert world.flows.retention.run() == []


def test_nothing_is_removed_while_an_endpoint_does_not_say_what_is_live() -> None:
    world = World()
    world.models.keep(iter([b"old"]))
    world.clock.sleep(LONG)

    def silent() -> None:
        raise ServiceUnavailable("GET answered 503")

    world.endpoints["two"].model = silent  # type: ignore[assignment]
    with pytest.raises(ServiceUnavailable):
        world.flows.retention.run()
    assert world.models.kept


def test_a_copy_of_data_goes_once_no_job_may_read_it_again() -> None:
    world = World()
    arriving(world, rows="all")
    for name in "abcde":
        promoted(world, f"{name}.csv")
    jobs = [entry.job for entry, _ in world.records.champions.entries("income") if entry.job]
    second = world.records.jobs.require(jobs[1]).record
    again = received("income", second.parts, world.clock.now(), once_more="m", again=True, joined=second.joined)
    strangers = {"first/rows.csv": b"x", f"income/{jobs[0]}/notes.csv": b"x", "income/notes.csv": b"x"}
    world.data.joined |= strangers
    world.records.jobs.open(again)
    world.clock.sleep(80 * 86400)
    world.flows.retention.run()
    copies = [f"income/{each}.csv" for each in jobs]
    assert {*copies} <= world.data.joined.keys()
    world.clock.sleep(11 * 86400)
    world.flows.retention.run()
    # Two entries before the live one stay, and what a job reads that has not ended.
    assert world.data.joined.keys() == {*copies[1:], *strangers}
    assert {f"income/{name}.csv" for name in "abcde"} <= world.data.contents.keys()  # what was dropped
    assert world.flows.intake.retrain("income", {}, "m2").joined == copies[-1]


def test_the_folder_of_a_failed_training_goes_and_the_newest_folder_stays() -> None:
    world = World()
    pipeline = world.alone["income"]
    training = msgspec.structs.replace(pipeline.training, input=None, folder="Path")
    world.alone["income"] = msgspec.structs.replace(pipeline, training=training)
    world.service.answer = Failed("no")
    older, newer = world.drop("a.csv"), world.drop("b.csv")
    world.run(lambda: not world.records.jobs.active())
    world.clock.sleep(LONG)
    world.flows.retention.run()
    assert {name.split("/")[1] for name in world.data.joined} == {newer}
    assert older != newer


def test_it_runs_once_a_day() -> None:
    world = World()
    assert world.flows.retention.run() == []
    world.models.keep(iter([b"old"]))
    world.models.touched = dict.fromkeys(world.models.kept, START - 100 * DAY)
    assert world.flows.retention.run() == []
    world.clock.sleep(86400)
    assert len(world.flows.retention.run()) == 1


def test_a_rollback_to_an_old_model_that_begins_meanwhile_finds_it_or_is_refused() -> None:
    world = World()
    old = promoted(world, "a.csv")
    for name in "bcd":
        promoted(world, f"{name}.csv")
    world.clock.sleep(LONG)
    remove = world.models.remove

    def after_a_rollback(kept: KeptModel) -> bool:
        if kept.model.sha256 == old:
            roll_back(world, "m1", model=old)
        return remove(kept)

    world.models.remove = after_a_rollback  # type: ignore[method-assign]
    assert old not in world.flows.retention.run()
    live = world.records.champions.load("income").live
    assert live is not None
    assert live.models["one"].sha256 == old
    assert old in world.models.kept
    gone = world.records.champions.entry("income", 1)
    assert gone is not None
    with pytest.raises(BadMessage, match=r"is not kept any more"):
        roll_back(world, "m2", to=1)


def test_a_model_that_is_trained_once_more_is_young_again() -> None:
    world = World()
    world.models.keep(iter([b"the same"]))
    world.clock.sleep(LONG)
    world.models.keep(iter([b"the same"]))
    assert world.flows.retention.run() == []


def test_the_model_of_a_job_that_waits_for_a_rollout_stays_however_long_it_waits() -> None:
    fleet_world = FleetWorld(["01"])
    fleet_world.drop()
    world = fleet_world.world
    [job_id] = world.records.jobs.parked("bike")
    model = world.records.jobs.require(job_id).record.model
    assert model is not None
    assert world.records.jobs.active() == []
    world.clock.sleep(LONG)
    assert model.sha256 not in world.flows.retention.run()
    assert model.sha256 in world.models.kept
