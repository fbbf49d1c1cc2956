"""The flows over endpoints that give shares of their calls, driven by poll and queue as the app is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from shared.base.errors import AskHuman, NeverAgain, TryLater
from shared.domain.azureml import AzureMLOnlineTarget, ShareSettings
from shared.domain.champions import Champion
from shared.domain.jobs import RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.services import BakeSettings
from shared.domain.values import Duration, ResourceId
from tests.support.fakes import FakeStagedEndpoint, World

MINUTES = 60.0
SHARE = ShareSettings(steps=[10, 50, 100], bake=Duration(10 * MINUTES))
KEEP_FORMER = 60 * MINUTES
TRIES = 5  #: as the host gives a message


def target(name: str, keep_former: float = KEEP_FORMER) -> AzureMLOnlineTarget:
    workspace = ResourceId("/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w")
    return AzureMLOnlineTarget(
        name=name,
        workspace=workspace,
        endpoint="income",
        model="income",
        datastore="models",
        keep_former=Duration(keep_former),
    )


@dataclass
class StagedWorld:
    """One pipeline `income` with two endpoints, each with what somebody else deployed: `first.ilearner`."""

    share: ShareSettings | None = SHARE
    bake: BakeSettings | None = None
    pause: float = 15.0
    keep_former: float = KEEP_FORMER
    world: World = field(init=False)

    def __post_init__(self) -> None:
        targets = [target(name, self.keep_former) for name in ("one", "two")]
        self.world = World(staged=True, share=self.share, bake=self.bake, targets=targets)
        self.messages = count(1)
        self.queue: list[tuple[str, Request, int]] = []
        self.dropped: list[str] = []  #: messages that failed at every delivery, or were refused

    def endpoint(self, name: str = "one") -> FakeStagedEndpoint:
        found = self.world.endpoints[name]
        assert isinstance(found, FakeStagedEndpoint)
        return found

    @property
    def both(self) -> list[FakeStagedEndpoint]:
        return [self.endpoint("one"), self.endpoint("two")]

    def job(self, job_id: str) -> RetrainingJob:
        return self.world.records.jobs.require(job_id).record

    @property
    def champion(self) -> Champion:
        return self.world.records.champions.load("income")

    def content(self, job_id: str) -> str:
        model = self.job(job_id).model
        assert model is not None
        return self.world.models.kept[model.sha256].decode()

    def sha256(self, job_id: str) -> str:
        model = self.job(job_id).model
        assert model is not None
        return model.sha256

    def notes(self, job_id: str) -> list[str]:
        return [step.note for step in self.job(job_id).steps]

    def send(self, action: Command, message: str, **facts: Any) -> None:
        self.queue.append((message, Request(pipeline="income", action=action, **facts), 0))

    def once(self) -> None:
        """Poll once and deliver each message that waits, as the host does."""
        self.queue += [(f"message-{next(self.messages)}", each, 0) for each in self.world.flows.poll()]
        waiting, self.queue = self.queue, []
        for message, request, tried in waiting:
            try:
                self.world.flows.requests.carry_out(request, message)
            except (TryLater, AskHuman) as error:
                if tried + 1 < TRIES:
                    self.queue.append((message, request, tried + 1))
                else:
                    self.world.flows.requests.give_up(request, message)
                    self.dropped.append(f"{message}: {error}")
            except NeverAgain as error:
                self.dropped.append(f"{message}: {error}")
        self.world.clock.sleep(self.pause)

    def run(self, until: Callable[[], object], times: int = 2000) -> None:
        for _ in range(times):
            if until():
                return
            self.once()
        raise AssertionError(f"it did not come to that: {self.champion.change}, {self.dropped}")

    def settled(self) -> bool:
        """Return whether nothing is left to do: no job, change, watch, deployment or message."""
        return not self.queue and not any(self.world.documents.names("active/"))

    def promoted(self, name: str = "a.csv") -> str:
        job_id = self.world.drop(name)
        self.run(lambda: self.job(job_id).final)
        assert self.job(job_id).state.value == "promoted", self.job(job_id).reason
        return job_id

    def shares(self, name: str = "one") -> Mapping[str, int]:
        """Return who gets calls, by the content of the model."""
        endpoint = self.endpoint(name)
        return {endpoint.content(each): share for each, share in endpoint.of.items() if share}

    def outcome(self, message: str) -> str | None:
        return self.world.records.requests.outcome(message)

    def until_shared(self, share: int, job_id: str) -> None:
        """Run until the job's model has so many of the calls."""
        self.run(lambda: self.shares().get(self.content(job_id) if self.job(job_id).model else "") == share)

    def until_given(self, share: int, job_id: str) -> None:
        """Run until that was read back, and both models are watched."""
        self.until_shared(share, job_id)
        self.run(lambda: self.champion.change and self.champion.change.traffic and self.champion.change.traffic.given)

    def check(self) -> None:
        """One champion has all calls, nothing else is deployed, and no model got calls before it was proven."""
        live = self.champion.live
        for name, endpoint in zip(("one", "two"), self.both, strict=True):
            right = self.world.models.kept[live.models[name].sha256].decode() if live else "first.ilearner"
            assert self.shares(name) == {right: 100}
            assert endpoint.contents() == {right}
            assert endpoint.served_unproven == []
            assert endpoint.mirrored == {}
        assert self.champion.change is None
        assert self.champion.waiting is None


def having(world: World, **facts: Any) -> None:
    world.alone["income"] = msgspec.structs.replace(world.pipelines["income"], **facts)
