"""`status`, `jobs`, `job`: what is live, what is under way, and what became of each retraining."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.cli.output import show_facts, show_json, show_table, tell
from shared.cli.place import DONE, NOTHING, USAGE, Stopped, add_common, open_app
from shared.errors import BadConfiguration

if TYPE_CHECKING:
    from shared.app import App
    from shared.jobs import RetrainingJob
    from shared.records import Records

STATES = "received, submitted, training, judging, awaiting approval, accepted, promoting, promoted, rejected, ..."


def add(commands: Any) -> None:
    status = commands.add_parser("status", help="what is live, what is under way, what waits for a person")
    add_common(status)
    status.set_defaults(run=_status)

    jobs = commands.add_parser("jobs", help="the retrainings, those of the newest data first")
    jobs.add_argument("pipeline", nargs="?")
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


def known_pipelines(app: App) -> list[str]:
    """Return the pipelines of the file, where it can be read, and those that the records have besides."""
    try:
        configured = list(app.pipelines)
    except BadConfiguration as error:
        tell(f"only what the records have is shown: {error}")
        configured = []
    return [*configured, *(name for name in app.records.pipelines() if name not in configured)]


def _status(chosen: argparse.Namespace) -> int:
    from shared.cli.views import STATUS, attention, status_row

    app, now = open_app(chosen), datetime.now(UTC)
    records = app.records
    active = [stored.job for job_id in records.active() if (stored := records.load(job_id)) and not stored.job.final]
    names = known_pipelines(app)
    names += sorted({job.pipeline for job in active} - set(names))
    shown, rows = [], []
    for name in names:
        champion, watched = records.champion(name), records.load_watch(name)
        watch = watched.watch if watched else None
        jobs = [job for job in active if job.pipeline == name]
        rows.append(status_row(name, champion, jobs, watch, now))
        shown.append(
            {
                "pipeline": name,
                "live": champion.live,
                "change": champion.change and {"to": champion.change.entry, "phase": champion.change.phase},
                "jobs": [{"id": job.id, "state": job.state, "trouble": job.trouble} for job in jobs],
                "watched_until": watch.until if watch else None,
                "attention": attention(jobs, watch),
            }
        )
    if chosen.json:
        show_json(shown)
    elif not rows:
        raise Stopped("there is no pipeline yet: neither the file nor the records have one", NOTHING)
    else:
        show_table(STATUS, rows)
    return DONE


def _jobs(chosen: argparse.Namespace) -> int:
    from shared.cli.views import JOBS, job_row
    from shared.jobs import JobState

    states = {state.value for state in JobState}
    if chosen.state and chosen.state not in states:
        raise Stopped(f"{chosen.state!r} is no state of a job; write one of: {', '.join(sorted(states))}", USAGE)
    if chosen.limit < 1:
        raise Stopped("--limit is a number from 1", USAGE)
    records = open_app(chosen).records
    found = []
    ids = _after(records.job_ids(chosen.pipeline), chosen.before)
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
