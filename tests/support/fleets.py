"""A fleet over the fakes: `bike`, for each location, with an endpoint a member."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from shared.base.errors import TryLater
from shared.base.secret import Secret
from shared.domain.fleets import Fleet
from shared.domain.jobs import RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.rollouts import MemberState, Plan, Rollout, RolloutState
from shared.domain.services import ClassicTarget, ScoringService
from shared.domain.values import Address
from tests.support.fakes import FakeEndpoint, World

SERVICES = Address("https://studio.example")


def fleet(world: World, *, waits: bool = True, **plan: Any) -> Fleet:
    """Return the fleet `bike` made of the world's pipeline."""
    target = ClassicTarget(
        name="rental",
        address=Address("https://studio.example/workspaces/w/webservices/s/endpoints/rentalloc{location}"),
        key=Secret("key"),
        resource="r",
        scoring=ScoringService(services=SERVICES),
    )
    template = msgspec.structs.replace(
        world.pipelines["income"],
        name="bike",
        blobs="bike/{location}/*.csv",
        fleet="bike",
        waits=waits,
        targets=[target],
        training=msgspec.structs.replace(world.pipelines["income"].training, parameters={"Location": "{location}"}),
    )
    return Fleet(template=template, key="location", plan=Plan(**plan))


@dataclass
class FleetWorld:
    """The fleet's members are `locations`, each with an accepted job of its own."""

    locations: list[str]
    plan: dict[str, Any] = field(default_factory=dict)
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.world.fleets["bike"] = fleet(self.world, **self.plan)
        self.messages = count(1)

    @property
    def members(self) -> list[str]:
        return [f"bike-{location}" for location in self.locations]

    def see(self, name: str = "a.csv") -> None:
        """Drop each member's own data, and take its event."""
        world = self.world
        for location in self.locations:
            path = f"bike/{location}/{name}"
            world.clock.sleep(1)
            world.data.put(path, f"age\n{len(world.data.contents) + 1}\n".encode())
            world.flows.intake.see(path)

    def drop(self, name: str = "a.csv") -> None:
        """Drop data for each member, train on it and have it judged."""
        self.see(name)
        assert len(self.world.take_up()) == len(self.locations)
        self.poll()

    def endpoint(self, member: str) -> FakeEndpoint:
        pipeline = self.world.pipelines[member]
        return self.world.endpoints_of(pipeline)["rental"]

    def served(self, member: str) -> str:
        """Return the content of the model that the member's endpoint answers with."""
        return self.endpoint(member).score(self.world.pipelines["income"].rows).values[0][0]

    def jobs(self, member: str) -> list[RetrainingJob]:
        names = self.world.documents.names(f"jobs/{member}-")
        found = [
            self.world.records.jobs.require(name.removeprefix("jobs/").removesuffix(".json")).record for name in names
        ]
        return [job for job in found if job.pipeline == member]

    def trained(self, member: str) -> str:
        """Return the content of the model of the member's newest job."""
        model = max(self.jobs(member), key=lambda job: job.order).model
        assert model is not None
        return self.world.models.kept[model.sha256].decode()

    def poll(self, times: int = 1) -> None:
        """Do what the poll does, and deliver what it asks for."""
        for _ in range(times):
            for request in [*self.world.flows.rollouts.advance(), *self.world.flows.training.poll()]:
                try:
                    self.world.flows.requests.carry_out(request, f"message-{next(self.messages)}")
                except TryLater:
                    continue  # it is asked for again
            self.world.clock.sleep(15)

    def ask(self, action: Command, message: str, by: str = "ann") -> str:
        return self.world.flows.rollouts.ask(Request(pipeline="bike", action=action, by=by), message)

    @property
    def rollout(self) -> Rollout:
        stored = self.world.records.rollouts.latest("bike")
        assert stored is not None
        return stored.record

    def standing(self, standing: MemberState) -> list[str]:
        return [member.pipeline for member in self.rollout.members if member.state is standing]

    def finish(self) -> None:
        """Poll until the rollout has ended."""
        for _ in range(400):
            self.poll()
            if self.rollout.state is not RolloutState.RUNNING:
                return
        raise AssertionError(self.rollout.text)
