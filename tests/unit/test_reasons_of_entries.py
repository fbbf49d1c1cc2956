"""The history says why a model became live, and whether the app itself made it live."""

from __future__ import annotations

import msgspec
import pytest

from shared.domain.champions import HistoryEntry
from shared.domain.gate.verdict import Finding, Outcome, Verdict
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.ports import BlobReference
from tests.support.fakes import World


@pytest.fixture
def world() -> World:
    return World()


def reasons(world: World) -> list[str]:
    return [entry.reason for entry, _ in world.records.champions.entries("income")]


def latest(world: World) -> HistoryEntry:
    live = world.records.champions.load("income").live
    assert live is not None
    return live


def promoted(world: World, name: str) -> None:
    job_id = world.drop(name)
    world.run(lambda: world.records.jobs.require(job_id).record.state is JobState.PROMOTED)


def test_an_undecided_model_that_the_gate_promotes_is_described_as_such(world: World) -> None:
    job_id = world.accepted()
    stored = world.records.jobs.require(job_id)
    finding = Finding(rule="AUC >= champion", outcome=Outcome.UNDECIDED, text="AUC 0.95 is within the noise")
    verdict = Verdict(outcome=Outcome.UNDECIDED, findings=(finding,))
    world.records.jobs.save(stored, msgspec.structs.replace(stored.record, verdict=verdict))
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=job_id), "m1")
    assert latest(world).reason == "undecided, and promoted as gate.undecided says: AUC 0.95 is within the noise"


def test_a_model_that_was_live_before_the_app_was_published_by_hand(world: World) -> None:
    promoted(world, "a.csv")
    assert reasons(world)[0] == "published by hand, before this app's first change"


def test_a_model_that_the_app_did_not_make_live_was_published_by_hand(world: World) -> None:
    promoted(world, "a.csv")
    for endpoint in world.endpoints.values():
        endpoint.named = endpoint.serves = BlobReference("https://other.example/", "by-hand.ilearner")
        endpoint._next = None
    promoted(world, "b.csv")
    assert reasons(world)[2] == "published by hand: this app has not made it live"


def test_of_a_kept_model_it_is_not_known_who_made_it_live(world: World) -> None:
    promoted(world, "a.csv")
    first = latest(world).models["one"]
    promoted(world, "b.csv")
    for endpoint in world.endpoints.values():
        endpoint.named = endpoint.serves = world.models.link(first)
        endpoint._next = None
    promoted(world, "c.csv")
    assert reasons(world)[3] == "deployed by somebody else: a model that this app had kept"
