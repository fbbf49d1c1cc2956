"""From a judged model to a proven switch, and back, when services lie, lose answers and take their time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from shared.base.errors import AskHuman, BadConfiguration, BadMessage, Busy, ServiceUnavailable
from shared.domain.champions import Action, HistoryEntry
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.pipelines import Pipeline
from shared.domain.ports import BlobReference, Endpoints
from tests.support.fake_services import refused
from tests.support.fakes import FakeEndpoint, World

PROMOTE, ROLLBACK = Command.PROMOTE, Command.ROLLBACK


@pytest.fixture
def world() -> World:
    return World()


def promote(world: World, job_id: str, by: str | None = None, message: str = "m") -> None:
    world.flows.requests.carry_out(Request(pipeline="income", action=PROMOTE, job=job_id, by=by), message)


def served(world: World) -> set[str]:
    """Return the contents of the models that answer."""
    rows = world.pipelines["income"].rows
    return {endpoint.score(rows).values[0][0] for endpoint in world.endpoints.values()}


def trained(world: World, job_id: str) -> str:
    """Return the content of the job's model."""
    model = world.records.jobs.require(job_id).record.model
    assert model is not None
    return world.models.kept[model.sha256].decode()


def state(world: World, job_id: str) -> JobState:
    return world.records.jobs.require(job_id).record.state


def promoted(world: World, name: str) -> str:
    job_id = world.accepted(name)
    promote(world, job_id)
    assert state(world, job_id) is JobState.PROMOTED
    return job_id


def test_both_targets_get_the_model_and_the_history_says_what_was_live(world: World) -> None:
    job_id = promoted(world, "a.csv")
    assert served(world) == {trained(world, job_id)}
    found, entry = world.records.champions.entry("income", 1), world.records.champions.entry("income", 2)
    assert found is not None
    assert entry is not None
    assert (entry.job, entry.previous, set(entry.proof)) == (job_id, 1, {"one", "two"})
    assert found.models["one"] != entry.models["one"]
    assert world.records.jobs.active() == []


def test_an_update_without_effect_is_put_back_and_says_so(world: World) -> None:
    before = served(world)
    world.endpoints["one"].deaf = 1
    job_id = world.accepted()
    promote(world, job_id)
    job = world.records.jobs.require(job_id).record
    assert job.state is JobState.REVERTED
    assert "still those of the former model" in (job.reason or "")
    assert served(world) == before


def test_when_the_second_target_refuses_the_first_gets_its_former_model_back(world: World) -> None:
    world.endpoints["two"].refuses = [refused(), refused()]
    job_id = world.accepted()
    promote(world, job_id)
    assert state(world, job_id) is JobState.REVERTED
    assert trained(world, job_id) not in served(world)


def test_an_update_that_takes_effect_late_is_waited_for(world: World) -> None:
    world.endpoints["two"].late = 120.0
    job_id = promoted(world, "a.csv")
    assert served(world) == {trained(world, job_id)}


def test_a_lost_answer_to_the_update_is_found_out_and_not_repeated(world: World) -> None:
    world.endpoints["one"].loses = 1
    job_id = world.accepted()
    with pytest.raises(ServiceUnavailable):
        promote(world, job_id)
    promote(world, job_id)
    assert state(world, job_id) is JobState.PROMOTED
    assert world.endpoints["one"].updates == 1


def test_an_endpoint_that_stays_away_gets_its_former_model_back_after_a_while(world: World) -> None:
    world.endpoints["two"].refuses = [ServiceUnavailable("503")] * 12
    job_id = world.accepted()
    world.run(lambda: state(world, job_id) is JobState.REVERTED, minutes=60)
    assert state(world, job_id) is JobState.REVERTED
    assert trained(world, job_id) not in served(world)


def test_a_second_delivery_does_nothing(world: World) -> None:
    job_id = promoted(world, "a.csv")
    updates = world.endpoints["one"].updates
    promote(world, job_id, message="again")
    assert world.endpoints["one"].updates == updates
    assert world.records.champions.load("income").last == 2


def test_an_older_job_never_overwrites_a_newer_promoted_one(world: World) -> None:
    older, newer = world.accepted("a.csv"), world.accepted("b.csv")
    promote(world, newer)
    promote(world, older)
    assert state(world, older) is JobState.SUPERSEDED
    assert served(world) == {trained(world, newer)}


def test_the_gate_judges_again_when_the_champion_has_become_another() -> None:
    world = World(rules=("AUC >= champion - 0.01",))
    world.data.modified += timedelta(minutes=1)
    world.reader.evaluation = b"AUC\n0.95\n"
    worse = world.accepted("newer.csv")
    world.data.modified -= timedelta(minutes=1)
    world.reader.evaluation = b"AUC\n0.99\n"
    better = world.accepted("older.csv")
    promote(world, better)
    assert state(world, better) is JobState.PROMOTED
    promote(world, worse)
    assert state(world, worse) is JobState.JUDGING
    world.flows.training.poll()
    job = world.records.jobs.require(worse).record
    assert job.state is JobState.REJECTED
    assert "The champion is another one now" in job.steps[-2].note
    assert job.verdict is not None
    assert job.verdict.champion == world.records.jobs.require(better).record.model.sha256  # type: ignore[union-attr]


def test_a_rollback_brings_the_former_model_back_and_the_next_one_goes_further(world: World) -> None:
    first, second = promoted(world, "a.csv"), promoted(world, "b.csv")
    assert served(world) == {trained(world, second)}
    world.flows.requests.carry_out(Request(pipeline="income", action=ROLLBACK, by="ann"), "m1")
    assert served(world) == {trained(world, first)}
    world.flows.requests.carry_out(Request(pipeline="income", action=ROLLBACK, by="ann"), "m1")
    assert served(world) == {trained(world, first)}  # the same message again
    world.flows.requests.carry_out(Request(pipeline="income", action=ROLLBACK, by="ann"), "m2")
    entry = world.records.champions.entry("income", 1)
    assert entry is not None
    assert served(world) == {world.models.kept[entry.models["one"].sha256].decode()}
    with pytest.raises(BadMessage, match="no former model"):
        world.flows.requests.carry_out(Request(pipeline="income", action=ROLLBACK, by="ann"), "m3")


def test_a_model_that_somebody_else_deployed_is_kept_and_can_be_rolled_back_to(world: World) -> None:
    first = promoted(world, "a.csv")
    stranger = world.models.link(world.models.keep(iter([b"by hand"])))
    for endpoint in world.endpoints.values():
        endpoint.named = endpoint.serves = stranger
    second = promoted(world, "b.csv")
    world.flows.requests.carry_out(Request(pipeline="income", action=ROLLBACK, by="ann"), "m1")
    assert served(world) == {"by hand"}
    assert first != second


def test_a_person_may_promote_what_the_gate_refused() -> None:
    world = World(rules=("AUC >= 0.99",))
    job_id = world.accepted()
    assert state(world, job_id) is JobState.REJECTED
    promote(world, job_id)
    assert world.records.champions.load("income").last == 0  # without a name it is a second delivery
    promote(world, job_id, by="ann", message="by hand")
    assert served(world) == {trained(world, job_id)}


def test_two_runs_at_once_exclude_each_other(world: World) -> None:
    job_id = world.accepted()
    with world.records.champions.hold(world.records.champions.look("income"), world.clock.now), pytest.raises(Busy):
        promote(world, job_id)
    assert state(world, job_id) is JobState.ACCEPTED


def test_a_run_that_lost_its_right_to_the_endpoints_touches_nothing_more_however_late_it_is(world: World) -> None:
    job_id = world.accepted()
    world.documents.lease_lost = True
    for _ in range(2):
        with pytest.raises(Busy):
            promote(world, job_id)
        world.clock.sleep(16 * 60)  # longer than an update is tried again
    assert [endpoint.updates for endpoint in world.endpoints.values()] == [0, 0]
    world.documents.lease_lost = False
    promote(world, job_id)
    assert state(world, job_id) is JobState.PROMOTED


def test_a_message_for_something_missing_names_what_exists(world: World) -> None:
    with pytest.raises(BadMessage, match="the pipelines are: income"):
        world.flows.requests.carry_out(Request(pipeline="bike", action=ROLLBACK), "m")
    with pytest.raises(BadMessage, match="no job nobody"):
        promote(world, "nobody")


def test_a_live_model_that_cannot_be_kept_stops_the_promotion_before_anything_is_touched(world: World) -> None:
    class Unreadable:
        def read(self, _: object) -> object:
            raise AskHuman("not allowed to read it")

    job_id = world.accepted()
    world.reader = Unreadable()  # type: ignore[assignment]
    with pytest.raises(AskHuman, match="nothing is promoted"):
        promote(world, job_id)
    assert [endpoint.updates for endpoint in world.endpoints.values()] == [0, 0]
    assert "nothing is promoted" in (world.records.jobs.require(job_id).record.trouble or "")


def test_a_message_that_failed_for_good_is_noted_on_the_job(world: World) -> None:
    job_id = world.accepted()
    world.flows.requests.give_up(Request(pipeline="income", action=PROMOTE, job=job_id), "m9")
    job = world.records.jobs.require(job_id).record
    assert "failed at every delivery of message m9" in job.steps[-1].note
    assert job.state is JobState.ACCEPTED


def outcome(world: World, message: str) -> str:
    """Return what the records say became of a message sent by hand."""
    return str(json.loads(world.documents.contents[f"requests/{message}.json"])["outcome"])


def asked(world: World, message: str) -> tuple[str | None, ...]:
    """Return the pipeline, who asked and why, as the note of a message has them."""
    note = world.records.requests.load(message)
    return tuple(note.get(each) for each in ("pipeline", "by", "reason"))


def test_the_outcome_of_a_message_by_hand_names_what_was_asked_by_whom_and_why(world: World) -> None:
    promoted(world, "a.csv")
    rollback = Request(pipeline="income", action=ROLLBACK, by="ann", reason="wrong labels")
    world.flows.requests.carry_out(rollback, "m1")
    assert outcome(world, "m1").startswith("done: entry 3 of the history")
    assert asked(world, "m1") == ("income", "ann", "wrong labels")
    second = promoted(world, "b.csv")
    world.endpoints["two"].deaf = 1
    world.flows.requests.carry_out(rollback, "m2")
    assert outcome(world, "m2").startswith("not done: After 180 s the answers")
    assert asked(world, "m2") == ("income", "ann", "wrong labels")
    assert served(world) == {trained(world, second)}


@pytest.mark.parametrize("what", ["rollback", "promotion"])
def test_a_message_by_hand_that_fails_says_why_until_it_is_carried_out(world: World, what: str) -> None:
    first, _ = promoted(world, "a.csv"), promoted(world, "b.csv")
    request = Request(pipeline="income", action=ROLLBACK, by="ann")
    if what == "promotion":
        request = Request(pipeline="income", action=PROMOTE, job=first, by="ann")
    world.endpoints["one"].refuses = [ServiceUnavailable("503 of endpoint one")]
    with pytest.raises(ServiceUnavailable):
        world.flows.requests.carry_out(request, "m1")
    assert outcome(world, "m1") == "not yet: 503 of endpoint one"
    assert asked(world, "m1") == ("income", "ann", None)
    world.flows.requests.give_up(request, "m2")
    assert outcome(world, "m2").startswith(f"failed: The {what} failed at every delivery")
    assert asked(world, "m2") == ("income", "ann", None)
    world.flows.requests.carry_out(request, "m1")
    assert outcome(world, "m1").startswith("done: entry ")


def test_trouble_with_the_records_after_the_proof_puts_nothing_back_however_long_it_lasts(world: World) -> None:
    job_id = world.accepted()
    world.clock.sleep(1)
    append = world.records.champions.append

    def away(champion: object, entry: HistoryEntry) -> object:
        if entry.action is Action.PROMOTED:
            raise ServiceUnavailable("storage is away")
        return append(champion, entry)  # type: ignore[arg-type]

    world.records.champions.append = away  # type: ignore[method-assign, assignment]
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            promote(world, job_id)
        world.clock.sleep(20 * 60)
    assert served(world) == {trained(world, job_id)}
    world.records.champions.append = append  # type: ignore[method-assign]
    promote(world, job_id)
    assert state(world, job_id) is JobState.PROMOTED


def test_a_target_that_is_new_in_the_configuration_gets_the_next_model_too(world: World) -> None:
    promoted(world, "a.csv")
    pipeline = world.pipelines["income"]
    third = msgspec.structs.replace(pipeline.targets[0], name="three")
    world.alone["income"] = msgspec.structs.replace(pipeline, targets=[third, *pipeline.targets])
    other = BlobReference("https://other.example/", "first.ilearner")
    world.endpoints = {"three": FakeEndpoint(world.clock, world.models, other), **world.endpoints}
    second = promoted(world, "b.csv")
    assert served(world) == {trained(world, second)}


def test_a_training_asked_for_again_after_a_rollback_is_promoted_although_newer_data_was(world: World) -> None:
    first, _ = promoted(world, "a.csv"), promoted(world, "b.csv")
    world.clock.sleep(60)
    world.flows.requests.carry_out(Request(pipeline="income", action=ROLLBACK, by="ann"), "m1")
    world.clock.sleep(60)
    again = world.flows.intake.retrain("income", {}, "m2")
    assert again.parts == world.records.jobs.require(first).record.parts
    world.flows.training.start(again)
    world.flows.training.poll()
    promote(world, again.id)
    assert state(world, again.id) is JobState.PROMOTED
    # And data that came before that, and is newer than all that was promoted, is not older than it.
    newest = promoted(world, "c.csv")
    assert served(world) == {trained(world, newest)}


def test_a_training_asked_for_again_gives_way_to_what_became_live_meanwhile(world: World) -> None:
    promoted(world, "a.csv")
    world.clock.sleep(60)
    again = world.flows.intake.retrain("income", {}, "m1")
    world.flows.training.start(again)
    world.clock.sleep(60)
    newer = promoted(world, "b.csv")
    promote(world, again.id)
    assert state(world, again.id) is JobState.SUPERSEDED
    assert served(world) == {trained(world, newer)}


def test_why_the_endpoints_cannot_be_opened_is_noted_on_the_job(world: World) -> None:
    def missing(_: Pipeline) -> Endpoints:
        raise BadConfiguration("Missing setting: KEY")

    job_id = world.accepted()
    promotion = replace(world.flows.requests.promotion, endpoints=missing)
    with pytest.raises(BadConfiguration):
        promotion.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m")
    job = world.records.jobs.require(job_id).record
    assert (job.state, job.trouble) == (JobState.ACCEPTED, "Missing setting: KEY")
