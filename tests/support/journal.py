"""Journals: each write of a scenario in its order, with what the services around the app had at that moment.

`python -m tests.support.journal FOLDER` writes those of this version. tests/records/journals has those of the last one;
this version continues from each of their writes, as after an upgrade at that point.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from shared.base.errors import ServiceUnavailable, TryLater
from shared.domain.arrivals import ArrivalSettings
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from shared.domain.ports import BesJob, BlobReference, Finished, Running
from shared.domain.rows import Rows
from shared.domain.services import ApprovalSettings, BakeSettings
from shared.domain.values import read_duration
from tests.support.fakes import FakeEndpoint, FakeReader, FakeService, World
from tests.support.fleets import fleet

Step = dict[str, Any]
MEMBERS = ("bike-01", "bike-02", "bike-03")


class Host:
    """Does for a world what the Functions host does: timers, and messages, which come again until they succeed."""

    def __init__(self, world: World, messages: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.world = world
        self.messages = {name: msgspec.convert(body, Request) for name, body in (messages or {}).items()}
        self.waiting = [*self.messages]

    def ask(self, message: str, request: Request) -> None:
        self.messages[message] = request
        self.waiting.append(message)
        self.deliver()

    def deliver(self) -> None:
        for message in [*self.waiting]:
            try:
                self.world.flows.requests.carry_out(self.messages[message], message)
            except TryLater:
                continue
            self.waiting.remove(message)

    def turn(self) -> None:
        """Let the timers run once, and deliver what is on the queue."""
        self.world.flows.take_up()
        for request in self.world.flows.poll():
            if (message := f"{request.action.value} of {request.job or request.pipeline}") not in self.waiting:
                self.messages[message] = request
                self.waiting.append(message)
        self.deliver()
        self.world.clock.sleep(15)

    def run(self, until: Callable[[], bool]) -> None:
        for _ in range(400):
            if until():
                return
            self.turn()
        raise AssertionError((states(self.world), self.waiting, [*self.world.documents.names("active/")]))

    def approve(self) -> None:
        """Answer every question that is open, as a person does who has seen the numbers."""
        for job in jobs(self.world):
            if job.state is JobState.AWAITING and job.approval and f"approval of {job.id}" not in self.messages:
                request = Request(
                    pipeline=job.pipeline, action=Command.APPROVE, job=job.id, by="ann", seen=job.approval.seen
                )
                self.ask(f"approval of {job.id}", request)

    def roll_out(self) -> None:
        """Ask for the rollout of the fleet once each member has a model to promote."""
        parked = [*self.world.documents.names("parked/bike/")]
        if len(parked) == len(MEMBERS) and "rollout" not in self.messages:
            self.ask("rollout", Request(pipeline="bike", action=Command.PROMOTE, by="ann"))

    def settled(self) -> bool:
        """Return whether nothing is under way any more."""
        marks = self.world.documents.names("active/")
        return not self.waiting and not any(marks) and all(job.final for job in jobs(self.world))


def jobs(world: World) -> list[Any]:
    return [world.records.jobs.require(each).record for each in world.records.jobs.ids()]


def states(world: World) -> list[tuple[str, str]]:
    return [(job.id, job.state.value) for job in jobs(world)]


def make(scenario: str) -> World:
    """Return the world that a scenario begins with."""
    if scenario == "fleet":
        world = World()
        world.fleets["bike"] = fleet(world)
        return world
    baking = BakeSettings(time=read_duration("2m"))
    if scenario == "approval":
        return World(bake=baking, approval=ApprovalSettings(required=True))
    if scenario == "judging":
        world = World(bake=baking, gate=Gate(rules=[parse_rule("AUC >= champion")], label="label"))
        training = msgspec.structs.replace(world.alone["income"].training, scored="output3")
        world.alone["income"] = msgspec.structs.replace(world.alone["income"], training=training)
        world.reader, world.service = RowsReader(), RowsService()
        for endpoint in world.endpoints.values():
            score_held_out(endpoint)
        return world
    if scenario == "arrival":
        waiting = read_duration("1m")
        return World(
            bake=baking, arriving=ArrivalSettings(settle=waiting, batch="quiet", quiet=waiting, refused="move")
        )
    return World(bake=baking)


HELD_OUT = Rows(
    ["age", "label", "Scored Labels", "Scored Probabilities"],
    [[str(number), str(number % 2), str(number % 2), str(number % 2)] for number in range(40)],
)


class RowsReader(FakeReader):
    """The training's output with held-out rows is `HELD_OUT`."""

    def read(self, reference: BlobReference) -> Iterator[bytes]:
        if not reference.relative.startswith("rows/"):
            return super().read(reference)
        lines = [HELD_OUT.columns, *HELD_OUT.values]
        return iter(["\n".join(map(",".join, lines)).encode() + b"\n"])


class RowsService(FakeService):
    def status(self, bes_job: str) -> BesJob:
        found = super().status(bes_job)
        if not isinstance(found, Finished):
            return found
        rows = BlobReference("https://store.example/", f"rows/{bes_job}.csv")
        return Finished({**found.results, "output3": rows})


def score_held_out(endpoint: FakeEndpoint) -> None:
    """Have the endpoint answer held-out rows with labels and probabilities, the first time with an error."""
    proof = endpoint.score
    fails: list[Exception] = [ServiceUnavailable("RRS got no answer")]

    def score(rows: Rows) -> Rows:
        answered = proof(rows)
        if rows.values == [["39"]]:
            return answered
        if fails:
            raise fails.pop()
        trained = answered.values[0][0].startswith("results/")
        labels = [str(int(row[0]) % 2) for row in rows.values]
        values = [[label, label if trained else "0.5"] for label in labels]
        return Rows(["Scored Labels", "Scored Probabilities"], values)

    endpoint.score = score  # type: ignore[method-assign]


def see(world: World, path: str, content: bytes) -> None:
    world.clock.sleep(1)
    world.data.put(path, content)
    world.flows.intake.see(path)


def see_members(world: World) -> None:
    """Drop data for each member of the fleet that has none."""
    for number, member in enumerate(MEMBERS):
        if (path := f"bike/{member[-2:]}/a.csv") not in world.data.contents:
            see(world, path, f"age\n{number}\n".encode())


def play(scenario: str, host: Host) -> None:
    """Have it happen, to the end of all of it."""
    world = host.world
    if scenario == "fleet":
        see_members(world)
    else:
        see(world, "income/a.csv", b"age\n1\n")
    if scenario == "arrival":
        see(world, "income/bad.csv", b"wrong\n1\n")
        see(world, "income/b.csv", b"age\n2\n")
    world.service.answer = Running()
    host.run(lambda: any(state == JobState.TRAINING.value for _, state in states(world)))
    world.service.answer = None
    end(host)
    if scenario == "rollback":
        see(world, "income/b.csv", b"age\n2\n")
        end(host)
        host.ask("rollback", Request(pipeline="income", action=Command.ROLLBACK, by="ann", reason="wrong labels"))
        end(host)


def end(host: Host) -> None:
    """Let the timers run, and answer as people do, until nothing is under way any more."""

    def settled() -> bool:
        host.approve()
        host.roll_out()
        return host.settled()

    host.run(settled)


SCENARIOS = ("approval", "arrival", "fleet", "judging", "rollback")


def outside(host: Host) -> Step:
    """Return what the services, the models and the data are at this moment, in JSON."""
    world = host.world
    return {
        "time": world.clock.now().isoformat(),
        "created": [*world.service.created],
        "started": [*world.service.started],
        "models": {sha256: content.decode() for sha256, content in world.models.kept.items()},
        "data": {
            path: [content.decode(), world.data.times[path].isoformat()]
            for path, content in world.data.contents.items()
        },
        "joined": {name: content.decode() for name, content in world.data.joined.items()},
        "copies": {name: content.decode() for name, content in world.data.copies.items()},
        "endpoints": {name: [each.named.base, each.named.relative] for name, each in endpoints(world).items()},
        "messages": {
            name: json.loads(msgspec.json.encode(each)) for name, each in host.messages.items() if each.by_hand
        },
    }


def endpoints(world: World) -> dict[str, FakeEndpoint]:
    members = {f"{member}/{name}": each for member, made in world.of_members.items() for name, each in made.items()}
    return members or dict(world.endpoints)


def record(scenario: str) -> list[Step]:
    """Play the scenario; return its writes. Of what is outside, a step has what is not as at the step before."""
    world = make(scenario)
    host, steps, former = Host(world), list[Step](), Step()
    write, delete = world.documents._write, world.documents.delete

    def note(step: Step) -> None:
        nonlocal former
        now = outside(host)
        steps.append(step | {key: value for key, value in now.items() if value != former.get(key)})
        former = now

    def written(name: str, content: bytes) -> str:
        etag = write(name, content)
        note({"write": name, "content": content.decode(), "shown": name in world.documents.listed})
        return etag

    def deleted(name: str, etag: str | None = None) -> None:
        delete(name, etag)
        note({"delete": name})

    world.documents._write, world.documents.delete = written, deleted  # type: ignore[method-assign]
    play(scenario, host)
    return steps


def restore(scenario: str, steps: list[Step], written: int, seen: int) -> Host:
    """Return a world with the records after `written` writes, and around it what there was at write number `seen`."""
    world, now = make(scenario), Step()
    for step in steps[: seen + 1]:
        now |= step
    world.clock.time = datetime.fromisoformat(now["time"])
    documents = world.documents
    for step in steps[:written]:
        name = step.get("delete") or step["write"]
        documents.contents.pop(name, None)
        documents.listed.discard(name)
        if "write" in step:
            documents.contents[name] = step["content"].encode()
            documents.listed |= {name} if step["shown"] else set()
    documents.versions = dict.fromkeys(documents.contents, 1)
    documents.written = dict.fromkeys(documents.contents, world.clock.now())
    world.service.created, world.service.started = [*now["created"]], [*now["started"]]
    for content in now["models"].values():
        world.models.keep(iter([content.encode()]))
    for path, (content, modified) in now["data"].items():
        world.data.contents[path] = content.encode()
        world.data.times[path] = world.data.modified = datetime.fromisoformat(modified)
    world.data.joined = {name: content.encode() for name, content in now["joined"].items()}
    world.data.copies = {name: content.encode() for name, content in now["copies"].items()}
    for name, (base, relative) in now["endpoints"].items():
        member, _, target = name.rpartition("/")
        found = world.endpoints_of(world.pipelines[member])[target] if member else world.endpoints[target]
        found.named = found.serves = BlobReference(base, relative)
    return Host(world, now["messages"])


def main() -> None:
    for scenario in SCENARIOS:
        steps = record(scenario)
        text = "\n".join(json.dumps(step, ensure_ascii=False) for step in steps)
        Path(sys.argv[1], f"{scenario}.jsonl").write_text(text + "\n", "utf-8")
        print(f"{scenario}: {len(steps)} writes")


if __name__ == "__main__":
    main()
