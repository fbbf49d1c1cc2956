"""Many models from one experiment: trained, promoted in waves and rolled back, against the local Studio."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from local.azurite import azurite
from local.bench.calls import counted
from local.bench.rows import Row, ms
from local.fleet import FLEET, FleetPlace, fleet_place
from shared.domain.jobs import Model
from shared.domain.messages import Command
from shared.domain.rollouts import MemberState

BARE = 20  #: endpoints that are made and updated by bare calls, for comparison
POLLS = 5


def measure(folder: Path, endpoints: int) -> Iterator[Row]:
    clinics = [f"{number:04}" for number in range(1, endpoints + 1)]
    # In memory: on disk it would write all that it knows every few seconds.
    with azurite() as storage, fleet_place(storage, folder / "fleet") as place:

        def timed(work: Callable[[], object]) -> tuple[float, Counter[str]]:
            begun = time.perf_counter()
            with counted(storage.blob_address) as calls:
                work()
            return time.perf_counter() - begun, calls

        def row(what: str, seconds: float, calls: Counter[str], against: str = "", ratio: str = "") -> Row:
            each = f"{ms(seconds / endpoints)} and {calls.total() / endpoints:.1f} storage operations each"
            return f"{endpoints} endpoints {what}", f"{seconds:.0f} s: {each}", against, ratio

        yield row("dropped", *timed(lambda: place.drop(clinics)))
        training = place.train(clinics)
        yield row("taken up", *timed(lambda: next(training)))
        polls: list[int] = []
        yield row("trained and judged", *timed(lambda: polls.extend(training)), f"{len(polls)} polls")
        seconds, calls = timed(lambda: list(place.roll_out(Command.PROMOTE, "promote")))
        assert _live(place) == _trained(place), "every endpoint serves its own model"
        bare = _bare(place)
        yield row(
            "made and promoted in waves",
            seconds,
            calls,
            f"bare PUT, PATCH and two scorings {ms(bare)}",
            f"{seconds / endpoints / bare:.2f}",
        )
        yield row("rolled back in waves", *timed(lambda: list(place.roll_out(Command.ROLLBACK, "rollback"))))
        seconds, calls = timed(lambda: [place.poll() for _ in range(POLLS)])
        yield (
            f"a poll while {endpoints} are idle",
            f"{ms(seconds / POLLS)}, {calls.total() / POLLS:.0f} operations",
            "",
            "",
        )


def _trained(place: FleetPlace) -> dict[str, str]:
    """Return what each endpoint should serve, by the SHA-256 of its clinic's own model."""
    stored = place.app.records.rollouts.latest(FLEET)
    assert stored is not None
    lines = stored.record.members
    assert all(member.state is MemberState.PROMOTED for member in lines), stored.record.text
    jobs = {member.pipeline: place.app.records.jobs.require(member.job).record for member in lines if member.job}
    return {f"clinic{member.removeprefix(f'{FLEET}-')}": job.model.sha256 for member, job in jobs.items() if job.model}


def _live(place: FleetPlace) -> dict[str, str]:
    endpoints = place.endpoints.values()
    return {each.name: each.scorers[0].resource.sha256 for each in endpoints if each.name != "default"}


def _bare(place: FleetPlace) -> float:
    """Return the seconds for one endpoint of the calls that a script without records and proof makes."""
    session, settings = requests.Session(), place.settings
    session.trust_env = False
    live = place.app.records.champions.load(f"{FLEET}-0001").live
    assert live is not None
    [model] = live.models.values()
    location = _location(place, model)
    pipeline = place.app.pipelines[f"{FLEET}-0001"]
    rows = {"ColumnNames": pipeline.rows.columns, "Values": pipeline.rows.values}

    def call(method: str, url: str, key: str, body: object) -> requests.Response:
        answer = session.request(method, url, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        answer.raise_for_status()
        return answer

    begun = time.perf_counter()
    for number in range(BARE):
        token, address = settings["WORKSPACE_TOKEN"], f"{settings['SERVICE_ADDRESS']}/endpoints/bare{number}"
        made = call("PUT", address, token, {}).json()
        score = f"{made['ApiLocation']}/execute?api-version=2.0&details=true"
        call("POST", score, made["PrimaryKey"], {"Inputs": {"input1": rows}})
        resources = [{"Name": made["Resources"][0]["Name"], "Location": location}]
        call("PATCH", address, token, {"Resources": resources})
        call("POST", score, made["PrimaryKey"], {"Inputs": {"input1": rows}})
    return (time.perf_counter() - begun) / BARE


def _location(place: FleetPlace, model: Model) -> dict[str, str]:
    link = place.app.models.link(model)
    sas = link.sas.reveal() if link.sas else ""
    return {"BaseLocation": link.base, "RelativeLocation": link.relative, "SasBlobToken": sas}
