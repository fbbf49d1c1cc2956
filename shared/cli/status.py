"""`status`: what is live, what is under way, what waits for a person."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from shared.base.errors import BadConfiguration
from shared.base.threads import at_once
from shared.cli.names import entries_of, fleet_of, known
from shared.cli.output import Cell, say, show_json, show_table, tell, utc
from shared.cli.place import DONE, NOTHING, Commands, Stopped, open_app
from shared.cli.views import STATUS, LastData, attention, fleet_row, status_row
from shared.domain.champions import Champion
from shared.domain.jobs import RetrainingJob
from shared.domain.pipelines import Pipeline
from shared.domain.stuck import Stuck, stuck_files
from shared.store.polls import EVERY

if TYPE_CHECKING:
    from shared.app import App

T = TypeVar("T")
Row = tuple[Cell, ...]

GRACE = timedelta(minutes=10)  #: a poll may take minutes, and the host may start late


def add(commands: Commands) -> None:
    status = commands.add("status", _status, "what is live, what is under way, what waits for a person")
    status.add_argument("names", nargs="*", metavar="PIPELINE|FLEET", help="only these; else all, fleets as one line")
    status.add_argument("--members", action="store_true", help="a line for each member of a fleet too")


def _status(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    fleets, names = _names(app, chosen)
    broken: list[str] = []
    active = active_jobs(app, broken)
    if not chosen.names:  # a job may be of a pipeline that neither the file nor the records have
        active_of = {job.pipeline for job in active}
        names += sorted(name for name in active_of - {*names} if not fleet_of(name, fleets))
    polled = readable(app.records.polls.last, None, broken)
    files = files_that_wait(app, active, broken)
    found = [_fleet_status(app, fleet, active, files) for fleet in fleets if fleet in names]
    alone = [name for name in names if name not in fleets]
    found += at_once(lambda name: _pipeline_status(app, name, active, files), alone)
    for line in broken:
        tell(line)
    if chosen.json:
        show_json([{**shown, "polled_at": polled} for shown, _ in found])
    elif not found:
        raise Stopped("no pipeline exists yet: neither the file nor the records have one", NOTHING)
    else:
        say(poll_text(polled, app.settings.get("POLL_SCHEDULE"), datetime.now(UTC)))
        show_table(STATUS, [row for _, row in found], below="last data")
    return DONE


def _names(app: App, chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the fleets of the file, and the names to show: those given, or all of the file and of the records."""
    alone, fleets = entries_of(app)
    entries = [*alone, *fleets]
    recorded = app.records.champions.pipelines()
    names = [name if name in recorded else known(app, name) for name in chosen.names]
    names = names or [*entries, *(name for name in recorded if name not in entries and not fleet_of(name, fleets))]
    if chosen.members:
        names += [member for fleet in fleets if fleet in names for member in app.pipelines.members(fleet)]
    return fleets, list(dict.fromkeys(names))


def poll_text(last: datetime | None, schedule: str | None, now: datetime) -> str:
    """Return whether the app is alive, by when it last noted a poll. Pure."""
    if last is None:
        return "the app has not polled yet: start the function app, or see its log if it runs"
    if now > alive_until(last, schedule):
        return f"THE APP DOES NOT POLL: it last did at {utc(last)} UTC; see that the function app runs, and its log"
    minutes = EVERY.total_seconds() / 60
    return f"the app polls (recorded every {minutes:.0f} minutes, last at {utc(last)} UTC)"


def alive_until(last: datetime, schedule: str | None) -> datetime:
    """Return until when the app may be taken for alive: polls follow the schedule, and only some are noted."""
    from croniter import croniter

    noted = last + EVERY
    if schedule and croniter.is_valid(schedule, second_at_beginning=True):
        noted = croniter(schedule, noted, second_at_beginning=True).get_next(datetime)
    return noted + GRACE


def _last_data(app: App, name: str) -> LastData | None:
    arrival = app.records.arrivals.newest(name, datetime.now(UTC))
    stored = app.records.jobs.load(arrival.job) if arrival and arrival.job else None
    return LastData(arrival, stored.record if stored else None) if arrival else None


def _pipeline_status(
    app: App, name: str, active: Sequence[RetrainingJob], files: Sequence[Stuck]
) -> tuple[dict[str, Any], Row]:
    broken: list[str] = []
    last = readable(lambda: _last_data(app, name), None, broken)
    champion = readable(lambda: app.records.champions.load(name), Champion(pipeline=name), broken)
    watched = readable(lambda: app.records.watches.load(name), None, broken)
    watch = watched.record if watched else None
    change = champion.change
    traffic = {"traffic": change.traffic.steps} if change and change.traffic else {}
    jobs, now = [job for job in active if job.pipeline == name], datetime.now(UTC)
    held = [each for each in files if each.pipeline == name]
    looked_at = [*broken, *attention(jobs, watch, held, now, last)]
    shown = {
        "pipeline": name,
        "live": champion.live,
        "change": change and {"to": change.entry, "phase": change.phase, **traffic},
        "jobs": [{"id": job.id, "state": job.state, "trouble": job.trouble} for job in jobs],
        "watched_until": watch.until if watch else None,
        "last_data": last
        and {
            "id": last.arrival.id,
            "path": last.arrival.dataset.path,
            "dropped_at": last.arrival.dataset.modified,
            "state": last.arrival.state,
            "reason": last.arrival.reason,
            "job": last.arrival.job,
        },
        "attention": looked_at,
    }
    return shown, status_row(champion, last, jobs, watch if watch and watch.until > now else None, looked_at)


def _fleet_status(
    app: App, fleet: str, active: Sequence[RetrainingJob], files: Sequence[Stuck]
) -> tuple[dict[str, Any], Row]:
    members = app.pipelines.members(fleet)
    broken: list[str] = []
    recorded = [name for name in app.records.champions.pipelines() if name in set(members)]
    champions = at_once(lambda each: readable(lambda: app.records.champions.load(each), None, broken), recorded)
    latest = readable(lambda: app.records.rollouts.latest(fleet), None, broken)
    rollout = latest.record if latest else None
    jobs = [job for job in active if fleet_of(job.pipeline, [fleet])]
    held = [each for each in files if fleet_of(each.pipeline, [fleet])]
    shown = {
        "fleet": fleet,
        "members": len(members),
        "live": sum(champion is not None and champion.live is not None for champion in champions),
        "jobs": dict(Counter(job.state.value for job in jobs)),
        "waiting": len(app.records.jobs.parked(fleet)),
        "rollout": rollout and {"number": rollout.number, "course": rollout.state, "text": rollout.text},
        "attention": [*broken, *attention(jobs, None, held, datetime.now(UTC))],
    }
    return shown, fleet_row(shown)


def readable(load: Callable[[], T], otherwise: T, broken: list[str]) -> T:
    """Return the record; note one that cannot be read, so that the others are shown."""
    try:
        return load()
    except BadConfiguration as error:
        broken.append(str(error))
        return otherwise


def active_jobs(app: App, broken: list[str]) -> list[RetrainingJob]:
    """Return the jobs that have not ended; a record that cannot be read is noted in `broken`."""
    found = at_once(lambda each: readable(lambda: app.records.jobs.load(each), None, broken), app.records.jobs.active())
    return [stored.record for stored in found if stored and not stored.record.final]


def files_that_wait(app: App, active: Sequence[RetrainingJob], broken: list[str]) -> list[Stuck]:
    """Return the open files that are stuck; a record that cannot be read is noted in `broken`."""
    try:
        pipelines: Mapping[str, Pipeline] = app.pipelines
    except BadConfiguration:
        return []  # `status` and `doctor` say why
    running: dict[str, list[str]] = {}
    for job in active:
        running.setdefault(job.pipeline, []).append(job.id)
    marked = app.records.marks().arrivals
    marks = [(pipeline, arrival_id) for pipeline, ids in marked.items() for arrival_id in ids]
    found = at_once(lambda mark: readable(lambda: app.records.arrivals.load(*mark), None, broken), marks)
    arrivals = [stored.record for stored in found if stored and stored.record.open]
    return list(stuck_files(arrivals, running, pipelines, datetime.now(UTC)))
