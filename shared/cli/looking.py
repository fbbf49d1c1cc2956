"""`status`, `jobs`, `job`: what is live, what is under way, and what became of each retraining."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.base.errors import BadConfiguration
from shared.base.threads import at_once
from shared.cli.names import fleet_of, known
from shared.cli.output import show_facts, show_json, show_table, tell
from shared.cli.place import DONE, NOTHING, USAGE, Stopped, add_common, open_app

if TYPE_CHECKING:
    from shared.app import App
    from shared.cli.output import Cell
    from shared.domain.jobs import RetrainingJob
    from shared.store.jobs_and_champions import Records

Row = tuple["Cell", ...]

STATES = "received, submitted, training, judging, awaiting approval, accepted, promoting, promoted, rejected, ..."


def add(commands: Any) -> None:
    status = commands.add_parser("status", help="what is live, what is under way, what waits for a person")
    status.add_argument("names", nargs="*", metavar="PIPELINE|FLEET", help="only these; else all, fleets as one line")
    status.add_argument("--members", action="store_true", help="a line for each member of a fleet too")
    add_common(status)
    status.set_defaults(run=_status)

    jobs = commands.add_parser("jobs", help="the retrainings, those of the newest data first")
    jobs.add_argument("pipeline", nargs="?", metavar="PIPELINE|FLEET")
    jobs.add_argument("--state", metavar="STATE", help=f"only those in this state: {STATES}")
    jobs.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many; 20")
    jobs.add_argument("--before", metavar="JOB", help="go on after this job, the last of the page before")
    add_common(jobs)
    jobs.set_defaults(run=_jobs)

    job = commands.add_parser("job", help="what happened to one retraining, step by step")
    add_job(job)
    add_common(job)
    job.set_defaults(run=_job)


def add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="its id, or the beginning or the end of it")


def find_job(records: Records, given: str) -> RetrainingJob:
    """Return the one job whose id is given, or begins or ends so."""
    if all(each.isalnum() or each == "-" for each in given) and (stored := records.load(given)):
        return stored.job
    found = [each for each in records.job_ids() if each.startswith(given) or each.endswith(given)]
    if len(found) == 1:
        return records.require(found[0]).job
    if not found:
        raise Stopped(f"there is no job {given}; python -m shared jobs lists them", NOTHING)
    raise Stopped(f"{given} could be any of {len(found)} jobs, such as {', '.join(found[:3])}; write more of it", USAGE)


def _status(chosen: argparse.Namespace) -> int:
    from shared.cli.views import STATUS

    app = open_app(chosen)
    fleets, names = _names(app, chosen)
    stored = at_once(app.records.load, app.records.active())
    active = [each.job for each in stored if each and not each.job.final]
    if not chosen.names:  # a job may be of a pipeline that neither the file nor the records have
        active_of = {job.pipeline for job in active}
        names += sorted(name for name in active_of - {*names} if not fleet_of(name, fleets))
    found = [_fleet_status(app, fleet, active) for fleet in fleets if fleet in names]
    found += at_once(lambda name: _pipeline_status(app, name, active), [name for name in names if name not in fleets])
    if chosen.json:
        show_json([shown for shown, _ in found])
    elif not found:
        raise Stopped("there is no pipeline yet: neither the file nor the records have one", NOTHING)
    else:
        show_table(STATUS, [row for _, row in found])
    return DONE


def _names(app: App, chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the fleets of the file, and the names to show: those given, or all of the file and of the records."""
    try:
        fleets, entries = list(app.pipelines.fleets), [*app.pipelines.alone, *app.pipelines.fleets]
    except BadConfiguration as error:
        tell(f"only what the records have is shown: {error}")
        fleets, entries = [], []
    recorded = app.records.pipelines()
    names = [name if name in recorded else known(app, name) for name in chosen.names]
    names = names or [*entries, *(name for name in recorded if name not in entries and not fleet_of(name, fleets))]
    if chosen.members:
        names += [member for fleet in fleets if fleet in names for member in app.pipelines.members(fleet)]
    return fleets, list(dict.fromkeys(names))


def _pipeline_status(app: App, name: str, active: Sequence[RetrainingJob]) -> tuple[dict[str, Any], Row]:
    from shared.cli.views import attention, status_row

    champion, watched = app.records.champion(name), app.records.load_watch(name)
    watch = watched.watch if watched else None
    jobs = [job for job in active if job.pipeline == name]
    shown = {
        "pipeline": name,
        "live": champion.live,
        "change": champion.change and {"to": champion.change.entry, "phase": champion.change.phase},
        "jobs": [{"id": job.id, "state": job.state, "trouble": job.trouble} for job in jobs],
        "watched_until": watch.until if watch else None,
        "attention": attention(jobs, watch),
    }
    return shown, status_row(name, champion, jobs, watch, datetime.now(UTC))


def _fleet_status(app: App, fleet: str, active: Sequence[RetrainingJob]) -> tuple[dict[str, Any], Row]:
    from shared.cli.views import attention, fleet_row

    members = app.pipelines.members(fleet)
    recorded = [name for name in app.records.pipelines() if name in set(members)]
    latest = app.rolling_out.rollouts.latest(fleet)
    rollout = latest.rollout if latest else None
    jobs = [job for job in active if fleet_of(job.pipeline, [fleet])]
    shown = {
        "fleet": fleet,
        "members": len(members),
        "live": sum(champion.live is not None for champion in at_once(app.records.champion, recorded)),
        "jobs": dict(Counter(job.state.value for job in jobs)),
        "waiting": len(app.records.parked(fleet)),
        "rollout": rollout and {"number": rollout.number, "course": rollout.course, "text": rollout.text},
        "attention": attention(jobs, None),
    }
    return shown, fleet_row(shown)


def _jobs(chosen: argparse.Namespace) -> int:
    from shared.cli.views import JOBS, job_row
    from shared.domain.jobs import JobState

    states = {state.value for state in JobState}
    if chosen.state and chosen.state not in states:
        raise Stopped(f"{chosen.state!r} is no state of a job; write one of: {', '.join(sorted(states))}", USAGE)
    if chosen.limit < 1:
        raise Stopped("--limit is a number from 1", USAGE)
    app = open_app(chosen)
    records = app.records
    found = []
    ids = _after(_ids(app, chosen.pipeline), chosen.before)
    for job_id in ids:
        stored = records.load(job_id)
        if stored and chosen.state in (None, stored.job.state.value):
            found.append(stored.job)
        if len(found) == chosen.limit:
            break
    more = next(ids, None) is not None
    if chosen.json:
        show_json({"jobs": found, "more": more})
    elif found:
        show_table(JOBS, map(job_row, found), cut="why")
        if more:
            tell(f"there are more; go on with --before {found[-1].id}")
    if not found:
        if not chosen.json:
            tell("there is no such job")
        return NOTHING
    return DONE


def _ids(app: App, name: str | None) -> list[str]:
    """Return the ids of the jobs of all, of a pipeline, or of all members of a fleet."""
    from shared.domain.jobs import pipeline_of

    ids = app.records.job_ids(name)
    if name is None or ids or known(app, name) not in app.pipelines.fleets:
        return ids
    return [each for each in app.records.job_ids() if fleet_of(pipeline_of(each), [name])]


def _after(ids: list[str], last: str | None) -> Iterator[str]:
    if last is None:
        return iter(ids)
    if last not in ids:
        raise Stopped(f"there is no job {last} to go on after", NOTHING)
    return iter(ids[ids.index(last) + 1 :])


def _job(chosen: argparse.Namespace) -> int:
    from shared.cli.views import job_facts

    job = find_job(open_app(chosen).records, chosen.job)
    if chosen.json:
        show_json(job)
    else:
        show_facts(job.id, job_facts(job))
    return DONE
