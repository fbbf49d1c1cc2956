"""Records as an earlier version wrote them (tests/records) are read, and what is under way comes to its end."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from local.children import ROOT
from shared.domain.arrivals import Arrival
from shared.domain.champions import Champion, Change, HistoryEntry, Watch
from shared.domain.checks import Profile
from shared.domain.jobs import Approval, JobState, Model, RetrainingJob
from shared.domain.rollouts import Member, MemberState, Rollout, RolloutState
from shared.domain.rows import Rows
from shared.store import Removal
from shared.store.arrivals import Batches, Moved, Sweep
from shared.store.champions import ChangeMark
from shared.store.history_check import verify
from shared.store.shelf import decode, encode
from tests.support.fakes import FakeEndpoint, World
from tests.support.fleets import FleetWorld

RECORDS = ROOT / "tests" / "records"
KINDS: dict[str, Any] = {
    "active/jobs/": RetrainingJob,
    "active/arrivals/": Arrival,
    "active/changes/": ChangeMark,
    "active/watches/": Watch,
    "active/rollouts/": dict,
    "answers/": Rows,
    "arrivals/": Arrival,
    "batches/": Batches,
    "champions/": Champion,
    "contents/": dict[str, str],
    "history/": HistoryEntry,
    "jobs/": RetrainingJob,
    "moved/": Moved,
    "parked/": dict,
    "profiles/": Profile,
    "requests/": dict[str, str],
    "retention/": Removal,
    "rollouts/": Rollout,
    "rows/": Rows,
    "sweeps/": Sweep,
}


def records(folder: str) -> dict[str, bytes]:
    files = (file for file in sorted((RECORDS / folder).rglob("*.json")) if file.parent != RECORDS / folder)
    return {file.relative_to(RECORDS / folder).as_posix(): file.read_bytes() for file in files}


def beside(folder: str, name: str) -> Any:
    return json.loads((RECORDS / folder / name).read_text("utf-8"))


def restore(world: World, folder: str) -> None:
    """Give the world the records, the models and the data of the folder, a day after the last of them."""
    world.documents.contents = records(folder)
    world.documents.versions = dict.fromkeys(world.documents.contents, 1)
    world.documents.written = dict.fromkeys(world.documents.contents, world.clock.now())
    for content in beside(folder, "models.json").values():
        world.models.keep(iter([content.encode()]))
    for path, (content, modified) in beside(folder, "data.json").items():
        world.data.contents[path] = content.encode()
        world.data.times[path] = datetime.fromisoformat(modified)
    world.clock.sleep(timedelta(days=1).total_seconds())


def serve(world: World, endpoint: FakeEndpoint, model: Model) -> None:
    endpoint.named = endpoint.serves = world.models.link(model)


@pytest.mark.parametrize("folder", ["income", "fleet"])
def test_every_record_is_read(folder: str) -> None:
    found = records(folder)
    assert len(found) > 20
    for name, content in found.items():
        [kind] = [kind for prefix, kind in KINDS.items() if name.startswith(prefix)]
        record = decode(content, kind, name)
        assert keeps(json.loads(encode(record)), json.loads(content)), f"{name} loses a key or a value"


def keeps(written: Any, read: Any) -> bool:
    """Return whether each key and each value that was read is written again; new keys may come."""
    if isinstance(read, dict) and isinstance(written, dict):
        return all(key in written and keeps(written[key], value) for key, value in read.items())
    if isinstance(read, list) and isinstance(written, list):
        return len(read) == len(written) and all(map(keeps, written, read))
    return bool(read == written)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Change, {"request_id": "request"}),
        (Approval, {"request_id": "request"}),
        (Champion, {"late_writes": "strays"}),
        (Rollout, {"request_id": "request", "members": "lines", "state": "course", "stop_reason": "told"}),
        (Member, {"pipeline": "member", "state": "standing"}),
    ],
)
def test_an_attribute_with_another_name_keeps_the_key_of_earlier_records(kind: Any, names: dict[str, str]) -> None:
    keys = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    assert {name: key for name, key in keys.items() if name != key} == names


def test_jobs_in_every_state_come_to_their_end_and_the_history_is_whole() -> None:
    world = World()
    restore(world, "income")
    live = world.records.champions.load("income").live
    assert live is not None
    for name, endpoint in world.endpoints.items():
        serve(world, endpoint, live.models[name])
    found = [world.records.jobs.require(each).record for each in world.records.jobs.ids()]
    assert {job.state for job in found} == {
        JobState.PROMOTED,
        JobState.REJECTED,
        JobState.ACCEPTED,
        JobState.TRAINING,
    }
    bes_jobs = [job.bes_job for job in found if job.bes_job]
    world.service.created = world.service.started = bes_jobs

    world.run(until=lambda: not world.records.jobs.active() and not world.records.arrivals.active("income"))

    ended = [world.records.jobs.require(each).record for each in world.records.jobs.ids()]
    assert len(ended) == len(found) + 1  # one of the data that was settling
    assert all(job.final for job in ended)
    champion = world.records.champions.load("income")
    assert champion.change is None
    assert champion.last > live.number
    assert verify(world.records.champions.stored_history("income"), champion).faults == []


def test_a_rollout_goes_on_to_its_end() -> None:
    fleet = FleetWorld(["01", "02", "03"])
    restore(fleet.world, "fleet")
    assert fleet.rollout.state is RolloutState.RUNNING
    for member in fleet.members:
        if live := fleet.world.records.champions.load(member).live:
            serve(fleet.world, fleet.endpoint(member), live.models["rental"])
    fleet.finish()
    assert fleet.standing(MemberState.PROMOTED) == fleet.members
